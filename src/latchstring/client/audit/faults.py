"""What verification finds, and where."""


class LogFaultError(Exception):
    """A log does not hold what it promises. ``index`` is the first entry at fault, or None if no one entry is."""

    def __init__(self, message: str, *, index: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.index = index

    def __str__(self) -> str:
        return self.message if self.index is None else f"entry {self.index}: {self.message}"
