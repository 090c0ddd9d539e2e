"""What the client remembers of each log: its keys from the first sight on, and the newest checkpoint that it verified.

A controller that shows another history later, or the same person another history than before, is noticed by it.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import StringConstraints, ValidationError

from latchstring.certs.keyfiles import KeyFileError, KeyFileMissingError, read_private, replace_private
from latchstring.client.errors import HomeError
from latchstring.client.home import Home
from latchstring.protocol.events import Count
from latchstring.protocol.frontier import Frontier
from latchstring.protocol.grants import Frozen, Sha256Hex
from latchstring.protocol.ids import EndpointId
from latchstring.protocol.times import Timestamp

MAX_CHECKPOINT_CHARACTERS = 8192


class RememberedLog(Frozen):
    """One log as it was when it was last verified here. ``frontier`` is its right edge in hex, at ``size`` entries."""

    version: Literal[1] = 1
    origin: str
    verifier_key: str
    size: Count
    frontier: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]*$")]
    checkpoint: Annotated[str, StringConstraints(max_length=MAX_CHECKPOINT_CHARACTERS)]
    journal_keys: dict[EndpointId, Sha256Hex]
    verified_at: Timestamp

    def tree(self) -> Frontier:
        """Return the right edge of the tree.

        Raises:
            ValueError: it cannot be that of a tree of this size.
        """
        return Frontier.from_bytes(self.size, bytes.fromhex(self.frontier))


class LogMemory:
    """The logs of one controller, each remembered in a file of its own."""

    def __init__(self, home: Home, root_fingerprint: str) -> None:
        self._home = home
        self._controller = hashlib.sha256(root_fingerprint.encode()).hexdigest()[:16]

    def recall(self, log_id: str) -> RememberedLog | None:
        """Return what is remembered of a log; None at first sight.

        Raises:
            HomeError: the file is unsafe or damaged: it would be wrong to take the log for unseen.
        """
        path = self._path(log_id)
        try:
            remembered = RememberedLog.model_validate_json(read_private(path))
            remembered.tree()
        except KeyFileMissingError:
            return None
        except KeyFileError as error:
            raise HomeError(str(error)) from error
        except (ValidationError, ValueError) as error:
            raise HomeError(f"{path} is damaged: restore it, or remove it to trust the log anew") from error
        return remembered

    def log_ids(self) -> frozenset[str]:
        """Return the logs that are remembered of this controller."""
        prefix = f"{self._controller}-"
        return frozenset(path.stem.removeprefix(prefix) for path in self._home.checkpoints.glob(f"{prefix}*.json"))

    def keep(self, log_id: str, log: RememberedLog) -> None:
        """Remember a log as it has just been verified.

        Raises:
            HomeError: the file system refused.
        """
        self._home.prepare()
        path = self._path(log_id)
        try:
            replace_private(path, log.model_dump_json(indent=1).encode() + b"\n")
        except OSError as error:
            raise HomeError(f"{path} cannot be written: {error.strerror}") from error

    def _path(self, log_id: str) -> Path:
        return self._home.checkpoints / f"{self._controller}-{log_id}.json"
