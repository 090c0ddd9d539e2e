"""A process that appends to a log until it is stopped: ``log_appender.py DATABASE KEY TASKS EACH``.

It prints ``appended`` and the log's size behind each append that is durable. With EACH 0 it never ends by itself.
"""

import asyncio
import sys
from pathlib import Path

from latchstring.certs.signer import Algorithm, FileSigner
from latchstring.controller.clock import SystemClock
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.controller.log.writer import LogWriter
from latchstring.controller.store.store import Store
from latchstring.protocol.events import ControllerStopped


async def append(store: Store, writer: LogWriter, count: int) -> None:
    """Append ``count`` entries one by one, or for ever."""
    done = 0
    while count == 0 or done < count:
        async with store.write() as tx:
            head = await writer.record(tx, OPERATOR_LOG, ControllerStopped())
        done += 1
        print("appended", head.size, flush=True)  # noqa: T201 - the answer to the parent


async def main(database: Path, key: Path, tasks: int, each: int) -> None:
    """Append in several tasks at once."""
    store = await Store.open(database)
    writer = LogWriter("support.example.test", FileSigner.load(key, Algorithm.ED25519), SystemClock())
    await asyncio.gather(*(append(store, writer, each) for _ in range(tasks)))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
