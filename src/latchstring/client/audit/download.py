"""The entries of a log, page by page, in their order and without a gap."""

import base64
import binascii
from collections.abc import Iterator
from typing import Final, Protocol

from latchstring.client.audit.faults import LogFaultError
from latchstring.protocol.api import EntryPage
from latchstring.protocol.entry_bundles import MAX_ENTRY_BYTES

PAGE_ENTRIES: Final = 500


class EntrySource(Protocol):
    """Where pages of entries come from."""

    def entries(self, log_id: str, *, start: int, limit: int) -> EntryPage:
        """Return up to ``limit`` entries from ``start`` on."""


def read_entries(source: EntrySource, log_id: str, *, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield index and exact bytes of the entries ``start`` to ``end`` - 1.

    Raises:
        LogFaultError: one is missing, out of order, or not of the form in which entries travel.
    """
    expected = start
    while expected < end:
        page = source.entries(log_id, start=expected, limit=min(PAGE_ENTRIES, end - expected))
        if not page.entries:
            raise LogFaultError("the controller does not deliver it", index=expected)
        for view in page.entries[: end - expected]:
            if view.index != expected:
                raise LogFaultError(f"the controller delivers entry {view.index} in its place", index=expected)
            try:
                body = base64.b64decode(view.entry, validate=True)
            except binascii.Error as error:
                raise LogFaultError("it is not base64", index=expected) from error
            if len(body) > MAX_ENTRY_BYTES:
                raise LogFaultError(f"it is longer than {MAX_ENTRY_BYTES} bytes", index=expected)
            yield expected, body
            expected += 1
