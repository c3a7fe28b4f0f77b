"""An exporter in a process of its own, to be killed: `python -m tests.export.dying_exporter DSN HOLD_S`.

Its receiver is the one of its environment.
"""

from __future__ import annotations

import asyncio
import sys

from harness.export.address import required
from harness.export.receiver import Receiver
from harness.export.shipper import Shipper
from harness.settings import from_environment
from harness.store.database import Database
from harness.store.spans import Outbox


async def main(dsn: str, hold_s: float) -> None:
    """Deliver what there is until killed."""
    settings = from_environment()
    async with await Database.open(dsn) as database, Receiver(required(settings)) as receiver:
        outbox = Outbox(database, settings.tenant, hold_s=hold_s)
        await Shipper(outbox, receiver, settings.tracing.environment).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
