"""A program that resumes an SDK session and knows no harness: `python -m benchmarks.bare_resume GIVEN`.

GIVEN is JSON: a file of the session's entries, its id, the folder to work in, the prompts and the model.
It imports nothing but the SDK, and prints the seconds it took to fill its store, which no resume would.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    InMemorySessionStore,
    ResultMessage,
    create_sdk_mcp_server,
    project_key_for_directory,
    tool,
)


@tool("search", "Search the documents.", {"query": str, "limit": int})
async def search(given: dict[str, Any]) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": "Nothing."}]}


async def main(given: dict[str, str], entries: list[Any], began: float) -> None:
    store = InMemorySessionStore()
    key = project_key_for_directory(given["folder"])
    await store.append({"project_key": key, "session_id": given["session_id"]}, entries)
    filling_s = time.perf_counter() - began
    options = ClaudeAgentOptions(
        resume=given["session_id"],
        session_store=store,
        system_prompt=given["system_prompt"],
        model=given["model"],
        tools=[],
        mcp_servers={"corpus": create_sdk_mcp_server("corpus", tools=[search])},
        allowed_tools=["mcp__corpus__search"],
        strict_mcp_config=True,
        permission_mode="dontAsk",
        setting_sources=[],
        skills=[],
        cwd=given["folder"],
    )
    async with ClaudeSDKClient(options) as client:
        await client.query(given["prompt"])
        async for message in client.receive_response():
            if isinstance(message, ResultMessage) and message.is_error:
                raise RuntimeError(f"The bare session failed: {message.result}")
    print(filling_s)


if __name__ == "__main__":
    began = time.perf_counter()
    given = json.loads(sys.argv[1])
    lines = Path(given["entries"]).read_text("utf-8").splitlines()
    asyncio.run(main(given, [json.loads(line) for line in lines], began))
