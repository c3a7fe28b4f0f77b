"""Whether hooks really fire: the real CLI makes two shell calls, of which a hook denies one.

The model is a script that answers at the gateway's door. The call that is allowed shows that the other one
could have run.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from claude_agent_sdk import SessionStore
from claude_agent_sdk.types import SessionKey, SessionStoreEntry

from harness.attempt import AttemptFolder, environment, make, write_launcher
from harness.claude import Conversation, Ending, converse
from harness.errors import HarnessError
from harness.gateway.app import Gateway
from harness.gateway.door import Door
from harness.gateway.offline import OfflineUpstream
from harness.hook_chain import HookChain
from harness.hooks import BeforeTool, Deny, Hook, Run
from harness.settings import Settings, dropped_from_child
from harness.store.journal import KeptResponse
from harness.wire import stream_of

_PATIENCE_S = 90

_MODEL = "claude-sonnet-4-5"
_ALLOWED, _DENIED = "allowed", "denied"
_CALLS = (_ALLOWED, _DENIED)


async def probe(settings: Settings) -> str | None:
    """Give None when hooks do what they must, else what they did."""
    fired: list[str] = []

    async def guard(call: BeforeTool, _: Run) -> Deny | None:
        command = str(call.input.get("command"))
        fired.append(command)
        return Deny("The doctor looks whether this holds.") if _DENIED in command else None

    hook = Hook(name="doctor", order=0, on_failure="deny", before_tool=guard)
    chain = HookChain((hook,), cast(Run, _NoRun(settings)), lambda _: "unsafe")
    with tempfile.TemporaryDirectory(prefix="harness-doctor-") as home:
        folder = make(Path(home), "doctor", "probe", 1)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                ending = await _converse(folder, chain)
        except TimeoutError:
            return f"the Claude CLI did not end within {_PATIENCE_S} s"
        except HarnessError as problem:
            return str(problem)
        if ending.kind != "answered":
            return f"the Claude CLI did not end as it should ({ending.kind}): {ending.problem or ''}"
        if len(fired) != len(_CALLS):
            return f"of two tool calls {len(fired)} reached a hook"
        if (folder.workspace / _DENIED).exists():
            return "a tool call that a hook denied ran all the same"
        if not (folder.workspace / _ALLOWED).exists():
            return "a tool call that a hook allowed did not run, so nothing is proved"
    return None


async def _converse(folder: AttemptFolder, chain: HookChain) -> Ending:
    async with Gateway(OfflineUpstream()) as gateway:
        told = environment(folder, (gateway.base_url, gateway.open_door(_Script())), _MODEL)
        write_launcher(folder, [name for name in dropped_from_child() if name not in told])
        conversation = Conversation(
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
        )
        return await converse(conversation, _no_note)


class _Script(Door):
    """A door behind which a script calls the shell twice and then stops."""

    def __init__(self) -> None:
        """There is no session whose journal it would need."""
        self.closed = asyncio.Event()

    async def admit(self, body: bytes, request: dict[str, Any], headers: Mapping[str, str]) -> KeptResponse:
        offered = {tool.get("name") for tool in request.get("tools") or ()}
        done = json.dumps(request["messages"]).count('"tool_result"')
        turn = min(done, len(_CALLS)) if "Bash" in offered else len(_CALLS)
        return KeptResponse("probe", str(turn), "text/event-stream", b"".join(stream_of(_message(turn))))


def _message(turn: int) -> Mapping[str, Any]:
    last = turn == len(_CALLS)
    content: dict[str, Any] = {"type": "text", "text": "Done."}
    if not last:
        shell = {"command": f"touch {_CALLS[turn]}", "description": "Probe"}
        content = {"type": "tool_use", "id": f"toolu_probe_{turn}", "name": "Bash", "input": shell}
    return {
        "id": f"msg_probe_{turn}",
        "type": "message",
        "role": "assistant",
        "model": _MODEL,
        "content": [content],
        "stop_reason": "end_turn" if last else "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


class _NoStore:
    """Keeps nothing: the probe is never resumed."""

    async def append(self, key: SessionKey, entries: list[SessionStoreEntry]) -> None:
        return None

    async def load(self, key: SessionKey) -> list[SessionStoreEntry] | None:
        return None


@dataclass(frozen=True)
class _NoRun:
    """What the hook chain needs of a run: the settings, and somewhere to note a denial."""

    settings: Settings

    async def record(self, payload: Any, *, shown: Any = None) -> None:
        return None


async def _no_note(_: int) -> None:
    return None
