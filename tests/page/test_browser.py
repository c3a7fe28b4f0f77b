"""The page in a real browser, from a file: used as a person would, and nothing in it runs but its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.page.data import page_data
from harness.page.render import render
from harness.tracing.span import Span
from tests.kit.browser import Browser, BrowserMissing, browser
from tests.kit.sample_session import CANARY, Sample, sample_session
from tests.page.conftest import told, written

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOWN, LEFT, ENTER, ESCAPE = "\ue015", "\ue012", "\ue007", "\ue00c"


async def text(window: Browser, selector: str) -> str:
    """What an element says."""
    return str(await window.run("return document.querySelector(arguments[0]).innerText", selector))


async def counted(window: Browser) -> str:
    """What is said of how many spans are shown."""
    return await text(window, ".counted")


async def click(window: Browser, selector: str) -> None:
    """Click an element."""
    await window.run("document.querySelector(arguments[0]).click()", selector)


async def type_filter(window: Browser, words: str) -> None:
    """Type into the filter, and wait until it is heard."""
    before = await counted(window)
    await window.run(
        "const field = document.querySelector('input[type=search]'); field.value = arguments[0];"
        "field.dispatchEvent(new Event('input', {bubbles: true}))",
        words,
    )
    await window.until(f"document.querySelector('.counted').innerText !== '{before}'", "the filter to work")


def one(spans: list[Span], **wanted: Any) -> Span:
    """The first span with these fields."""
    return next(span for span in spans if all(getattr(span, name) == value for name, value in wanted.items()))


@pytest.fixture(scope="module")
def sample() -> Sample:
    """The sample session."""
    return sample_session()


async def test_it_opens_from_a_file_and_shows_the_session(
    window: Browser, sample_page: str, sample: Sample
) -> None:
    """Question, numbers, report, agents, spans, messages and checkpoints are there."""
    await window.open(sample_page)
    assert await text(window, "h1") == sample.book.state.question
    numbers = await text(window, "#stats")
    for words in ("$0.81", "1 needs help", "4 / 5", "1 does not hold", "cache read"):
        assert words in numbers
    assert await text(window, ".prose h3") == "Reefs recover where coral can settle and time is given"
    assert (await text(window, "#source-5")).endswith("The quote does not stand in S5 word for word.")
    assert await counted(window) == f"{len(sample.spans)} spans"
    rows = await window.run("return document.querySelectorAll('#agent-table tbody tr').length")
    assert rows == len(sample.book.state.runs)
    assert await window.run("return document.querySelectorAll('.message').length") == len(
        told(sample).messages
    )


async def test_a_call_is_opened_with_what_went_in_and_came_out(
    window: Browser, sample_page: str, sample: Sample
) -> None:
    """JSON is laid out, a long text keeps its lines, and what was cut says so with its size and hash."""
    await window.open(sample_page)
    call = one(sample.spans, kind="model", status="ok")
    await click(window, f"#row-{call.span_id}")
    assert call.name in await text(window, ".pane h3")
    first = await text(window, ".pane pre")
    assert first.startswith('{\n  "model": "claude-opus-5-5",\n  "max_tokens": 8192,')
    assert "You are a researcher.\n" in first
    cut = one([span for span in sample.spans if span.attributes.get("output", {}).get("cut")], kind="tool")
    await window.run(f"location.hash = 'span-{cut.span_id}'")
    await window.until(f"document.querySelector('.pane h3').innerText === '{cut.name}'", "the span")
    said = await text(window, ".pane")
    output = cut.attributes["output"]
    assert (
        f"Cut: the first 4,000 of {output['chars']:,} characters, sha256 of all {output['sha256'][:12]}"
        in said
    )
    assert f"harness fork {sample.book.state.id} --at {cut.seq}" in said


async def test_a_chat_is_shown_message_by_message(window: Browser, tmp_path: Path) -> None:
    """Who speaks, what was thought, calls with their arguments, the tools on offer, what is missing."""
    sample = sample_session()
    call = one(sample.spans, kind="model", status="ok")
    arguments = '{"query": "tides"}'
    called = {"id": "toolu_1", "type": "function", "function": {"name": "look", "arguments": arguments}}
    thought = [{"type": "thinking", "content": "Hm."}]
    asked = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "system", "content": "[Left out here: 3 messages.]"},
            {"role": "assistant", "content": "I look.", "thinking": thought, "tool_calls": [called]},
            {"role": "tool", "tool_call_id": "toolu_1", "content": [{"type": "text", "text": "true"}]},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "description": "Looks."}}],
    }
    for name, value in (("input", asked), ("output", {"role": "assistant", "content": CANARY})):
        shown = {"text": json.dumps(value), "cut": name == "input", "json_text": True, "chat_bytes": 131_072}
        call.attributes[name] = {**call.attributes[name], **shown}
    await window.open(f"{written(tmp_path, render(told(sample)))}#span-{call.span_id}")
    headings = "return [...document.querySelectorAll('.pane h5')].map(each => each.innerText.trim())"
    heard = [" ".join(each.split()) for each in await window.run(headings)]
    assert heard == [
        "system",
        "system",
        "assistant",
        "thinking",
        "calls look toolu_1",
        "tool toolu_1",
        "assistant",
    ]
    said = await text(window, ".pane")
    for words in ("Be brief.", "Left out here: 3", "Hm.", '"query": "tides"', "1 tool on offer", CANARY[:20]):
        assert words in said
    assert "what is left out is said in its place" in said


async def test_contents_that_were_not_kept_are_said_to_be(window: Browser, tmp_path: Path) -> None:
    """With capture = "metadata" there is a size and a hash; with "none" there is neither, and no trouble."""
    sample = sample_session()
    bare, none = [span for span in sample.spans if span.kind == "model"][:2]
    for name in ("input", "output"):
        bare.attributes[name] = {**bare.attributes[name], "text": None}
        del none.attributes[name]
    address = written(tmp_path, render(told(sample)))
    await window.open(f"{address}#span-{bare.span_id}")
    assert "Not kept: " in await text(window, ".pane")
    assert await window.run("return document.querySelectorAll('section.content > pre').length") == 0
    await window.open(f"{address}#span-{none.span_id}")
    headings = "return [...document.querySelectorAll('.pane h4')].map(each => each.innerText)"
    assert await window.run(headings) == [f"From event {none.seq}"]


async def test_a_link_to_a_span_opens_it(window: Browser, sample_page: str, sample: Sample) -> None:
    """The row is selected and in sight, and the address stays."""
    span = sample.spans[-8]
    await window.open(f"{sample_page}#span-{span.span_id}")
    selected = "document.querySelector('.row[aria-selected=true]')"
    assert await window.run(f"return {selected}.dataset.id") == span.span_id
    assert span.name in await text(window, ".pane h3")
    inside = (
        f"const row = {selected}.getBoundingClientRect();"
        "const list = document.querySelector('.list').getBoundingClientRect();"
        "return row.top >= list.top && row.bottom <= list.bottom"
    )
    assert await window.run(inside)


async def test_spans_are_filtered_by_text_kind_agent_and_status(
    window: Browser, sample_page: str, sample: Sample
) -> None:
    """What fits is shown with what leads to it, and everything comes back."""
    await window.open(sample_page)
    whole = len(sample.spans)
    await type_filter(window, "There is no source S9")
    errors = sum(span.status == "error" for span in sample.spans)
    assert await counted(window) == f"{errors} of {whole} spans"
    await click(window, ".counted + .link")
    assert await counted(window) == f"{whole} spans"
    await click(window, ".chip.kind-gate")
    assert await counted(window) == f"2 of {whole} spans"
    await click(window, ".counted + .link")
    await click(window, "#agent-table .link")
    lead = next(iter(sample.book.state.runs))
    assert await counted(window) == f"{sum(s.agent_run_id == lead for s in sample.spans)} of {whole} spans"
    await click(window, ".counted + .link")
    await window.run(
        "const field = document.querySelector('[name=status]'); field.value = 'interrupted';"
        "field.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    cut_off = sum(span.status == "interrupted" for span in sample.spans)
    assert await counted(window) == f"{cut_off} of {whole} spans"


async def test_spans_that_are_open_or_were_cut_off_look_it(window: Browser, tmp_path: Path) -> None:
    """In words, too, and not by colour alone."""
    sample = sample_session()
    count = next(n for n, event in enumerate(sample.book.events) if event.payload.kind == "session.resumed")
    book = sample.book.upto(count)
    spans = [
        span.model_copy(update={"ended_at": None, "status": "open"})
        if span.status == "interrupted" and span.kind == "model"
        else span
        for span in sample.spans
        if span.seq <= count
    ]
    await window.open(written(tmp_path, render(page_data(book.events, book.state, spans))))
    for status, words in (("open", "open"), ("interrupted", "interrupted"), ("error", "error")):
        assert words in await text(window, f".row.is-{status} .took")
        assert await text(window, f".row.is-{status} .sign")
    assert await text(window, ".prose") == "There is no report yet."


async def test_an_idle_time_is_squeezed_and_can_be_stretched(window: Browser, sample_page: str) -> None:
    """More than two hours of nothing leave the work its room, and say how long they were."""
    await window.open(sample_page)
    width = "return document.querySelector('.row.kind-model .bar').getBoundingClientRect().width"
    assert await text(window, ".gap") == "2 h 20 m"
    squeezed = await window.run(width)
    await click(window, ".check input")
    assert await window.run(width) < squeezed / 10
    assert await window.run("return document.querySelectorAll('.gap').length") == 0


async def test_zoom_makes_a_bar_longer_and_fit_brings_all_back(window: Browser, sample_page: str) -> None:
    """Around the span that is selected."""
    await window.open(sample_page)
    await click(window, ".row.kind-model")
    width = "return document.querySelector('.row.kind-model .bar').getBoundingClientRect().width"
    before = await window.run(width)
    await click(window, "[aria-label='Zoom in']")
    assert await window.run(width) == pytest.approx(2 * before, rel=0.05)
    await click(window, "[aria-label='Show the whole session']")
    assert await window.run(width) == pytest.approx(before, rel=0.01)


async def test_the_timeline_is_used_with_the_keyboard(window: Browser, sample_page: str) -> None:
    """Arrows walk and fold, Enter opens, Escape closes, and the focus is where it should be."""
    await window.open(sample_page)
    await window.run("document.querySelector('.list').focus()")
    await window.press(DOWN, DOWN)
    row = "document.getElementById(document.querySelector('.list').getAttribute('aria-activedescendant'))"
    assert "lead" in await window.run(f"return {row}.innerText")
    rows = await window.run("return document.querySelector('.list').getAttribute('aria-rowcount')")
    await window.press(LEFT)
    assert await window.run(f"return {row}.getAttribute('aria-expanded')") == "false"
    folded = await window.run("return document.querySelector('.list').getAttribute('aria-rowcount')")
    assert int(folded) < int(rows)
    await window.press(ENTER)
    assert "invoke_agent lead" in await text(window, ".pane h3")
    assert await window.run("return document.activeElement.closest('.pane') !== null")
    await window.press(ESCAPE)
    assert await window.run("return document.querySelector('.pane').hidden")
    assert await window.run("return document.activeElement.className") == "list"


async def test_a_checkpoint_gives_its_commands_and_leads_to_its_span(
    window: Browser, sample_page: str, sample: Sample
) -> None:
    """The newest comes first; each can be copied."""
    await window.open(sample_page)
    (*_, last) = told(sample).checkpoints
    commands = await window.run(
        "const first = document.querySelector('.checkpoints tbody tr');"
        "return [...first.querySelectorAll('[data-copy]')].map(button => button.dataset.copy)"
    )
    session = sample.book.state.id
    assert commands == [f"harness {verb} {session} --at {last.seq}" for verb in ("fork", "resume")]
    await click(window, ".checkpoints tbody tr:first-child a")
    await window.until("!document.querySelector('.pane').hidden", "the span to open")
    await click(window, "#checkpoints .more")
    shown = await window.run("return document.querySelectorAll('.checkpoints tbody tr').length")
    assert shown == len(told(sample).checkpoints)


async def test_what_agents_wrote_does_not_run(window: Browser, sample_page: str, sample: Sample) -> None:
    """A text that would break out of the page is shown as it is."""
    hostile = one(
        [span for span in sample.spans if CANARY in str(span.attributes.get("output", {}).get("text"))],
        kind="tool",
    )
    await window.open(f"{sample_page}#span-{hostile.span_id}")
    assert CANARY in await text(window, ".pane")
    assert await window.run("return document.title") == sample.book.state.question
    assert await window.run("return document.images.length") == 0


async def test_a_hostile_session_does_not_run_anywhere(window: Browser, tmp_path: Path) -> None:
    """In the question, the report, the names of spans, messages, sources and problems."""
    sample = sample_session()
    state = sample.book.state
    state.questions = [CANARY]
    state.report = f'{CANARY} [1]\n\n## Sources\n\n[1] {CANARY}: "{CANARY}"\n'
    state.problem = CANARY
    spans = [span.model_copy(update={"name": f"{span.name} {CANARY}"}) for span in sample.spans]
    for run in state.runs.values():
        run.agent = CANARY
    data = page_data(sample.book.events, state, spans, resume=CANARY, fork=CANARY)
    await window.open(written(tmp_path, render(data)))
    await window.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    await click(window, ".row.kind-tool")
    assert await text(window, "h1") == " ".join(CANARY.split())
    assert await window.run("return document.title") == CANARY
    assert await window.run("return [document.images.length, document.scripts.length]") == [0, 3]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_can_be_read_in_light_and_dark(window: Browser, sample_page: str, scheme: str) -> None:
    """Every text has the contrast that the guidelines ask for (WCAG AA, 4.5 to 1)."""
    await window.looks(scheme=scheme)
    await window.open(sample_page)
    await click(window, ".row.kind-model")
    background = await window.run("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    assert await window.run(_FAINT) == []


@pytest.mark.parametrize("width", [360, 390, 768])
async def test_nothing_is_wider_than_a_phone(window: Browser, sample_page: str, width: int) -> None:
    """Also with a span open; tables scroll by themselves."""
    await window.looks(width=width, height=800)
    await window.open(sample_page)
    wide = "return document.documentElement.scrollWidth"
    assert await window.run(wide) <= width
    await click(window, ".row.kind-tool")
    assert await window.run(wide) <= width
    pane = await window.run("return document.querySelector('.pane').getBoundingClientRect().width")
    assert pane <= width


async def test_print_shows_every_row_and_no_controls(
    window: Browser, sample_page: str, sample: Sample
) -> None:
    """On paper nothing can be scrolled; a drawing that was asked for before does not take rows away."""
    rows = "return document.querySelectorAll('.row').length"
    await window.open(sample_page)
    assert await window.run(rows) < len(sample.spans)
    await window.run("dispatchEvent(new Event('beforeprint'))")
    await window.run(
        "document.querySelector('.list').dispatchEvent(new Event('scroll'));"
        "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    await window.devtools("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert await window.run(rows) == len(sample.spans)
        assert await window.run("return document.querySelector('.filters').checkVisibility()") is False
        assert await window.run(
            "const list = document.querySelector('.list'); return list.scrollHeight <= list.clientHeight"
        )
    finally:
        await window.devtools("Emulation.setEmulatedMedia", {"media": ""})
    await window.run("dispatchEvent(new Event('afterprint'))")
    assert await window.run(rows) < len(sample.spans)


async def test_five_thousand_spans_stay_usable(window: Browser, large_page: str) -> None:
    """Only the rows in sight are drawn; a filter goes through names, inputs and outputs of all."""
    await window.open(large_page)
    assert await counted(window) == "5,005 spans"
    drawn = "return document.querySelectorAll('.row').length"
    assert await window.run(drawn) < 100
    await click(window, "[aria-label='Unfold everything']")
    assert await window.run("return document.querySelector('.list').getAttribute('aria-rowcount')") == "5005"
    await window.run("document.querySelector('.list').scrollTop = 1e9")
    await window.until(
        "[...document.querySelectorAll('.row')].some(row => row.getAttribute('aria-rowindex') === '5005')",
        "the last row to be drawn",
    )
    assert await window.run(drawn) < 100
    await type_filter(window, "postgres was away")
    assert await counted(window) == "40 of 5,005 spans"


async def test_a_session_without_spans_is_a_page_too(window: Browser, tmp_path: Path, sample: Sample) -> None:
    """It says that they are missing, and shows the rest."""
    data = page_data(sample.book.events, sample.book.state, [])
    await window.open(written(tmp_path, render(data)))
    assert "No spans were kept" in await text(window, "#timeline")
    assert await window.run("return document.querySelectorAll('#agent-table tbody tr').length") == 8
    assert await window.run("return document.querySelectorAll('.checkpoints tbody tr').length") > 0


async def test_a_missing_browser_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The tests that need one fail, with what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrowserMissing, match="apt install chromium chromium-driver"):
        async with browser():
            pass


_FAINT = """
const numbers = (colour) => {
  const found = colour.match(/[\\d.]+/g).map(Number);
  return colour.startsWith("color(") ? found.map((each, place) => place < 3 ? each * 255 : each) : found;
};
const luminance = (rgb) => rgb.slice(0, 3).map((each) => each / 255)
  .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
  .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
const behind = (element) => {
  for (let each = element; each; each = each.parentElement) {
    const colour = numbers(getComputedStyle(each).backgroundColor);
    if (colour.length < 4 || colour[3] > 0.85) return colour;
  }
  return [255, 255, 255];
};
const faint = new Set();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
  if (element.closest("script, .sr, .skip")) continue;
  const [one, other] = [numbers(getComputedStyle(element).color), behind(element)].map(luminance);
  const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  if (ratio < 4.5) faint.add(`${element.tagName}.${element.className}: ${ratio.toFixed(2)}`);
}
return [...faint];
"""
