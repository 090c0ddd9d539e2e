"""The endpoint's own table of live sessions: nothing else is believed about which sessions there are."""

from latchstring.endpoint.session import LiveSession


class SessionTable:
    """The live sessions by id. A session leaves the table in the step in which it is cut."""

    def __init__(self) -> None:
        self._sessions: dict[str, LiveSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._sessions

    def add(self, session: LiveSession) -> None:
        """Let a session be used."""
        self._sessions[session.session_id] = session

    def remove(self, session: LiveSession) -> None:
        """Let a session be used no more."""
        self._sessions.pop(session.session_id, None)

    def find(self, session_id: str) -> LiveSession | None:
        """Return the live session with this id."""
        return self._sessions.get(session_id)

    def all(self) -> tuple[LiveSession, ...]:
        """Return the live sessions, oldest first."""
        return tuple(self._sessions.values())

    def ids(self) -> tuple[str, ...]:
        """Return the ids of the live sessions."""
        return tuple(self._sessions)
