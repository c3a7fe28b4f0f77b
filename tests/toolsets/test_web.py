"""What the toolset `web` fetches and keeps, and what it refuses, against a real server on loopback."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

import pytest

from harness import toolserver
from harness.corpus.corpus import Corpus
from harness.sections import Web
from harness.settings import Settings
from harness.tools import InvalidInput, ToolContext, ToolProblem, TooSlow, Unavailable
from harness.toolsets.fetching import public
from harness.toolsets.web import WEB, FetchInput
from tests.toolsets.conftest import call
from tests.toolsets.pages import Pages


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Loopback may be fetched."""
    return settings.model_copy(update={"web": Web(allow_private=True)})


def ruled(context: ToolContext, **rules: Any) -> ToolContext:
    """The same agent under other rules."""
    web = Web(**({"allow_private": True} | rules))
    return replace(context, settings=context.settings.model_copy(update={"web": web}))


async def test_a_page_becomes_a_document_of_the_session(context: ToolContext, pages: Pages) -> None:
    """Its text without its scripts, under a label, and it can be read and searched as any other."""
    answer = await call(context, "web.fetch", url=pages.url("tides#turn"))
    text = "Tides\n\nThe tide turns twice a day."
    assert answer == {
        "source": "S1",
        "title": "On tides",
        "locator": pages.url("tides"),
        "offset": 0,
        "text": text,
        "next_offset": None,
        "length": len(text),
    }
    corpus = Corpus(context.database)
    assert await corpus.text(context.session_id, "S1") == text
    found = await corpus.search(context.session_id, "When does the tide turn?", 3)
    assert [hit.source for hit in found.hits] == ["S1"]


async def test_an_unchanged_page_keeps_its_label(context: ToolContext, pages: Pages) -> None:
    """Though its markup differs each time; another page gets the next label."""
    labels = [
        (await call(context, "web.fetch", url=pages.url(path)))["source"]
        for path in ("tides", "notes.md", "tides", "hop/2")
    ]
    assert labels == ["S1", "S2", "S1", "S1"]


async def test_a_long_page_is_read_on_in(context: ToolContext, pages: Pages) -> None:
    """Its beginning is given, and where to go on."""
    answer = await call(context, "web.fetch", url=pages.url("long"))
    rest = await call(context, "corpus.read", source="S1", offset=answer["next_offset"], length=8000)
    whole = await Corpus(context.database).text(context.session_id, "S1")
    assert answer["length"] == len(whole)
    assert whole.startswith(answer["text"] + rest["text"])


@pytest.mark.parametrize(
    ("path", "title", "text"),
    [
        ("almanac", "Almanac", "High water is at noon."),
        ("latin", "{url}", "Ebbe für Fähren"),
        ("notes.md", "Notes", "# Notes\n\nRopes."),
        ("data", "{url}", '{"high": "noon"}'),
        ("unnamed", "Unnamed", "Sails."),
    ],
)
async def test_each_kind_is_read_as_what_it_is(
    context: ToolContext, pages: Pages, path: str, title: str, text: str
) -> None:
    """PDF, text in the charset that the server names, Markdown, JSON, and what has no name by its bytes."""
    answer = await call(context, "web.fetch", url=pages.url(path))
    assert (answer["title"], answer["text"]) == (title.format(url=pages.url(path)), text)


@pytest.mark.parametrize(
    ("path", "kind", "says"),
    [
        ("gone", ToolProblem, "answered 404"),
        ("status/403", ToolProblem, "answered 403"),
        ("status/429", Unavailable, "answered 429"),
        ("status/502", Unavailable, "answered 502"),
        ("hangup", Unavailable, "failed"),
        ("chart.png", ToolProblem, "is image/png, not text"),
        ("empty", ToolProblem, "holds no text"),
        ("broken.pdf", ToolProblem, "is not a PDF that can be read"),
        ("large", ToolProblem, "larger than 100,000 bytes"),
        ("bomb", ToolProblem, "larger than 100,000 bytes"),
        ("endless", ToolProblem, "larger than 100,000 bytes"),
        ("slow", TooSlow, r"did not come within 0\.5 s"),
        ("hop/5", ToolProblem, "not reached within 5 redirects"),
        ("to?url=ftp://files.example/x", InvalidInput, "no page of the web"),
        ("to?url=file:///etc/passwd", InvalidInput, "no page of the web"),
    ],
)
async def test_what_cannot_be_had_is_said(
    context: ToolContext, pages: Pages, path: str, kind: type[ToolProblem], says: str
) -> None:
    """Each failure is of its kind, and leaves no document behind."""
    with pytest.raises(ToolProblem, match=says) as raised:
        await call(ruled(context, max_bytes=100_000, timeout_s=0.5), "web.fetch", url=pages.url(path))
    assert type(raised.value) is kind
    assert await Corpus(context.database).sources(context.session_id) == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("tides", "no page of the web"),
        ("ftp://127.0.0.1/x", "no page of the web"),
        ("file:///etc/passwd", "no page of the web"),
        ("http:///x", "no page of the web"),
        ("http://[::1/x", "is no URL"),
        ("http://me:secret@127.0.0.1/", "holds a name or password"),
        ("http://127.0.0.1:99999/", "is no URL|cannot be used"),
        ("http://no-such-host.invalid/", "There is no host|could not be looked up"),
    ],
)
async def test_a_bad_address_is_said_to_be_one(context: ToolContext, url: str, says: str) -> None:
    """Nothing is asked of anybody."""
    with pytest.raises(ToolProblem, match=says):
        await call(context, "web.fetch", url=url)


async def test_nobody_there_is_unavailable(context: ToolContext) -> None:
    """A port where nobody listens may have somebody in a moment."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable, match="failed"):
            await call(context, "web.fetch", url=f"http://127.0.0.1:{unused.getsockname()[1]}/")


async def test_a_busy_server_is_tried_again(
    context: ToolContext, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third try has it."""
    monkeypatch.setattr(toolserver, "FIRST_PAUSE_S", 0.001)
    before = pages.asked("busy")
    answer = await toolserver.tried(WEB.tools[0], context, FetchInput(url=pages.url("busy")))
    assert getattr(answer, "text", None) == "At last."
    assert pages.asked("busy") - before == 3


class TestPrivateAddresses:
    """What the agent must not reach, unless the settings say otherwise."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """As they are by default."""
        return settings.model_copy(update={"web": Web()})

    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"]
    )
    async def test_this_machine_is_refused_by_whatever_name(
        self, context: ToolContext, pages: Pages, host: str
    ) -> None:
        """The server, which listens, is not asked."""
        before = pages.asked("tides")
        port = pages.base_url.rpartition(":")[2]
        with pytest.raises(ToolProblem, match=r"not a public address|There is no host|not a canonical"):
            await call(context, "web.fetch", url=f"http://{host}:{port}/tides")
        assert pages.asked("tides") == before

    async def test_a_redirect_is_no_way_around(
        self, context: ToolContext, pages: Pages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A page on a public address that leads to this machine is not followed there."""
        verdicts = iter([True])  # the first connection counts as one to the public internet
        monkeypatch.setattr(
            "harness.toolsets.fetching.public", lambda address: next(verdicts, False) or public(address)
        )
        before = pages.asked("tides"), pages.asked("to")
        inner = pages.url("tides").replace("127.0.0.1", "localhost")
        with pytest.raises(ToolProblem, match="which is not a public address"):
            await call(context, "web.fetch", url=pages.url(f"to?url={inner}"))
        assert (pages.asked("tides"), pages.asked("to")) == (before[0], before[1] + 1)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07::1", True),
        ("64:ff9b::5db8:d70e", True),
        ("::ffff:93.184.215.14", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::127.0.0.1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("2001:0:a00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, expected: bool) -> None:
    """Also those that wrap an IPv4 address are told by it."""
    assert public(address) is expected
