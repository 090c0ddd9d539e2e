"""The environment of a session's processes."""

from hypothesis import given
from hypothesis import strategies as st

from latchstring.endpoint.sandbox.account import Account
from latchstring.endpoint.sandbox.environment import MAX_VALUE_CHARACTERS, session_environment

ACCOUNT = Account(name="ada", uid=1000, gid=1000, groups=(), home="/home/ada", shell="/bin/bash")  # noqa: S604 - a field of the password database
LOGIN = {"HOME", "USER", "LOGNAME", "SHELL", "PATH"}


def test_only_the_locale_of_the_agent_is_taken() -> None:
    """Secrets, paths and preloads of the agent are not; its language is."""
    agent = {"LANG": "C.UTF-8", "LATCH_DATA": "/var/lib/x", "PATH": "/evil", "LD_PRELOAD": "x", "LC_ALL": "C"}
    environment = session_environment(ACCOUNT, {}, agent)
    assert set(environment) == LOGIN | {"LANG", "LC_ALL"}
    assert environment["PATH"] != "/evil"


def test_the_engineers_locale_goes_first() -> None:
    """What the client asks for replaces the agent's, but never what the login sets."""
    environment = session_environment(ACCOUNT, {"LANG": "de_DE.UTF-8", "HOME": "/root"}, {"LANG": "C"})
    assert (environment["LANG"], environment["HOME"]) == ("de_DE.UTF-8", "/home/ada")


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=2 * MAX_VALUE_CHARACTERS), max_size=60))
def test_nothing_else_gets_through(requested: dict[str, str]) -> None:
    """Whatever is asked for, only ``TERM``, ``LANG`` and ``LC_*`` come through, short and printable."""
    environment = session_environment(ACCOUNT, requested, {})
    for name in set(environment) - LOGIN:
        assert name in {"TERM", "LANG"} or name.startswith("LC_")
        assert environment[name].isprintable()
        assert len(environment[name]) <= MAX_VALUE_CHARACTERS


def test_root_has_roots_path() -> None:
    """Root finds the administration programs."""
    root = Account(name="root", uid=0, gid=0, groups=(), home="/root", shell="/bin/sh")  # noqa: S604 - a field of the password database
    assert "/usr/sbin" in session_environment(root, {}, {})["PATH"]
    assert "/usr/sbin" not in session_environment(ACCOUNT, {}, {})["PATH"]
