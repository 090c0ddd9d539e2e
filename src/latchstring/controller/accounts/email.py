"""How accounts are found by their address."""


def normalise_email(email: str) -> str:
    """Return the one form of an address in which accounts are kept and found."""
    return email.strip().lower()
