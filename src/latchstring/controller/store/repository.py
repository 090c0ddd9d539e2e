"""What all repositories share.

Statements that run for every report are built once, with bound parameters: building one costs several times what
running it does.
"""

from typing import Any

from sqlalchemy import Select, Table

from latchstring.controller.store.writer import Executes


class Lookup:
    """A query for rows of ``table`` in two forms: to look at them, and to change them, which locks them."""

    def __init__(self, query: Select[Any], table: Table) -> None:
        self.to_look = query
        self.to_change = query.with_for_update(of=table)


class Repository:
    """Rows of one kind, seen within one transaction. In a write, a row that is looked up is locked."""

    def __init__(self, connection: Executes, *, locking: bool) -> None:
        self._connection = connection
        self._locking = locking

    def _form(self, lookup: Lookup) -> Select[Any]:
        return lookup.to_change if self._locking else lookup.to_look
