"""What the logs are called: the vendor's own, and one for each customer, named by the customer's id."""

from typing import Final

OPERATOR_LOG: Final = "operator"
"""The log of the vendor's own events: sign-ins, accounts, the controller itself."""


def log_origin(controller_name: str, log_id: str) -> str:
    """Return the origin of a log's checkpoints, which is also the name of its key."""
    return f"{controller_name}/audit/{log_id}"
