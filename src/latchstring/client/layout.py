"""Where things lie in the client's home (``LATCH_HOME``, by default ``~/.config/latch``).

``latch connect`` imports this module, so it imports nothing but ``os``: ``pathlib`` alone would cost a fifth of the
time that a connection may take to start.

==================  ================================================================
``config.json``     the login: controller, account, and the bearer token (only here)
``root.pem``        the controller's root certificate, pinned at login
``id_ed25519``      the engineer's SSH key, made at login
``known_hosts``     the authority of endpoints' host certificates
``certs/``          session certificates, ``<host>-cert.pub``
``ssh_config``      what ``latch ssh-config --install`` wrote
``checkpoints/``    the newest checkpoint seen of each log
==================  ================================================================
"""

import os
from collections.abc import Mapping

CONFIG_FILE = "config.json"
ROOT_FILE = "root.pem"
KEY_FILE = "id_ed25519"
KNOWN_HOSTS_FILE = "known_hosts"
SSH_CONFIG_FILE = "ssh_config"
CERTIFICATES_DIRECTORY = "certs"
CERTIFICATE_SUFFIX = "-cert.pub"
CHECKPOINTS_DIRECTORY = "checkpoints"

HOME_VARIABLE = "LATCH_HOME"
DEFAULT_HOME = "~/.config/latch"
WAY_VARIABLE = "LATCH_RELAY"
"""Which way ``latch connect`` takes to the relay."""
WAY_AUTO = "auto"
WAY_DIRECT = "direct"
WAY_WEBSOCKET = "websocket"
WAYS = (WAY_AUTO, WAY_DIRECT, WAY_WEBSOCKET)
HOST_SUFFIX = ".latch"

TRUST_ROOT = "root"
"""The controller's certificate is issued by its own root, which is all that is trusted."""
TRUST_SYSTEM = "system"
"""The controller's listener for people has a public certificate."""


def home_directory(environment: Mapping[str, str]) -> str:
    """Return the absolute path of the client's home."""
    return os.path.abspath(os.path.expanduser(environment.get(HOME_VARIABLE) or DEFAULT_HOME))  # noqa: PTH100, PTH111 - see above
