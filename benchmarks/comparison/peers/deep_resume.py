"""A deep agent with a long history: `python -m benchmarks.comparison.peers.deep_resume fill|resume GIVEN`.

GIVEN is JSON: the DSN, a file of the conversation's messages as the Messages API has them, and the prompt.
`fill` lets the agent live through that conversation, with a model that says what stands in it, until it would
be asked for what comes next: every step has its checkpoint. `resume` goes on from the last one.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deepagents import create_deep_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from benchmarks.comparison.work import MODEL

SEARCH = "mcp__corpus__search"
CONFIG: dict[str, Any] = {"configurable": {"thread_id": "long"}, "recursion_limit": 10**6}
NEVER = {"max_input_tokens": 10**9}
"""A model's profile with which nothing is ever summarised: no other system shortens this history either."""


class Told(Exception):
    """The conversation has been told; what comes next is the model's."""


class Teller(BaseChatModel):
    """Says what stands in a conversation, turn by turn."""

    answers: Any
    profile: Any = NEVER

    @property
    def _llm_type(self) -> str:
        return "teller"

    def bind_tools(self, tools: Any, **more: Any) -> Teller:
        """Its calls stand in the conversation."""
        return self

    def _generate(self, messages: Any, *args: Any, **more: Any) -> ChatResult:
        blocks = next(self.answers, None)
        if blocks is None:
            raise Told
        calls = [
            {"id": block["id"], "name": block["name"], "args": block["input"]}
            for block in blocks
            if block["type"] == "tool_use"
        ]
        said = AIMessage(content=blocks, tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=said)])


def agent(model: Any, system_prompt: str, results: Iterator[str], saver: AsyncPostgresSaver) -> Any:
    """The agent, whose search gives what stands in the conversation."""

    async def search(query: str, limit: int) -> str:
        return next(results)

    made = StructuredTool.from_function(coroutine=search, name=SEARCH, description="Search the documents.")
    return create_deep_agent(model, [made], system_prompt=system_prompt, checkpointer=saver)


async def resume(given: dict[str, str]) -> None:
    """Go on from the thread's last checkpoint."""
    async with AsyncPostgresSaver.from_conn_string(given["dsn"]) as saver:
        model = ChatAnthropic(model_name=MODEL, timeout=None, stop=None, profile=NEVER)
        resumed = agent(model, given["system_prompt"], iter(()), saver)
        await resumed.ainvoke(None, CONFIG, durability="sync")


async def fill(given: dict[str, str], messages: list[dict[str, Any]]) -> None:
    """Live through a conversation."""
    async with AsyncPostgresSaver.from_conn_string(given["dsn"]) as saver:
        await saver.setup()
        blocks = [block for message in messages for block in message["content"]]
        results = (_text(block["content"]) for block in blocks if block["type"] == "tool_result")
        answers = (message["content"] for message in messages if message["role"] == "assistant")
        told = agent(Teller(answers=answers), given["system_prompt"], results, saver)
        asked = {"role": "user", "content": _text(messages[0]["content"])}
        try:
            await told.ainvoke({"messages": [asked]}, CONFIG, durability="sync")
        except Told:
            return
        raise RuntimeError("The conversation ended before its end.")


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block["type"] == "text")


if __name__ == "__main__":
    how, told = sys.argv[1], json.loads(sys.argv[2])
    asyncio.run(
        resume(told) if how == "resume" else fill(told, json.loads(Path(told["messages"]).read_text()))
    )
