"""A question becomes a session: what it begins with is read, kept and committed."""

from __future__ import annotations

import uuid
from dataclasses import replace

from harness import events as ev
from harness.beginning import Place, begin
from harness.corpus.corpus import Corpus
from harness.permit import check_role, permitted
from harness.request import Request
from harness.rolling_out import Recheck, beginning
from harness.session import Tools
from harness.store.database import Database
from harness.store.journal import Journal
from harness.store.rollouts import note_arms
from harness.versions import keep_bundles


async def start(
    tools: Tools, database: Database, request: Request, recheck: Recheck, place: Place | None = None
) -> tuple[Journal, Tools]:
    """Commit a new session, and give its journal and what it works with.

    `recheck` checks the same request with other bundles and another flow, where versions are rolled out.
    With a `place` the session is left to the workers.
    """
    settings, session_id = tools.settings, str(uuid.uuid4())
    begun = await beginning(database, settings, tools.bundles, session_id, request, recheck)
    if place is None:
        await check_role(database, request.upstream)
    limits = await permitted(database, settings.tenant, begun.request.plea)
    request, tenant, asked = begun.request, settings.tenant, tools.redactor.text(begun.request.question)
    corpus = Corpus(database, tools.redactor)
    # Everything is read before anything is created, so that a bad file leaves nothing behind.
    files = list(request.files)
    documents = await corpus.load(tenant, files) if files else []

    async def created() -> ev.SessionCreated:
        await keep_bundles(database, tenant, session_id, begun.used, tools.redactor)
        await note_arms(database, session_id, begun.arms)
        return ev.SessionCreated(
            tenant=tenant,
            question=asked,
            flow_name=request.flow.name,
            flow=request.flow.flow,
            state=request.flow.state,
            upstream=request.upstream,
            limits=limits,
            model=request.model,
            bundles={each.name: each.version for each in begun.used},
            sources=await corpus.attach(session_id, tenant, documents),
            project=str(tools.project),
            record=request.record,
            tags=tuple(tools.redactor.text(tag) for tag in request.tags),
            max_concurrent=request.max_concurrent,
            waits_for=None if place is None else "worker",
        )

    journal = await begin(
        database, settings, tools.redactor, session_id, request.flow.name, asked, created, place
    )
    return journal, replace(tools, bundles=begun.bundles)
