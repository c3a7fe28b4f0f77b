"""The Claude Agent SDK alone: `python -m benchmarks.comparison.peers.bare_sdk start|resume|sessions GIVEN`.

`start` and `resume` let a lead hand its subjects to native subagents, in the foreground, with every message
mirrored at once to a session store in Postgres, from which the SDK resumes. `sessions` gives each subject to
an SDK session of its own, side by side: what the CLI processes cost without anything around them.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from claude_agent_sdk import (
    AgentDefinition,
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ResultMessage,
    create_sdk_mcp_server,
    tool,
)

from benchmarks.comparison.peers.pg_store import PgStore
from benchmarks.comparison.work import ABOUT_LOOK, ABOUT_RESEARCHER, FOUND, LEAD, MODEL, Given, look, reported

LOOK = "mcp__desk__look"
AGENT = "Agent"
GO_ON = "Go on where you were interrupted."


def options(given: Given, **more: Any) -> ClaudeAgentOptions:
    """What both ways of working have in common."""

    @tool("look", ABOUT_LOOK, {"subject": str, "step": int})
    async def looked(called: dict[str, Any]) -> dict[str, Any]:
        async with asyncio.timeout(given.work.tool_s):
            said = await look(given, called["subject"], called["step"])
        return {"content": [{"type": "text", "text": said}]}

    return ClaudeAgentOptions(
        model=MODEL,
        mcp_servers={"desk": create_sdk_mcp_server("desk", tools=[looked])},
        strict_mcp_config=True,
        permission_mode="dontAsk",
        setting_sources=[],
        skills=[],
        cwd=given.folder,
        **more,
    )


async def lead(given: Given, resume: bool) -> str:
    """Let native subagents do the work."""
    researcher = AgentDefinition(
        description=ABOUT_RESEARCHER,
        prompt=given.work.researcher,
        tools=[LOOK],
        model="inherit",
        maxTurns=given.work.max_steps,
    )
    store = await PgStore.open(given.dsn, given.id)
    begun = await store.newest() if resume else None
    told = options(
        given,
        resume=begun,
        system_prompt=LEAD,
        agents={"researcher": researcher},
        tools=[AGENT],
        allowed_tools=[AGENT, LOOK],
        session_store=store,
        session_store_flush="eager",
    )
    return await _said(told, GO_ON if begun else given.work.question)


async def sessions(given: Given) -> str:
    """Give each subject to a session of its own."""

    async def one(subject: str) -> str:
        told = options(given, system_prompt=given.work.researcher, tools=[], allowed_tools=[LOOK])
        return await _said(told, f"Research {subject}.")

    said = await asyncio.gather(*map(one, given.work.names))
    return reported({name: facts.split() for each in said for name, facts in FOUND.findall(each)})


async def _said(told: ClaudeAgentOptions, asked: str) -> str:
    said = ""
    async with ClaudeSDKClient(told) as client:
        await client.query(asked)
        async for message in client.receive_response():
            if isinstance(message, ResultMessage):
                if message.is_error:
                    raise RuntimeError(f"The SDK session failed: {message.result}")
                said = message.result or ""
    return said


if __name__ == "__main__":
    how, told = sys.argv[1], Given.read(sys.argv[2])
    work = sessions(told) if how == "sessions" else lead(told, how == "resume")
    print(json.dumps({"report": asyncio.run(work)}))
