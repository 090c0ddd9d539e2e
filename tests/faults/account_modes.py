"""The three ways in which agent and sessions may share the machine's accounts, for programs that tests run."""

import os
import subprocess
from pathlib import Path
from types import MappingProxyType

import pytest

import latchstring
from faults.escape_runner import python_for_all

TESTS = Path(__file__).parent.parent
NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
SHARING_MOUNTS = ["unshare", "--mount", "--propagation", "shared"]
"""As on a machine with systemd, where what is mounted later shows up in a sandbox; only for these programs."""
MODES = MappingProxyType(
    {
        "agent and session as root": (SHARING_MOUNTS, []),
        "agent as root, session as an account": (SHARING_MOUNTS, ["nobody"]),
        "agent and session as an account": (
            ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"],
            [],
        ),
    }
)
"""Mode to what goes before the program, and what goes after."""


def run_in_mode(mode: str, module: str, place: Path) -> str:
    """Run a program of the tests in a mode, require that it succeeds, and return what it printed."""
    wrapper, arguments = MODES[mode]
    if os.geteuid() != 0:
        if wrapper == SHARING_MOUNTS:
            pytest.skip("needs root")
        wrapper = []
    source = Path(latchstring.__file__).parent.parent
    done = subprocess.run(
        [*wrapper, python_for_all(), "-m", module, place, *arguments],
        env={**os.environ, "PYTHONPATH": f"{source}:{TESTS}", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
