"""deepagents on LangGraph: `python -m benchmarks.comparison.peers.deep_agents start|resume GIVEN`.

A deep agent hands its subjects to a declared subagent. Each step is committed to Postgres before the next one
begins, and `resume` goes on from the last of them.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from deepagents import create_deep_agent
from langchain.agents.middleware import (
    ModelCallLimitMiddleware,
    ModelRetryMiddleware,
    ToolErrorMiddleware,
    ToolRetryMiddleware,
)
from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks.comparison.work import ABOUT_LOOK, ABOUT_RESEARCHER, LEAD, MODEL, Given, look

REQUEST_S = 30.0
RETRIES = 10
CONNECTIONS = 20

_ALONE = "select pg_try_advisory_lock(1) as mine"


def agent(given: Given, saver: AsyncPostgresSaver) -> Any:
    """Set the lead and its subagent up, as the documentation says for networks and tools that fail."""

    @tool("look", description=ABOUT_LOOK)
    async def looked(subject: str, step: int) -> str:
        async with asyncio.timeout(given.work.tool_s):
            return await look(given, subject, step)

    researcher = {
        "name": "researcher",
        "description": ABOUT_RESEARCHER,
        "system_prompt": given.work.researcher,
        "tools": [looked],
        # A researcher that fails says so to the lead, which may try another one; a lead that fails has nobody
        # to tell, so its error ends the program and leaves the thread as it was, to be resumed.
        "middleware": [
            ModelCallLimitMiddleware(run_limit=given.work.max_steps),
            ModelRetryMiddleware(max_retries=3),
            ToolRetryMiddleware(max_retries=2, tools=["look"], retry_on=(TimeoutError, ConnectionError)),
        ],
    }
    return create_deep_agent(
        model=ChatAnthropic(model_name=MODEL, timeout=REQUEST_S, max_retries=RETRIES, stop=None),
        system_prompt=LEAD,
        subagents=[researcher],
        middleware=[
            ModelRetryMiddleware(max_retries=3, on_failure="error"),
            ToolErrorMiddleware(lambda error, call: f"{call.tool_call['name']} failed: {error!r}"),
        ],
        checkpointer=saver,
    )


async def main(given: Given, resume: bool) -> str:
    """Do the work, or go on with it."""
    settings = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(given.dsn, max_size=CONNECTIONS, kwargs=settings, open=False) as pool:
        saver = AsyncPostgresSaver(pool)
        await set_up(saver, pool)
        thread = {"configurable": {"thread_id": given.id}}
        begun = resume and await saver.aget_tuple(thread) is not None
        asked = None if begun else {"messages": [{"role": "user", "content": given.work.question}]}
        state = await agent(given, saver).ainvoke(asked, thread, durability="sync")
    return str(state["messages"][-1].text)


async def set_up(saver: AsyncPostgresSaver, pool: AsyncConnectionPool[Any]) -> None:
    """Make the tables: one program at a time, for the saver's own way fails when several do it at once."""
    async with pool.connection() as connection:
        # To wait within a statement would keep the saver from building its indexes, which wait for us.
        while not (await (await connection.execute(_ALONE)).fetchone())["mine"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await saver.setup()
        await connection.execute("select pg_advisory_unlock(1)")


if __name__ == "__main__":
    way, told = sys.argv[1:]
    work = main(Given.read(told), way == "resume")
    print(json.dumps({"report": asyncio.run(work)}))
