"""The session that a person means, who may type the beginning of its id."""

from latchstring.client.controller_api import ControllerApi
from latchstring.client.errors import ClientError, UsageFaultError, one_line

MAX_SESSIONS = 500
_PREFIX = "ses-"
_LENGTH = len(_PREFIX) + 16
_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz234567")


def resolve_session_id(api: ControllerApi, text: str, *, everybody: bool) -> str:
    """Return the id that begins with ``text`` among one's own sessions, or everybody's.

    Raises:
        UsageFaultError: no id begins like that.
        ClientError: no session has such an id, or several have.
    """
    wanted = text if text.startswith(_PREFIX) else _PREFIX + text
    if not len(_PREFIX) < len(wanted) <= _LENGTH or not _CHARACTERS.issuperset(wanted.removeprefix(_PREFIX)):
        raise UsageFaultError(f"{one_line(text, 40)!r} is not a session: `latch sessions` lists them")
    if len(wanted) == _LENGTH:
        return wanted
    listed = api.sessions(limit=MAX_SESSIONS, everybody=everybody).sessions
    match [view.id for view in listed if view.id.startswith(wanted)]:
        case [one]:
            return one
        case []:
            raise ClientError(f"no session begins with {text!r}: `latch sessions` lists them")
        case found:
            raise ClientError(f"{len(found)} sessions begin with {text!r}: give more of the id")
