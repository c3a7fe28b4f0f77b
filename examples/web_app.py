"""A web application that takes questions and shows sessions live; workers advance them, one of them in here.

Needs a web framework, here starlette, and a server: uvicorn examples.web_app:app
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from harness import Harness, HarnessError


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Hold one Harness, and run a worker beside the requests; on shutdown it hands its sessions back."""
    async with Harness() as harness:
        app.state.harness = harness
        worker = await harness.worker(concurrency=2)
        work = asyncio.create_task(worker.run())
        yield
        worker.drain()
        await work


async def ask(request: Request) -> Response:
    """Commit a session for a question and answer at once."""
    asked = await request.json()
    try:
        session_id = await request.app.state.harness.submit(asked["question"], upstream="offline")
    except HarnessError as problem:
        return JSONResponse({"problem": str(problem)}, status_code=422)
    return JSONResponse({"session_id": session_id}, status_code=202)


async def events(request: Request) -> Response:
    """Stream a session's events as they are committed, by whatever worker."""
    harness, session_id = request.app.state.harness, request.path_params["session_id"]

    async def lines() -> AsyncIterator[str]:
        async for event in harness.events(session_id):
            yield f"id: {event.seq}\nevent: {event.payload.kind}\ndata: {event.payload.model_dump_json()}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


async def report(request: Request) -> Response:
    """Give a session's report, once there is one."""
    state = await request.app.state.harness.state(request.path_params["session_id"])
    return JSONResponse({"status": state.status, "report": state.report})


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/sessions", ask, methods=["POST"]),
        Route("/sessions/{session_id}", report),
        Route("/sessions/{session_id}/events", events),
    ],
)
