"""The tables. Migrations bring a database here; a test holds the two together.

Ids are the texts of ``protocol/ids.py``. Nothing is deleted except tokens; what must be forgotten about people stands
in ``accounts`` alone.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)
from sqlalchemy.types import Boolean

from latchstring.controller.store.columns import Names, UtcTime

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

customers: Final = Table(
    "customers",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("name", String(120), nullable=False, unique=True),
    Column("added_at", UtcTime, nullable=False),
)

endpoints: Final = Table(
    "endpoints",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("name", String(63), nullable=False),
    Column("customer_id", ForeignKey("customers.id"), nullable=False, index=True),
    Column("invited_at", UtcTime, nullable=False),
    Column("enrolled_at", UtcTime),
    Column("revoked_at", UtcTime),
    # Whether the serving process has cut a revoked endpoint off.
    Column("revocation_done", Boolean, nullable=False, server_default=false()),
    Column("ssh_host_key", String(1000)),
    Column("journal_key", String(64)),
    Column("next_sequence", BigInteger, nullable=False, server_default=text("0")),
    Column("access", String(8)),
    Column("agent_version", String(32)),
    Column("last_seen_at", UtcTime),
    Column("clock_skew_seconds", BigInteger),
)

# A name is free again once the endpoint that bore it was revoked.
Index(
    "uq_endpoints_name_in_use",
    endpoints.c.name,
    unique=True,
    sqlite_where=endpoints.c.revoked_at.is_(None),
    postgresql_where=endpoints.c.revoked_at.is_(None),
)

invitations: Final = Table(
    "invitations",
    metadata,
    Column("public_key", String(64), primary_key=True),
    Column("endpoint_id", ForeignKey("endpoints.id"), nullable=False, index=True),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
    Column("voided_at", UtcTime),
)

accounts: Final = Table(
    "accounts",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("name", String(120), nullable=False),
    Column("role", String(16), nullable=False),
    Column("password_hash", String(256), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("disabled_at", UtcTime),
)

tokens: Final = Table(
    "tokens",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("expires_at", UtcTime, nullable=False, index=True),
)

sessions: Final = Table(
    "sessions",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("endpoint_id", ForeignKey("endpoints.id"), nullable=False),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("ssh_public_key", String(1000), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("ticket", String(64)),
    Column("note", String(200)),
    Column("requested_capabilities", Names, nullable=False),
    Column("requested_seconds", Integer, nullable=False),
    Column("requested_at", UtcTime, nullable=False),
    Column("state", String(32), nullable=False),
    Column("grant_digest", String(64)),
    Column("capabilities", Names),
    Column("granted_seconds", Integer),
    Column("granted_at", UtcTime),
    Column("expires_at", UtcTime),
    Column("close_reason", String(32)),
    Column("ended_at", UtcTime),
    Column("reason", String(32)),
    Column("opens", String(80)),
    Index("ix_sessions_account", "account_id", "requested_at"),
    Index("ix_sessions_requested_at", "requested_at"),
)

# Sweeps and an endpoint's reconnection look at the few sessions that have not ended, never at the history.
Index(
    "ix_sessions_open",
    sessions.c.endpoint_id,
    sqlite_where=sessions.c.ended_at.is_(None),
    postgresql_where=sessions.c.ended_at.is_(None),
)

log_heads: Final = Table(
    "log_heads",
    metadata,
    Column("log_id", String(20), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    Column("checkpoint", Text, nullable=False),
)

log_entries: Final = Table(
    "log_entries",
    metadata,
    Column("log_id", ForeignKey("log_heads.log_id"), primary_key=True),
    Column("entry_index", BigInteger, primary_key=True, autoincrement=False),
    Column("type", String(40), nullable=False),
    Column("session_id", String(20)),
    Column("body", LargeBinary, nullable=False),
)

# A tile is kept as the pieces that were appended to it, so that an append writes its own hashes and reads none.
log_tiles: Final = Table(
    "log_tiles",
    metadata,
    Column("log_id", ForeignKey("log_heads.log_id"), primary_key=True),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("tile_index", BigInteger, primary_key=True, autoincrement=False),
    Column("start", Integer, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)
