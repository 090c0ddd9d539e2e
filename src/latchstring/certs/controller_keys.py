"""The controller's keys on disk: a directory of their own, made at once or not at all.

    root.pem root.key      X.509 root certificate and its ECDSA P-256 key
    user_ca user_ca.pub    SSH authority of session certificates, Ed25519
    host_ca host_ca.pub    SSH authority of host certificates, Ed25519
    log.key                signs the checkpoints of the logs, Ed25519

The directory (0700) is filled under a temporary name beside its place, flushed, and renamed. A rename cannot replace a
directory that is not empty, so existing keys are never overwritten and of several creators exactly one wins. After a
crash a temporary directory ``.<name>.<random>.tmp`` may remain; no certificate was ever issued with what it holds.

    ControllerKeysError
    ├── ControllerKeysExistError      keys are there already, or something else is
    ├── ControllerKeysMissingError    there are none
    └── ControllerKeysDamagedError    some are missing, or they do not belong together
"""

import contextlib
import errno
import secrets
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from latchstring.certs.errors import CertificateError
from latchstring.certs.identity import create_log_key, create_ssh_key, create_tls_key
from latchstring.certs.keyfiles import (
    PRIVATE_DIRECTORY_MODE,
    check_private_directory,
    create_public,
    read_public,
    sync_directory,
)
from latchstring.certs.signer import Algorithm, FileSigner, Signer
from latchstring.certs.ssh_authority import SshHostAuthority, SshUserAuthority
from latchstring.certs.ssh_public_key import format_public_key
from latchstring.certs.x509_authority import X509Authority, create_root
from latchstring.certs.x509_parsing import load_certificate

ROOT_CERTIFICATE: Final = "root.pem"
ROOT_KEY: Final = "root.key"
USER_CA: Final = "user_ca"
HOST_CA: Final = "host_ca"
LOG_KEY: Final = "log.key"
PUBLIC_SUFFIX: Final = ".pub"
FILES: Final = (
    ROOT_CERTIFICATE,
    ROOT_KEY,
    USER_CA,
    USER_CA + PUBLIC_SUFFIX,
    HOST_CA,
    HOST_CA + PUBLIC_SUFFIX,
    LOG_KEY,
)


class ControllerKeysError(Exception):
    """The controller's keys cannot be made or used."""


class ControllerKeysExistError(ControllerKeysError):
    """Keys, or something else, are where new keys should go; nothing was changed."""


class ControllerKeysMissingError(ControllerKeysError):
    """There are no keys."""


class ControllerKeysDamagedError(ControllerKeysError):
    """Some keys are missing, or they do not belong together."""


@dataclass(frozen=True, slots=True)
class ControllerKeys:
    """Everything that the controller signs with."""

    x509: X509Authority
    user_ca: SshUserAuthority
    host_ca: SshHostAuthority
    log_signer: Signer


def create(directory: Path, controller_name: str, now: datetime) -> ControllerKeys:
    """Make all keys in ``directory``, which must not exist or be empty; its parent must exist.

    Raises:
        ControllerKeysExistError: keys are there already; they were not touched.
        ControllerKeysDamagedError: some of the keys are there; they were not touched.
        ValueError: ``controller_name`` is empty.
        OSError: the file system refused; ``directory`` is as it was.
    """
    directory = directory.absolute()
    _check_free(directory)
    temporary = directory.with_name(f".{directory.name}.{secrets.token_hex(8)}.tmp")
    temporary.mkdir(mode=PRIVATE_DIRECTORY_MODE)
    try:
        _fill(temporary, controller_name, now)
        _move_into_place(temporary, directory)
    except BaseException:
        with contextlib.suppress(OSError):
            shutil.rmtree(temporary)
        raise
    sync_directory(directory.parent)
    return load(directory)


def load(directory: Path) -> ControllerKeys:
    """Read the keys.

    Raises:
        ControllerKeysMissingError: there are none.
        ControllerKeysDamagedError: some are missing, or they do not belong together.
        KeyFileError: others could reach a private file or the directory, or a file does not hold its key.
    """
    missing = [name for name in FILES if not (directory / name).exists()]
    if len(missing) == len(FILES):
        raise ControllerKeysMissingError(f"{directory} holds no keys")
    if missing:
        raise ControllerKeysDamagedError(f"{directory} is incomplete: {', '.join(missing)} missing")
    check_private_directory(directory)
    return ControllerKeys(
        x509=_load_x509(directory),
        user_ca=SshUserAuthority(_load_ssh(directory, USER_CA)),
        host_ca=SshHostAuthority(_load_ssh(directory, HOST_CA)),
        log_signer=FileSigner.load(directory / LOG_KEY, Algorithm.ED25519),
    )


def _check_free(directory: Path) -> None:
    present = [name for name in FILES if (directory / name).exists()]
    if len(present) == len(FILES):
        raise ControllerKeysExistError(f"{directory} holds keys already, and they are never overwritten")
    if present:
        raise ControllerKeysDamagedError(
            f"{directory} holds only some keys ({', '.join(present)}): restore the others from a backup, or move it"
        )


def _fill(directory: Path, controller_name: str, now: datetime) -> None:
    root = create_root(controller_name, signer := create_tls_key(directory / ROOT_KEY), now)
    create_public(directory / ROOT_CERTIFICATE, X509Authority(root, signer).root_pem())
    for name in (USER_CA, HOST_CA):
        line = format_public_key(create_ssh_key(directory / name).public_key, f"latchstring-{name}")
        create_public(directory / (name + PUBLIC_SUFFIX), f"{line}\n".encode())
    create_log_key(directory / LOG_KEY)


def _move_into_place(temporary: Path, directory: Path) -> None:
    try:
        temporary.rename(directory)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise ControllerKeysExistError(f"{directory} is not an empty directory; nothing was changed") from error
        raise


def _load_x509(directory: Path) -> X509Authority:
    signer = FileSigner.load(directory / ROOT_KEY, Algorithm.ECDSA_P256)
    try:
        return X509Authority(load_certificate(read_public(directory / ROOT_CERTIFICATE)), signer)
    except (CertificateError, ValueError) as error:
        raise ControllerKeysDamagedError(f"{directory / ROOT_CERTIFICATE} does not fit {ROOT_KEY}: {error}") from error


def _load_ssh(directory: Path, name: str) -> FileSigner:
    signer = FileSigner.load(directory / name, Algorithm.ED25519)
    public = directory / (name + PUBLIC_SUFFIX)
    if read_public(public).decode("ascii", "replace").split(" ")[:2] != format_public_key(signer.public_key).split(" "):
        raise ControllerKeysDamagedError(f"{public} does not fit {name}")
    return signer
