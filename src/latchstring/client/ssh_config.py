"""The block for ``ssh`` that makes ``ssh``, ``scp``, ``sftp``, ``rsync`` and Ansible reach endpoints by name.

Nothing that a user's own ``Host *`` says can weaken it: ``ssh`` takes the first value that it finds for an option, and
the block is included before everything else.
"""

import re
import shlex
import stat
from pathlib import Path
from typing import Final

from latchstring.certs.keyfiles import KeyFileError, replace_private
from latchstring.client import layout
from latchstring.client.errors import ClientError, HomeError
from latchstring.client.home import Home

_ALIVE_SECONDS: Final = 15
_UNSAFE: Final = re.compile(r'["*?\[\x00-\x1f\x7f\\]|\$\{')
_MARK: Final = "# added by `latch ssh-config --install`; `--uninstall` takes it out"
_DEFAULT_MODE: Final = 0o600


def ssh_config_block(home: Home, program: Path, *, default_home: Path) -> str:
    """Return the block.

    Args:
        home: where key, certificates and known hosts are.
        program: absolute path of ``latch``.
        default_home: the home that ``latch`` takes if the environment names none.

    Raises:
        HomeError: a path cannot be written in a configuration of ``ssh``.
    """
    command = [str(program), "connect"]
    if home.path != default_home:
        command = ["env", f"{layout.HOME_VARIABLE}={home.path}", *command]
    quoted = " ".join(shlex.quote(_checked(word)) for word in command)
    certificate = f"{layout.CERTIFICATES_DIRECTORY}/{{}}{layout.CERTIFICATE_SUFFIX}"
    certificate_path = _quote(home.path / certificate).replace("{}", "%h")
    # Only the agent's own host certificates are taken: a bare host key proves nothing here.
    return f"""\
Host *{layout.HOST_SUFFIX}
    IgnoreUnknown KnownHostsCommand
    ProxyCommand {_percent(quoted)} '%h'
    ProxyUseFdpass yes
    IdentityFile {_quote(home.path / layout.KEY_FILE)}
    CertificateFile {certificate_path}
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {_quote(home.path / layout.KNOWN_HOSTS_FILE)}
    GlobalKnownHostsFile /dev/null
    KnownHostsCommand none
    StrictHostKeyChecking yes
    CheckHostIP no
    UpdateHostKeys no
    HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com
    PreferredAuthentications publickey
    Ciphers aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com
    Compression no
    ForwardAgent no
    ForwardX11 no
    ServerAliveInterval {_ALIVE_SECONDS}
    ServerAliveCountMax 3
"""


def install(home: Home, block: str, ssh_directory: Path) -> bool:
    """Write the block into the home and include it at the top of the user's configuration.

    Returns:
        Whether the user's configuration was changed; it is not if it includes the block already.

    Raises:
        ClientError: the file system refused.
    """
    home.prepare()
    home.replace(layout.SSH_CONFIG_FILE, block.encode())
    include = _include_lines(home)
    try:
        ssh_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        config = ssh_directory / "config"
        before = config.read_text(encoding="utf-8", errors="surrogateescape") if config.exists() else ""
        if before.startswith(include):
            return False
        _write(config, include + _without(before, include))
    except OSError as error:
        raise ClientError(f"{ssh_directory}/config cannot be written: {error.strerror}") from error
    return True


def uninstall(home: Home, ssh_directory: Path) -> bool:
    """Take the include out of the user's configuration, and remove the block.

    Returns:
        Whether there was anything to take out.

    Raises:
        ClientError: the file system refused.
    """
    config = ssh_directory / "config"
    include = _include_lines(home)
    try:
        before = config.read_text(encoding="utf-8", errors="surrogateescape") if config.exists() else ""
        after = _without(before, include)
        if after != before:
            _write(config, after)
        (home.path / layout.SSH_CONFIG_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise ClientError(f"{config} cannot be written: {error.strerror}") from error
    return after != before


def _include_lines(home: Home) -> str:
    path = _checked(str(home.path / layout.SSH_CONFIG_FILE))  # here ssh expands no %
    return f'{_MARK}\nInclude "{path}"\n\n'


def _without(text: str, include: str) -> str:
    return text.replace(include, "")


def _write(config: Path, text: str) -> None:
    """Replace a file atomically. A symbolic link stays one, and the mode stays what it was."""
    target = config.resolve()
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else _DEFAULT_MODE
    try:
        replace_private(target, text.encode("utf-8", errors="surrogateescape"))
    except (KeyFileError, ValueError) as error:
        raise ClientError(f"{config} cannot be written: {error}") from error
    target.chmod(mode)


def _quote(path: Path) -> str:
    return f'"{_percent(_checked(str(path)))}"'


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def _checked(text: str) -> str:
    if _UNSAFE.search(text):
        raise HomeError(
            f"{text!r} cannot be written in a configuration of ssh: set LATCH_HOME to a path without quotes, "
            "backslashes, * ? [ and ${"
        )
    return text
