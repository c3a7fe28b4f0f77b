"""One browser for all tests of the page, and pages of the sample sessions as files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from harness.page.data import page_data
from harness.page.records import PageData
from harness.page.render import render
from tests.kit import sample_texts as texts
from tests.kit.browser import Browser, browser
from tests.kit.sample_session import Sample, large_session, sample_session


def told(sample: Sample) -> PageData:
    """What the page of a sample is told."""
    state = sample.book.state
    return page_data(
        sample.book.events,
        state,
        sample.spans,
        sources=texts.SOURCES,
        resume=f"harness resume {state.id}",
        fork=f"harness fork {state.id}",
        now=sample.book.events[-1].recorded_at + timedelta(seconds=2),
    )


def written(folder: Path, text: str) -> str:
    """Write a page and give its address."""
    file = folder / "report.html"
    file.write_text(text, "utf-8")
    return file.as_uri()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _window() -> AsyncIterator[Browser]:
    async with browser() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def window(_window: Browser) -> AsyncIterator[Browser]:
    """The browser, with the looks of a desk; the test fails if the page has raised or broken its policy."""
    await _window.looks()
    await _window.problems()
    yield _window
    assert await _window.problems() == []


@pytest.fixture(scope="session")
def sample_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the page of the sample session."""
    return written(tmp_path_factory.mktemp("page"), render(told(sample_session())))


@pytest.fixture(scope="session")
def large_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the page of a session of 5,000 spans."""
    return written(tmp_path_factory.mktemp("page"), render(told(large_session(5_000))))
