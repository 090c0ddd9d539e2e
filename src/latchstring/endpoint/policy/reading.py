"""Reading the customer's policy (``policy.toml``). Without the file everything is at its default.

access = "ask"                   # the switch at the agent's first start: on, ask or off
run_as = "support"               # the account of the sessions' processes
capabilities = ["shell", "exec", "sftp_read", "forward:webadmin"]
longest_session = "4h"
idle_timeout = "15m"             # without an SSH connection
consent_timeout = "10m"          # how long a request waits for an answer
max_sessions = 32
controller_grace_seconds = 15    # 0 to 300

[services]
webadmin = "127.0.0.1:8088"
"""

from pathlib import Path

from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.toml_file import read_toml


def read_policy(path: Path) -> Policy:
    """Return the policy in the file at ``path``.

    Raises:
        SettingsFileError: it cannot be read or meant. Nobody is let in by a policy that nobody understood.
    """
    return read_toml(path, Policy)
