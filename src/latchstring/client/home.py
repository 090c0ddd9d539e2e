"""The client's home: its directory is 0700, its files are 0600, and each file appears whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, ValidationError

from latchstring.certs.identity import create_ssh_key
from latchstring.certs.keyfiles import (
    KeyFileError,
    KeyFileMissingError,
    read_private,
    replace_private,
)
from latchstring.certs.signer import Algorithm, FileSigner
from latchstring.certs.ssh_public_key import format_public_key
from latchstring.client import layout
from latchstring.client.address import Address
from latchstring.client.errors import HomeError, LoginNeededError
from latchstring.protocol.events import Fingerprint, Role
from latchstring.protocol.grants import EmailAddress, Frozen, SshPublicKey
from latchstring.protocol.ids import AccountId
from latchstring.protocol.messages import Host, Port
from latchstring.protocol.plain_text import DisplayName
from latchstring.protocol.times import Timestamp

PRIVATE_DIRECTORY_MODE: Final = 0o700

Token = Annotated[str, StringConstraints(max_length=200, pattern=r"^[!-~]+$")]


class Config(Frozen):
    """The login, as ``config.json`` holds it. ``token`` is None after a logout. ``latch connect`` reads it by hand."""

    version: Literal[1] = 1
    host: Host
    port: Port
    controller_name: Host
    root_fingerprint: Fingerprint
    trust: Literal["root", "system"]
    user: EmailAddress
    account_id: AccountId
    name: DisplayName
    role: Role
    ssh_host_ca: SshPublicKey
    token: Token | None = Field(repr=False)
    token_expires_at: Timestamp

    @property
    def address(self) -> Address:
        """Where the controller listens for people."""
        return Address(self.host, self.port)


class Home:
    """The directory that holds all that the client keeps."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Make the directories, and keep others out of them.

        Raises:
            HomeError: the file system refused.
        """
        with _explained(f"{self.path} cannot be made"):
            self.path.mkdir(parents=True, exist_ok=True)
            for directory in (self.path, self.certificates, self.checkpoints):
                directory.mkdir(mode=PRIVATE_DIRECTORY_MODE, exist_ok=True)
                directory.chmod(PRIVATE_DIRECTORY_MODE)

    @property
    def certificates(self) -> Path:
        """Where ``latch connect`` puts session certificates."""
        return self.path / layout.CERTIFICATES_DIRECTORY

    @property
    def checkpoints(self) -> Path:
        """Where ``latch audit verify`` keeps the newest checkpoints."""
        return self.path / layout.CHECKPOINTS_DIRECTORY

    def find_config(self) -> Config | None:
        """Return the login, or None if nobody ever logged in here.

        Raises:
            HomeError: it is there, but unsafe or damaged.
        """
        path = self.path / layout.CONFIG_FILE
        try:
            data = read_private(path)
        except KeyFileMissingError:
            return None
        except KeyFileError as error:
            raise HomeError(str(error)) from error
        try:
            return Config.model_validate_json(data)
        except ValidationError as error:
            raise HomeError(f"{path} is damaged: run `latch login` again") from error

    def read_config(self) -> Config:
        """Return the login.

        Raises:
            LoginNeededError: nobody logged in here.
            HomeError: it is there, but unsafe or damaged.
        """
        config = self.find_config()
        if config is None:
            raise LoginNeededError("you are not logged in: run `latch login URL --user EMAIL`")
        return config

    def read_root(self) -> bytes:
        """Return the pinned root certificate in PEM.

        Raises:
            HomeError: it is missing or unsafe.
        """
        return self._read(layout.ROOT_FILE)

    def ssh_public_key(self) -> str:
        """Return the engineer's public key on one line. The key pair is made here if there is none, and never leaves.

        Raises:
            HomeError: the key is unsafe or damaged, or cannot be made.
        """
        path = self.path / layout.KEY_FILE
        with _explained(f"the SSH key {path} cannot be used"):
            try:
                signer = FileSigner.load(path, Algorithm.ED25519)
            except KeyFileMissingError:
                signer = create_ssh_key(path)
        return format_public_key(signer.public_key)

    def store_login(self, config: Config, root: bytes) -> None:
        """Keep a login. ``config.json`` comes last, so that what it names is there.

        Raises:
            HomeError: the file system refused.
        """
        self.prepare()
        self.ssh_public_key()
        self.replace(layout.ROOT_FILE, root)
        self.replace(layout.KNOWN_HOSTS_FILE, f"@cert-authority *{layout.HOST_SUFFIX} {config.ssh_host_ca}\n".encode())
        self.store_config(config)

    def store_config(self, config: Config) -> None:
        """Replace ``config.json``.

        Raises:
            HomeError: the file system refused.
        """
        self.replace(layout.CONFIG_FILE, config.model_dump_json(indent=1).encode() + b"\n")

    def replace(self, name: str, data: bytes) -> None:
        """Write the file ``name`` in the home, whole or not at all.

        Raises:
            HomeError: the file system refused.
        """
        with _explained(f"{self.path / name} cannot be written"):
            replace_private(self.path / name, data)

    def _read(self, name: str) -> bytes:
        try:
            return read_private(self.path / name)
        except KeyFileError as error:
            raise HomeError(f"{error}: run `latch login` again") from error


def find_home() -> Home:
    """Return the home that the environment names."""
    return Home(Path(layout.home_directory(os.environ)))


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except KeyFileError as error:
        raise HomeError(str(error)) from error
    except OSError as error:
        raise HomeError(f"{what}: {error.strerror}") from error
    except ValueError as error:
        raise HomeError(f"{what}: {error}") from error
