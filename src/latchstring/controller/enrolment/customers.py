"""Customers: each has a log of its own from the first moment."""

from typing import Final

from pydantic import TypeAdapter

from latchstring.controller.errors import NameTakenError
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.controller.log.writer import LogWriter
from latchstring.controller.ports import Clock, Random
from latchstring.controller.store.records import Customer
from latchstring.controller.store.store import Store
from latchstring.protocol.events import CustomerAdded
from latchstring.protocol.ids import RANDOM_BYTES, make_id
from latchstring.protocol.plain_text import DisplayName

_NAME: Final[TypeAdapter[str]] = TypeAdapter(DisplayName)


class CustomerService:
    """The vendor's customers."""

    def __init__(self, store: Store, writer: LogWriter, clock: Clock, random: Random) -> None:
        self._store = store
        self._writer = writer
        self._clock = clock
        self._random = random

    async def add(self, name: str) -> str:
        """Add a customer, open its log, and return its id.

        Raises:
            ValueError: the name has not its form.
            NameTakenError: there is a customer of this name.
            StoreUnavailableError: it cannot be logged now; nothing was changed.
        """
        name = _NAME.validate_python(name)
        customer = Customer(make_id("cus", self._random(RANDOM_BYTES)), name, self._clock.now())
        async with self._store.write() as tx:
            if await tx.customers.by_name(name) is not None:
                raise NameTakenError(f"there is a customer {name!r} already")
            await tx.customers.add(customer)
            await self._writer.open(tx, customer.id)
            await self._writer.record(tx, OPERATOR_LOG, CustomerAdded(customer_id=customer.id))
        return customer.id

    async def list(self) -> tuple[Customer, ...]:
        """Return all customers, by name."""
        async with self._store.read() as tx:
            return await tx.customers.all()
