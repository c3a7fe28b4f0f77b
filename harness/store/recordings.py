"""Recorded model calls: request and answer as they were on the wire, for a replay."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.redaction import Redactor
from harness.store.database import Connection, Database, Json
from harness.store.queries import queries
from harness.wire_redaction import redacted_body

_SQL = queries("recordings")


@dataclass(frozen=True)
class Recording:
    """One model call as it was on the wire.

    `number` is that of the call among the completed steps of its agent run, from 1; None for an auxiliary
    call, which is numbered when it is stored. Header names are in lower case.
    """

    number: int | None
    status: int
    request_headers: Mapping[str, str]
    request: bytes
    response_headers: Mapping[str, str]
    content_type: str
    response: bytes

    @property
    def asked(self) -> dict[str, Any]:
        """The request, parsed."""
        parsed: dict[str, Any] = json.loads(self.request)
        return parsed


async def store_recording(
    connection: Connection,
    session_id: str,
    agent_run_id: str,
    path: str,
    recording: Recording,
    redactor: Redactor,
) -> None:
    """Store a call, without secrets, in the transaction of the event that ends it."""
    await connection.run(
        _SQL["record"],
        {
            "session_id": session_id,
            "agent_run_id": agent_run_id,
            "path": path,
            "auxiliary": recording.number is None,
            "number": recording.number,
            "status": recording.status,
            "request_headers": Json(dict(recording.request_headers)),
            "request": zlib.compress(redacted_body(recording.request, redactor), 1),
            "response_headers": Json(dict(recording.response_headers)),
            "content_type": recording.content_type,
            "response": zlib.compress(redacted_body(recording.response, redactor), 1),
        },
    )


async def recorded_step(database: Database, session_id: str, path: str, number: int) -> list[Recording]:
    """Give the answers to the step of this number of the agent run at this path, the last one first.

    The others are refusals, after which the agent asked again: in a shorter form, or later.
    """
    rows = await database.all(
        _SQL["recorded_step"], {"session_id": session_id, "path": path, "number": number}
    )
    return [_recording(row) for row in rows]


async def recorded_auxiliaries(database: Database, session_id: str, path: str) -> list[Recording]:
    """Give the auxiliary calls of the agent run at this path, in order."""
    rows = await database.all(_SQL["recorded_auxiliaries"], {"session_id": session_id, "path": path})
    return [_recording(row) for row in rows]


async def count_recorded(database: Database | Connection, session_id: str) -> int:
    """Count the calls of a session that were answered and recorded."""
    row = await database.one(_SQL["count_recorded"], {"session_id": session_id})
    return int(row["calls"]) if row else 0


def _recording(row: Mapping[str, Any]) -> Recording:
    unpacked = {name: zlib.decompress(row[name]) for name in ("request", "response")}
    return Recording(**{**row, **unpacked})
