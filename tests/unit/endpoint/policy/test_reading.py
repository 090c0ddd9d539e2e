"""The customer's policy file: what it can say, and what is said about one that cannot be meant."""

from pathlib import Path

import pytest

from latchstring.endpoint.errors import SettingsFileError
from latchstring.endpoint.policy.reading import read_own_policy, read_policy
from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.settings import read_settings
from latchstring.endpoint.ssh.ports import Service
from latchstring.protocol.access import AccessMode

WHOLE = """
access = "on"
run_as = "support"
longest_session = "4h"
idle_timeout = "5m"
consent_timeout = "1m"
max_sessions = 3
controller_grace_seconds = 0

[services]
webadmin = "[::1]:8088"
"""


def test_whole(tmp_path: Path) -> None:
    """Every setting is read."""
    path = tmp_path / "policy.toml"
    path.write_text(WHOLE)
    policy = read_policy(path)
    assert policy.access is AccessMode.ON
    assert policy.services == {"webadmin": Service("::1", 8088)}
    assert (policy.longest_session, policy.idle_timeout, policy.consent_timeout) == (4 * 3600, 300, 60)
    assert (policy.run_as, policy.max_sessions, policy.controller_grace_seconds) == ("support", 3, 0)


def test_missing_file_is_all_defaults(tmp_path: Path) -> None:
    """Without a file the defaults hold: nobody gets in without a question."""
    assert read_policy(tmp_path / "policy.toml") == Policy()
    assert Policy().access is AccessMode.ASK


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("acess = 'on'", ("line 1", "acess")),
        ("access = 'on'\nmax_sessions = 0", ("line 2", "max_sessions")),
        ("access = 'perhaps'", ("line 1", "access")),
        ("\n\nlongest_session = 'long'", ("line 3", "longest_session", "30m")),
        ("controller_grace_seconds = 301", ("controller_grace_seconds",)),
        ("[capabilities]\nroot = 'grant'", ("line 2", "root")),
        ("[capabilities]\nshell = 'perhaps'", ("line 2", "shell")),
        ("[capabilities]\n'forward:web' = 'ask'", ("forward:web", "services")),
        ("[capabilities]\nothers = 'refuse'", ("refuses everything", "access")),
        ("access_then = 'off'", ("access_for",)),
        ("timezone = 'Europe/Atlantis'", ("line 1", "timezone", "tzdata")),
        ("[[windows]]\nfrom = '08:00'", ("windows", "to")),
        ("[[windows]]\nfrom = '8am'\nto = '18:00'", ("windows", "8am", "08:00")),
        ("[[windows]]\nfrom = '08:00'\nto = '08:00'", ("windows", "24:00")),
        ("[[windows]]\nfrom = 2026-12-01T22:00:00Z\nto = 2026-12-01T21:00:00Z", ("windows", "not after")),
        ("[[windows]]\nfrom = 2026-12-01T22:00:00Z\nto = 9999-12-31T23:59:59-05:00", ("windows", "2999")),
        (f"max_sessions = {'9' * 5000}", ("policy.toml",)),
        ("[[windows]]\nfrom = 2026-12-01T22:00:00\nto = 2026-12-01T23:00:00", ("windows", "timezone")),
        ("content_paths = ['var/spool']", ("line 1", "content_paths", "absolute")),
        ("content_paths = ['/usr']", ("line 1", "content_paths", "hidden")),
        ("[services]\nall = '10.0.0.1:*'", ("line 2", "all", "127.0.0.1")),
        ("[limits]\nmemory = 'much'", ("line 2", "memory", "512M")),
        ("content_ports = [5038]", ("line 1", "content_ports")),
        ("content_ports = ['5038']", ("content_ports", "network = 'none'")),
        ("content_ports = ['9-8']", ("line 1", "content_ports", "10000-20000")),
        ("network = 'none'\ncontent_ports = ['5000-6000']\n[services]\nami = '127.0.0.1:5038'", ("ami", "5038")),
        ("network = 'some'", ("line 1", "network")),
        ("engineers = ['Ann']", ("line 1", "engineers")),
        ("[services]\nweb = 'localhost'", ("line 2", "web", "127.0.0.1:8088")),
        ("[services]\nweb = '127.0.0.1:99999'", ("web",)),
        ("[services]\n'Web Admin' = '127.0.0.1:1'", ("Web Admin",)),
        ("run_as = 'two words'", ("run_as",)),
        ("access = \n", ("TOML", "line 1")),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    """A mistake is told with the file, and the key or line that holds it."""
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(SettingsFileError) as caught:
        read_policy(path)
    for word in (str(path), *words):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_a_policy_that_others_can_change(tmp_path: Path, mode: int) -> None:
    """The agent obeys no policy that another account could write; to check one is no matter of whose it is."""
    path = tmp_path / "policy.toml"
    assert read_own_policy(path) == Policy()
    path.write_text("max_sessions = 3")
    path.chmod(0o644)
    assert read_own_policy(path).max_sessions == 3
    path.chmod(mode)
    with pytest.raises(SettingsFileError, match="changed by others"):
        read_own_policy(path)
    assert read_policy(path).max_sessions == 3


@pytest.mark.parametrize("data", [b"\xff\xfe", b"#" * 70_000])
def test_no_text_and_too_long(tmp_path: Path, data: bytes) -> None:
    """What is no text, or too much of it, is refused."""
    path = tmp_path / "policy.toml"
    path.write_bytes(data)
    with pytest.raises(SettingsFileError, match=r"policy\.toml"):
        read_policy(path)


def test_settings_name_a_proxy(tmp_path: Path) -> None:
    """The connection's settings take an HTTP proxy, and nothing that is none."""
    path = tmp_path / "endpoint.toml"
    path.write_text('proxy = "http://proxy.example.test:3128"')
    assert read_settings(path).proxy == "http://proxy.example.test:3128"
    path.write_text('proxy = "ftp://proxy"')
    with pytest.raises(SettingsFileError, match="proxy"):
        read_settings(path)
