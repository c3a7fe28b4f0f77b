"""LangGraph's checkpoints: `python -m benchmarks.comparison.peers.graph_checkpoints KIND DSN STEP...`.

A graph of one node that says something in each step, and goes round until the last of the steps at which the
meter looks. Every checkpoint is in Postgres before the next step begins. `delta` keeps the messages in a
DeltaChannel, `default` in that of MessagesState. Prints what the meter has taken.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import _messages_delta_reducer
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks.comparison.meter import Meter, Taken, message

SETTINGS = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}


class DeltaState(TypedDict):
    """The messages, in the channel of which only the changes are stored."""

    messages: Annotated[list[Any], DeltaChannel(_messages_delta_reducer)]


async def take(kind: str, dsn: str, marks: list[int]) -> Taken:
    """Take as many steps as the last mark says."""
    async with AsyncConnectionPool(dsn, max_size=20, kwargs=SETTINGS, open=False) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        async with Meter.on(dsn, marks) as meter:
            within = {"configurable": {"thread_id": "steps"}, "recursion_limit": marks[-1] + 10}
            work = graph(kind, marks[-1], meter).compile(checkpointer=saver)
            await work.ainvoke({"messages": []}, within, durability="sync")
            await meter.stepped()
    return meter.taken


def graph(kind: str, steps: int, meter: Meter) -> Any:
    """Give a graph of one node that goes round so often."""

    async def say(state: Any) -> dict[str, Any]:
        # The step before this one has been committed, or this one would not have begun.
        if said := len(state["messages"]):
            await meter.stepped()
        return {"messages": [AIMessage(message(said))]}

    made = StateGraph(DeltaState if kind == "delta" else MessagesState)
    made.add_node("say", say)
    made.add_edge(START, "say")
    made.add_conditional_edges("say", lambda state: END if len(state["messages"]) == steps else "say")
    return made


if __name__ == "__main__":
    how, where, *steps = sys.argv[1:]
    print(asyncio.run(take(how, where, [int(step) for step in steps])).json())
