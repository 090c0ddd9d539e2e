"""What can go wrong in the client. Each message is one line that names what is wrong and what to do.

``latch connect`` imports this module, so it imports nothing. ``__main__`` maps each kind to its exit code.

    ClientError                 it failed
    ├── UsageFaultError         what was typed cannot be meant; nothing was sent
    ├── RefusedError            policy, customer or role said no
    ├── UnreachableError        controller, relay or endpoint cannot be reached
    ├── LoginNeededError        there is no login, or it has expired
    ├── TrustError              the other side is not who it was at login
    └── HomeError               a file of the client's home is missing, unsafe or damaged
"""


class ClientError(Exception):
    """The command failed."""


class UsageFaultError(ClientError):
    """What was typed cannot be meant; nothing was sent."""


class RefusedError(ClientError):
    """The policy, the customer or the role of the account said no."""


class UnreachableError(ClientError):
    """The controller, the relay or the endpoint cannot be reached."""


class LoginNeededError(ClientError):
    """There is no login, or it has expired."""


class TrustError(ClientError):
    """The other side is not who it was when the engineer logged in."""


class HomeError(ClientError):
    """A file of the client's home is missing, unsafe or damaged."""


def one_line(text: str, limit: int = 300) -> str:
    """Return what a remote party wrote as one printable line of at most ``limit`` characters."""
    printable = "".join(character if character.isprintable() else " " for character in text[: 4 * limit])
    words = " ".join(printable.split())
    return words if len(words) <= limit else words[: limit - 1] + "…"
