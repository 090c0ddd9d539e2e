"""Values of the API's models for tests."""

from typing import Any

from latchstring.protocol.api import EndpointView, SessionView

ACCOUNT_ID = "acc-aaaaaaaaaaaaaaaa"
CUSTOMER_ID = "cus-aaaaaaaaaaaaaaaa"
ENDPOINT_ID = "ept-aaaaaaaaaaaaaaaa"
SESSION_ID = "ses-aaaaaaaaaaaaaaaa"
DIAL_ID = "dia-aaaaaaaaaaaaaaaa"
TIME = "2026-11-24T09:30:00.000Z"


def session_view(**changes: Any) -> SessionView:
    """Return a session that was just requested."""
    fields: dict[str, Any] = {
        "id": SESSION_ID,
        "state": "requested",
        "endpoint": "acme-pbx1",
        "endpoint_id": ENDPOINT_ID,
        "customer": "Acme Dental",
        "engineer": {"account_id": ACCOUNT_ID, "name": "Ann", "email": "ann@example.test"},
        "purpose": "maintenance",
        "ticket": None,
        "note": None,
        "requested_capabilities": ("exec", "shell"),
        "capabilities": None,
        "requested_seconds": 3600,
        "granted_seconds": None,
        "requested_at": TIME,
        "granted_at": None,
        "expires_at": None,
        "ended_at": None,
        "reason": None,
        "explanation": None,
    }
    return SessionView.model_validate({**fields, **changes})


def granted_view(**changes: Any) -> SessionView:
    """Return a session that was granted."""
    granted: dict[str, Any] = {
        "state": "granted",
        "capabilities": ("exec", "shell"),
        "granted_seconds": 3600,
        "granted_at": TIME,
        "expires_at": "2026-11-24T10:30:00.000Z",
    }
    return session_view(**{**granted, **changes})


def endpoint_view(**changes: Any) -> EndpointView:
    """Return an endpoint that is online."""
    fields: dict[str, Any] = {
        "id": ENDPOINT_ID,
        "name": "acme-pbx1",
        "customer": "Acme Dental",
        "customer_id": CUSTOMER_ID,
        "online": True,
        "access": "ask",
        "agent_version": "0.1.0",
        "last_seen_at": TIME,
        "clock_skew_seconds": 0,
        "live_sessions": 0,
    }
    return EndpointView.model_validate({**fields, **changes})
