"""The page's text: nothing that agents have written can become a part of its markup."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from harness.page.markdown import report_html
from harness.page.render import render
from tests.kit.sample_session import CANARY, sample_session
from tests.page.conftest import told


class Elements(HTMLParser):
    """Collects the tags of a page with their attributes, and the text of its data."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag, attributes = self.found[-1] if self.found else ("", {})
        if tag == "script" and attributes.get("id"):
            name = str(attributes["id"])
            self.texts[name] = self.texts.get(name, "") + data


@pytest.fixture(scope="module")
def page() -> str:
    """The page of the sample session."""
    return render(told(sample_session()))


def test_the_page_loads_nothing(page: str) -> None:
    """No element names a place from which a browser would fetch, and the policy allows none."""
    elements = Elements(page).found
    assert {"img", "link", "iframe", "object", "base", "form"}.isdisjoint(tag for tag, _ in elements)
    assert not any("src" in attributes for _, attributes in elements)
    assert not any(name.startswith("on") or name == "style" for _, each in elements for name in each)
    (policy,) = [each["content"] for tag, each in elements if each.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "url(" not in page.partition("</style>")[0]


def test_what_agents_wrote_stays_data(page: str) -> None:
    """A text that would end a script is in the data as it was, and nowhere in the markup."""
    elements = Elements(page)
    assert sum(tag == "script" for tag, _ in elements.found) == 3
    contents = json.loads(elements.texts["contents"])
    outputs = [value.get("output", {}).get("text", "") for value in contents.values()]
    assert any(CANARY in text for text in outputs)
    assert CANARY not in page
    assert page.count("</script>") == 3


def test_the_data_is_what_was_told(page: str) -> None:
    """The page holds it whole; the report alone is markup."""
    data = told(sample_session())
    expected = data.model_dump(mode="json", exclude={"report", "contents"})
    assert json.loads(Elements(page).texts["data"]) == expected


def test_a_report_can_do_no_harm() -> None:
    """Raw HTML is shown as text; a link that would run something is no link; no image is fetched."""
    html = report_html(
        "# Title\n\n<img src=x onerror=alert(1)> [1] ![spy](https://evil.example/x.png) "
        '[go](javascript:alert(1)) [ok](https://example.org "t")\n\n<script>alert(1)</script>\n'
    )
    tags = {tag for tag, _ in Elements(html).found}
    assert tags == {"h3", "p", "a"}
    hrefs = [attributes["href"] for tag, attributes in Elements(html).found if tag == "a"]
    assert hrefs == ["#source-1", "https://evil.example/x.png", "https://example.org"]


def test_markers_link_to_their_sources() -> None:
    """Also several in one bracket and ranges; not in code, not in links; those that fail look different."""
    html = report_html("So [1, 2-3], `[4]` and [x [5]](https://example.org).", failing={2})
    assert re.findall(r'href="#source-(\d+)"', html) == ["1", "2", "3"]
    assert re.findall(r'class="cite fails"[^>]*>(\d+)', html) == ["2"]
    assert "<code>[4]</code>" in html


def test_the_list_of_sources_is_not_repeated() -> None:
    """It is shown beside the report, with verdicts; what follows it stays."""
    html = report_html("It is so [1].\n\n## Sources\n\n[1] S1, Title\n\n## Limits\n\nMuch.\n")
    assert "S1, Title" not in html
    assert "Limits" in html


def test_names_of_places_in_a_text_are_left_alone() -> None:
    """A report that speaks of the template is not filled in."""
    sample = sample_session()
    sample.book.state.report = "{{SCRIPT}} and {{DATA}} and {{NOTHING}}"
    assert "<p>{{SCRIPT}} and {{DATA}} and {{NOTHING}}</p>" in render(told(sample))


def test_any_text_can_be_written() -> None:
    """A NUL and a lone surrogate, which the journal can hold."""
    sample = sample_session()
    sample.spans[5].attributes["input"]["text"] = "a \x00 b \ud800 \u2028"
    contents = json.loads(Elements(render(told(sample))).texts["contents"])
    assert contents[sample.spans[5].span_id]["input"]["text"] == "a \x00 b \ud800 \u2028"


def test_the_script_never_parses_html() -> None:
    """What it shows becomes text nodes."""
    for file in files("harness.page").iterdir():
        if file.name.endswith(".js"):
            source = file.read_text("utf-8")
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", source)
