"""The one root of what an administrator can put right."""


class SetupError(Exception):
    """The controller cannot be set up or started; the message is for its administrator, on one line."""
