import asyncio

from harness import AgentRunChanged, Harness


async def main() -> None:
    async with Harness() as harness:
        session = await harness.start("How does a killed run go on?", sources=["docs"], upstream="offline")
        async for progress in session:  # leave this loop, or kill the process: nothing committed is lost
            if isinstance(progress, AgentRunChanged):
                print(progress.agent, progress.status)
        session = await harness.resume(session.id)  # from any process; this one has ended, so nothing runs
        print((await session.result()).report)


asyncio.run(main())
