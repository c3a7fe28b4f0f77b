"""Whether hooks really fire: the real CLI makes two shell calls, of which a hook denies one.

The model behind the gateway is a script. The call that is allowed shows that the other one could have run.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from claude_agent_sdk import SessionStore
from claude_agent_sdk.types import SessionKey, SessionStoreEntry

from harness.attempt import environment, make, write_launcher
from harness.claude import Conversation, converse
from harness.errors import HarnessError
from harness.gateway.app import Gateway
from harness.gateway.door import Call, Door
from harness.gateway.upstream import Answer
from harness.hook_chain import HookChain
from harness.hooks import BeforeTool, Deny, Hook, Run
from harness.settings import dropped_from_child
from harness.wire import stream_of

_PATIENCE_S = 90

_MODEL = "claude-sonnet-4-5"
_ALLOWED, _DENIED = "allowed", "denied"


async def probe() -> str | None:
    """Give None when hooks do what they must, else what they did."""
    fired: list[str] = []

    async def guard(call: BeforeTool, _: Run) -> Deny | None:
        command = str(call.input.get("command"))
        fired.append(command)
        return Deny("The doctor looks whether this holds.") if _DENIED in command else None

    with tempfile.TemporaryDirectory(prefix="harness-doctor-") as home:
        folder = make(Path(home), "doctor", "probe", 1)
        chain = HookChain(
            (Hook(name="doctor", order=0, on_failure="deny", before_tool=guard),),
            cast(Run, _NoRun()),
            lambda _: "unsafe",
        )
        try:
            async with asyncio.timeout(_PATIENCE_S), Gateway(_Script()) as gateway:
                told = environment(folder, (gateway.base_url, gateway.open_door(_OpenDoor())))
                write_launcher(folder, [name for name in dropped_from_child() if name not in told])
                ending = await converse(
                    Conversation(
                        claude_session_id=str(uuid.uuid4()),
                        resume=False,
                        prompt="Begin.",
                        system_prompt="You are a probe.",
                        model=_MODEL,
                        effort=None,
                        builtin_tools=("Bash",),
                        allowed_tools=("Bash",),
                        mcp_servers={},
                        output_schema=None,
                        store=cast(SessionStore, _NoStore()),
                        hooks=chain.matchers(),
                        folder=folder,
                        max_turns=None,
                        environment=told,
                    ),
                    _no_note,
                )
        except TimeoutError:
            return f"the Claude CLI did not end within {_PATIENCE_S} s"
        except HarnessError as problem:
            return str(problem)
        if ending.kind != "answered":
            return f"the Claude CLI did not end as it should ({ending.kind}): {ending.problem or ''}"
        if len(fired) != 2:
            return f"of two tool calls {len(fired)} reached a hook"
        if (folder.workspace / _DENIED).exists():
            return "a tool call that a hook denied ran all the same"
        if not (folder.workspace / _ALLOWED).exists():
            return "a tool call that a hook allowed did not run, so nothing is proved"
    return None


class _Script:
    """A model that calls the shell twice and then stops."""

    @asynccontextmanager
    async def send(
        self, body: bytes, request: Mapping[str, Any], headers: Mapping[str, str], query: str
    ) -> AsyncIterator[Answer]:
        offered = {tool.get("name") for tool in request.get("tools") or ()}
        done = json.dumps(request["messages"]).count('"tool_result"')
        turn = min(done, 2) if "Bash" in offered else 2
        yield Answer(200, {"content-type": "text/event-stream"}, _each(stream_of(_message(turn))))

    async def close(self) -> None:
        return None


def _message(turn: int) -> dict[str, Any]:
    content: dict[str, Any] = {"type": "text", "text": "Done."}
    if turn < 2:
        name = (_ALLOWED, _DENIED)[turn]
        content = {
            "type": "tool_use",
            "id": f"toolu_probe_{turn}",
            "name": "Bash",
            "input": {"command": f"touch {name}", "description": "Probe"},
        }
    return {
        "id": f"msg_probe_{turn}",
        "type": "message",
        "role": "assistant",
        "model": _MODEL,
        "content": [content],
        "stop_reason": "tool_use" if turn < 2 else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


async def _each(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


class _OpenDoor(Door):
    """Lets every call pass and keeps no record: there is no session."""

    def __init__(self) -> None:
        pass

    async def admit(self, body: bytes, request: dict[str, Any]) -> Call:
        return Call("probe", False, _MODEL, body, request, datetime.now().astimezone())

    async def completed(self, call: Call, message: Mapping[str, Any], first_token: datetime | None) -> None:
        return None

    async def failed(self, call: Call, status: int | None, problem: str, *, may_have_cost: bool) -> None:
        return None


class _NoStore:
    """Keeps nothing: the probe is never resumed."""

    async def append(self, key: SessionKey, entries: list[SessionStoreEntry]) -> None:
        return None

    async def load(self, key: SessionKey) -> list[SessionStoreEntry] | None:
        return None


class _NoRun:
    """What the hooks of the probe see of a run: only that a denial is noted."""

    async def record(self, payload: Any, *, span: Any = None) -> None:
        return None


async def _no_note(_: int) -> None:
    return None
