"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _people()
    _directory()
    _sessions()
    _logs()


def _people() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("password_hash", sa.String(length=256), nullable=False),
        sa.Column("created_at", sa.String(24), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("email", name="uq_accounts_email"),
    )
    op.create_table(
        "tokens",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=20), nullable=False),
        sa.Column("expires_at", sa.String(24), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_tokens_account_id"),
        sa.PrimaryKeyConstraint("sha256", name="pk_tokens"),
    )
    op.create_index("ix_tokens_account_id", "tokens", ["account_id"], unique=False)
    op.create_index("ix_tokens_expires_at", "tokens", ["expires_at"], unique=False)


def _directory() -> None:
    op.create_table(
        "customers",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("added_at", sa.String(24), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_customers"),
        sa.UniqueConstraint("name", name="uq_customers_name"),
    )
    op.create_table(
        "endpoints",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("customer_id", sa.String(length=20), nullable=False),
        sa.Column("invited_at", sa.String(24), nullable=False),
        sa.Column("enrolled_at", sa.String(24), nullable=True),
        sa.Column("revoked_at", sa.String(24), nullable=True),
        sa.Column("revocation_done", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("ssh_host_key", sa.String(length=1000), nullable=True),
        sa.Column("journal_key", sa.String(length=64), nullable=True),
        sa.Column("next_sequence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("access", sa.String(length=8), nullable=True),
        sa.Column("agent_version", sa.String(length=32), nullable=True),
        sa.Column("last_seen_at", sa.String(24), nullable=True),
        sa.Column("clock_skew_seconds", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_endpoints_customer_id"),
        sa.PrimaryKeyConstraint("id", name="pk_endpoints"),
    )
    op.create_index("ix_endpoints_customer_id", "endpoints", ["customer_id"], unique=False)
    op.create_index(
        "uq_endpoints_name_in_use",
        "endpoints",
        ["name"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "invitations",
        sa.Column("public_key", sa.String(length=64), nullable=False),
        sa.Column("endpoint_id", sa.String(length=20), nullable=False),
        sa.Column("expires_at", sa.String(24), nullable=False),
        sa.Column("used_at", sa.String(24), nullable=True),
        sa.Column("voided_at", sa.String(24), nullable=True),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name="fk_invitations_endpoint_id"),
        sa.PrimaryKeyConstraint("public_key", name="pk_invitations"),
    )
    op.create_index("ix_invitations_endpoint_id", "invitations", ["endpoint_id"], unique=False)


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("endpoint_id", sa.String(length=20), nullable=False),
        sa.Column("account_id", sa.String(length=20), nullable=False),
        sa.Column("ssh_public_key", sa.String(length=1000), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("ticket", sa.String(length=64), nullable=True),
        sa.Column("note", sa.String(length=200), nullable=True),
        sa.Column("requested_capabilities", sa.String(), nullable=False),
        sa.Column("requested_seconds", sa.Integer(), nullable=False),
        sa.Column("requested_at", sa.String(24), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("grant_digest", sa.String(length=64), nullable=True),
        sa.Column("capabilities", sa.String(), nullable=True),
        sa.Column("granted_seconds", sa.Integer(), nullable=True),
        sa.Column("granted_at", sa.String(24), nullable=True),
        sa.Column("expires_at", sa.String(24), nullable=True),
        sa.Column("close_reason", sa.String(length=32), nullable=True),
        sa.Column("ended_at", sa.String(24), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_sessions_account_id"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name="fk_sessions_endpoint_id"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_account", "sessions", ["account_id", "requested_at"], unique=False)
    op.create_index(
        "ix_sessions_open",
        "sessions",
        ["endpoint_id"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_sessions_requested_at", "sessions", ["requested_at"], unique=False)


def _logs() -> None:
    op.create_table(
        "log_heads",
        sa.Column("log_id", sa.String(length=20), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("log_id", name="pk_log_heads"),
    )
    op.create_table(
        "log_entries",
        sa.Column("log_id", sa.String(length=20), nullable=False),
        sa.Column("entry_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("session_id", sa.String(length=20), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["log_id"], ["log_heads.log_id"], name="fk_log_entries_log_id"),
        sa.PrimaryKeyConstraint("log_id", "entry_index", name="pk_log_entries"),
    )
    op.create_table(
        "log_tiles",
        sa.Column("log_id", sa.String(length=20), nullable=False),
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tile_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("start", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["log_id"], ["log_heads.log_id"], name="fk_log_tiles_log_id"),
        sa.PrimaryKeyConstraint("log_id", "level", "tile_index", "start", name="pk_log_tiles"),
    )
