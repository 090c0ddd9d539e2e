"""What holds for every test."""

import signal


def pytest_configure() -> None:
    """Give this process, and so the programs that tests start, the default handlers of a terminal's signals.

    A shell without job control lets its background jobs ignore them, and what ignores SIGINT cannot be interrupted.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
