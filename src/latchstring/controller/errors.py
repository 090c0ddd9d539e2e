"""What goes wrong in the controller's services.

What the API answers with is a :class:`~latchstring.protocol.problems.ProblemError` with its code. The rest::

    ProblemError (protocol)
    └── StoreUnavailableError      log_unavailable: the database cannot be read or written now; nothing was changed
    ControllerError
    ├── NameTakenError             an administrator's command names something that exists
    ├── UnknownNameError           an administrator's command names something that does not exist
    ├── LastAdminError             an administrator's command would leave no administrator
    ├── WeakPasswordError          a password that is too short
    ├── StoreDamagedError          the database is not ours, of a newer version, or does not hold together
    │   └── LogDamagedError        a log's tree, head and checkpoint do not agree
    ├── RelayBusyError             the relay expects too many dials already
    ├── HelloRefusedError          an endpoint may not connect; carries the goodbye to say
    └── ReportError                an endpoint's report was not taken; its channel is to be closed
        ├── ReportRefusedError     it is malformed, or not signed by the endpoint's journal key
        └── ReportGapError         a report before it is missing

The texts are for people and repeat nothing that a stranger sent, except names that were checked.
"""

from latchstring.protocol.messages import Goodbye, GoodbyeCode
from latchstring.protocol.problems import ProblemCode, ProblemError


class StoreUnavailableError(ProblemError):
    """The database cannot be read or written now. The transaction was rolled back: nothing was changed."""

    def __init__(self) -> None:
        super().__init__(
            ProblemCode.LOG_UNAVAILABLE,
            "the controller cannot write its log now, so nothing was changed; try again, and tell its administrator",
        )


class ControllerError(Exception):
    """An administrator's command, or the controller's own state, is not as it must be."""


class NameTakenError(ControllerError):
    """The name is in use."""


class UnknownNameError(ControllerError):
    """There is nothing of that name."""


class LastAdminError(ControllerError):
    """No administrator would be left."""


class WeakPasswordError(ControllerError):
    """The password is too short."""


class StoreDamagedError(ControllerError):
    """The database is not ours, of a newer version, or does not hold together."""


class LogDamagedError(StoreDamagedError):
    """A log's tree, head and checkpoint do not agree."""


class RelayBusyError(ControllerError):
    """The relay expects too many dials already."""


class HelloRefusedError(ControllerError):
    """An endpoint may not connect."""

    def __init__(self, code: GoodbyeCode, detail: str, *, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.goodbye = Goodbye(code=code, retry_after_seconds=retry_after_seconds)


class ReportError(ControllerError):
    """An endpoint's report was not taken. Every report before it was."""


class ReportRefusedError(ReportError):
    """The report is malformed, or not signed by the endpoint's journal key."""


class ReportGapError(ReportError):
    """A report before it is missing."""
