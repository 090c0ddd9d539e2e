"""What can go wrong on the customer's side. Each message is one line that names what is wrong and what to do.

``__main__`` maps each kind to its exit code.

    EndpointError                   it failed
    ├── UsageFaultError             what was typed cannot be meant; nothing was changed
    ├── RefusedError                the policy, the customer or the controller said no
    ├── UnreachableError            the controller, or the agent on this machine, cannot be reached
    ├── DataDirectoryError          the data directory cannot be used
    │   └── DataDirectoryInUseError another process is using it
    ├── SettingsFileError           a settings or policy file cannot be meant
    ├── EnrolmentError              the enrolment failed, or what is kept of it is damaged
    └── JournalError                the journal cannot be used
        ├── JournalUnavailableError it cannot be written now; nothing was appended
        └── JournalDamagedError     it is not what its own checkpoint says
"""


class EndpointError(Exception):
    """The command failed."""


class UsageFaultError(EndpointError):
    """What was typed cannot be meant; nothing was changed."""


class RefusedError(EndpointError):
    """The policy, the customer or the controller said no."""


class UnreachableError(EndpointError):
    """The controller, or the agent on this machine, cannot be reached."""


class DataDirectoryError(EndpointError):
    """The data directory cannot be used."""


class DataDirectoryInUseError(DataDirectoryError):
    """Another process is using the data directory."""


class SettingsFileError(EndpointError):
    """A settings or policy file cannot be meant."""


class EnrolmentError(EndpointError):
    """The enrolment failed, or what is kept of it is damaged."""


class JournalError(EndpointError):
    """The journal cannot be used."""


class JournalUnavailableError(JournalError):
    """The journal cannot be written now; nothing was appended."""


class JournalDamagedError(JournalError):
    """The journal is not what its own checkpoint says."""


def one_line(text: str, limit: int = 300) -> str:
    """Return what a remote party wrote as one printable line of at most ``limit`` characters."""
    printable = "".join(character if character.isprintable() else " " for character in text[: 4 * limit])
    words = " ".join(printable.split())
    return words if len(words) <= limit else words[: limit - 1] + "…"
