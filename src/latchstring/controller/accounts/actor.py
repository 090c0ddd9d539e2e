"""Who asks, once the token has told: passed to every service that acts for a person."""

from dataclasses import dataclass
from typing import Final

from latchstring.protocol.events import Role
from latchstring.protocol.grants import Engineer

MAY_HOLD_SESSIONS: Final = frozenset({Role.ENGINEER, Role.ADMIN})


@dataclass(frozen=True, slots=True)
class Actor:
    """An account that is signed in, and the address from which it asks."""

    account_id: str
    name: str
    email: str
    role: Role
    source: str

    @property
    def may_open_sessions(self) -> bool:
        """Whether it may ask for sessions of its own."""
        return self.role in MAY_HOLD_SESSIONS

    @property
    def may_audit(self) -> bool:
        """Whether it may see everybody's sessions and read the logs."""
        return self.role in {Role.AUDITOR, Role.ADMIN}

    @property
    def may_administer(self) -> bool:
        """Whether it may end anybody's sessions."""
        return self.role is Role.ADMIN

    def engineer(self) -> Engineer:
        """Return the account as an offer names it."""
        return Engineer(account_id=self.account_id, name=self.name, email=self.email)
