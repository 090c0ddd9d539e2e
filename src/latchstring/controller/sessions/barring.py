"""Ends what an account has open, once it is disabled or its role may hold no sessions.

The process that bars an account may be another one than that which serves. So the sessions are marked as ended by the
vendor, in the transaction that bars; the sweep of the serving process cuts them and tells their endpoints, again and
again until they have ended. It also marks what was requested while the account was being barred.
"""

from dataclasses import replace

from latchstring.controller.log.writer import LogWriter
from latchstring.controller.store.store import UnitOfWork
from latchstring.protocol.endings import Reason
from latchstring.protocol.events import SessionAccountBarred
from latchstring.protocol.session_state import LIVE


async def bar_sessions(tx: UnitOfWork, writer: LogWriter, account_id: str) -> None:
    """Mark the open sessions of an account as ended by the vendor, and log that of those that are live."""
    for session in await tx.sessions.open_of(account_id):
        if session.close_reason is None:
            await tx.sessions.save(replace(session, close_reason=Reason.ENDED_BY_ADMINISTRATOR))
            if session.state in LIVE:
                await writer.record(tx, session.customer_id, SessionAccountBarred(session_id=session.id))
