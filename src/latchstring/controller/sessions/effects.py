"""What follows a transaction that was committed: connections cut, endpoints told, waiting people woken.

A transaction collects its effects and they are performed after its commit, so that nobody hears of what then did not
happen. Cutting comes first.
"""

from latchstring.controller.sessions.dependencies import SessionDependencies
from latchstring.protocol.messages import FromController


class Effects:
    """What to do once the transaction is durable."""

    def __init__(self) -> None:
        self._cuts: list[str] = []
        self._changes: list[str] = []
        self.messages: list[FromController] = []
        """For the one endpoint that the transaction is about, in order."""

    def cut(self, session_id: str) -> None:
        """Cut the session's connections at the relay."""
        self._cuts.append(session_id)

    def changed(self, session_id: str) -> None:
        """Wake who waits for the session."""
        self._changes.append(session_id)

    def tell(self, message: FromController) -> None:
        """Tell the endpoint."""
        self.messages.append(message)

    def perform(self, dependencies: SessionDependencies, endpoint_id: str) -> None:
        """Cut, tell the endpoint, and wake."""
        self.cut_and_wake(dependencies)
        for message in self.messages:
            dependencies.channels.send(endpoint_id, message)

    def cut_and_wake(self, dependencies: SessionDependencies) -> None:
        """Cut and wake only, where the caller tells the endpoint."""
        for session_id in self._cuts:
            dependencies.relay.cut(session_id)
        for session_id in self._changes:
            dependencies.bus.publish(session_id)
