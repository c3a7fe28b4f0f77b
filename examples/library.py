"""Ask about docs/, follow the agents, and read the report again. Run it from the checkout."""

import asyncio

from harness import AgentRunChanged, Harness


async def main() -> None:
    """Needs neither a key nor a network: no language model plays the agents."""
    async with Harness() as harness:
        session = await harness.start("How does a killed run go on?", sources=["docs"], upstream="offline")
        async for progress in session:
            if isinstance(progress, AgentRunChanged):
                print(progress.agent, progress.status)
        session = await harness.resume(session.id)  # in any process, also after a kill
        print((await session.result()).report)


asyncio.run(main())
