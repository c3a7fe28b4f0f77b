"""Every bad definition is refused with one sentence that names file and field."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from harness.bundles.bundle import Bundle
from harness.bundles.load import load_bundle
from harness.errors import BadBundle
from harness.tools import Tool, ToolContext, Toolset

AGENT = """\
---
role: field geologist
description: Reads strata.
tools: [corpus]
output: markdown
---
You read strata.
"""

INPUT = "from pydantic import BaseModel\nclass Input(BaseModel):\n    area: str\n"

DATING = """\
from pydantic import BaseModel, RootModel
from harness.tools import Tool, Toolset

async def date(context, query):
    return "old"

TOOLSET = Toolset("dating", (Tool("date", "Date a layer.", BaseModel, date),))
"""


FIELD = """\
from pydantic import BaseModel, Field

class Layer(BaseModel):
    size: int = Field(alias="größe")

class {kind}(BaseModel):
    layers: list[Layer]
"""


def root(what: str) -> str:
    """Give the source of an output that is no class with fields."""
    return f"from pydantic import RootModel\nclass Output(RootModel[{what}]): ...\n"


def front(line: str, without: str = "") -> str:
    """Give the definition with a line more, and perhaps one less."""
    kept = "\n".join(text for text in AGENT.split("\n") if not without or not text.startswith(without))
    return kept.replace("---\n", f"---\n{line}\n", 1)


BAD: dict[str, tuple[dict[str, str], str]] = {
    "no front matter": ({"AGENT.md": "You read strata."}, "AGENT.md should begin with YAML front matter"),
    "front matter not closed": ({"AGENT.md": "---\nrole: x\n"}, "should begin with YAML front matter"),
    "front matter is a list": (
        {"AGENT.md": "---\n- a\n---\nx"},
        "the front matter should be 'key: value' lines",
    ),
    "broken YAML": (
        {"AGENT.md": front("tools: [corpus", "tools")},
        "AGENT.md, line 3: the front matter is not valid",
    ),
    "key twice": (
        {"AGENT.md": front("role: a")},
        "AGENT.md, line 3: the front matter is not valid YAML: 'role' is",
    ),
    "unknown key": (
        {"AGENT.md": front("descripton: x")},
        "descripton: is not known (did you mean 'description'?)",
    ),
    "unknown limit": (
        {"AGENT.md": front("limits: {max_stepps: 3}")},
        "limits.max_stepps: is not known (did you mean 'max_steps'?)",
    ),
    "limit too small": (
        {"AGENT.md": front("limits: {max_steps: 0}")},
        "limits.max_steps: should be greater",
    ),
    "limit no number": (
        {"AGENT.md": front("limits: {timeout_s: soon}")},
        "limits.timeout_s: should be a valid",
    ),
    "name not the folder's": (
        {"AGENT.md": front("name: other")},
        "name: 'other' should be the folder's name",
    ),
    "name no text": ({"AGENT.md": front("name: 12")}, "name: should be a valid string (got 12)"),
    "no description": ({"AGENT.md": front("", "description")}, "description: is empty"),
    "no prompt": ({"AGENT.md": AGENT.replace("You read strata.\n", "")}, "prompt: is empty"),
    "unknown model role": (
        {"AGENT.md": front("model: reserch")},
        "nor a model's id (did you mean 'research'?)",
    ),
    "unknown effort": ({"AGENT.md": front("effort: hihg")}, "effort: should be 'low', 'medium'"),
    "tools no list": ({"AGENT.md": front("tools: {a: b}", "tools")}, "tools: should be a valid list"),
    "tool with no name": (
        {"AGENT.md": front("tools: ['Bash(git *)']", "tools")},
        "tools: 'Bash(git *)' is not the name",
    ),
    "tool twice": (
        {"AGENT.md": front("tools: [corpus, corpus]", "tools")},
        "tools: 'corpus' is listed twice",
    ),
    "delegating tool": (
        {"AGENT.md": front("tools: [Agent]", "tools")},
        "tools: 'Agent' works outside",
    ),
    "Claude Code's own key": (
        {"AGENT.md": front("permissionMode: plan")},
        "permissionMode: the harness does not",
    ),
    "replay of no tool": (
        {"AGENT.md": front("replay: {mcp__corpsu__search: unsafe}")},
        "replay: 'mcp__corpsu__search' is not among its tools",
    ),
    "replay of a toolset": (
        {"AGENT.md": front("replay: {corpus: unsafe}")},
        "replay: 'corpus' is a whole toolset; name its tools one by one, as mcp__corpus__<tool>",
    ),
    "replay of no tool of its own": (
        {"AGENT.md": front("replay: {mcp__dating__dote: unsafe}"), "tools.py": DATING},
        "replay: 'mcp__dating__dote' is not among its tools (did you mean 'mcp__dating__date'?)",
    ),
    "replay unknown": (
        {"AGENT.md": front("replay: {mcp__corpus__read: maybe}")},
        "replay.mcp__corpus__read: should be 'read_only'",
    ),
    "no output": ({"AGENT.md": front("", "output")}, "output: is missing; write 'output: markdown'"),
    "output unknown": ({"AGENT.md": front("output: html", "output")}, "output: should be 'markdown'"),
    "two outputs": (
        {"AGENT.md": AGENT, "schemas.py": INPUT + "class Output(Input): ..."},
        "output: says markdown, but there is a schema",
    ),
    "no Input": ({"AGENT.md": AGENT, "schemas.py": "x = 1"}, "schemas.py: Input: is missing"),
    "Input no model": (
        {"AGENT.md": AGENT, "schemas.py": "class Input: ..."},
        "schemas.py: Input should be a pydantic",
    ),
    "Input written twice": (
        {"AGENT.md": front("input_schema: {type: object}"), "schemas.py": INPUT},
        "input_schema: schemas.py has an Input as well",
    ),
    "schemas with a slip": (
        {"AGENT.md": AGENT, "schemas.py": INPUT + "\nclass Output(Missing): ..."},
        "schemas.py, line 5, does not load; mend it: NameError: name 'Missing' is not defined",
    ),
    "schemas no Python": (
        {"AGENT.md": AGENT, "schemas.py": "\nclass Input(:\n"},
        "schemas.py, line 2, does not load; mend it: SyntaxError",
    ),
    "schemas import what is not there": (
        {"AGENT.md": AGENT, "schemas.py": "import nowhere_at_all"},
        "schemas.py, line 1, does not load; mend it: ModuleNotFoundError",
    ),
    "schema not for JSON": (
        {
            "AGENT.md": AGENT,
            "schemas.py": "from collections.abc import Callable\n"
            + INPUT.replace("area: str", "area: Callable[[], int]"),
        },
        "schemas: cannot be written as JSON Schema",
    ),
    "JSON schema of no object": (
        {"AGENT.md": front("input_schema: {type: string}")},
        "input_schema: its type should be 'object'",
    ),
    "no JSON schema": (
        {"AGENT.md": front("input_schema: {type: thing}")},
        "input_schema: $.type: 'thing' is not valid under any of the given schemas",
    ),
    "JSON schema from elsewhere": (
        {"AGENT.md": front("input_schema: {type: object, $ref: 'https://example.com/x'}")},
        "input_schema: it refers to https://example.com/x",
    ),
    "a control character": (
        {"AGENT.md": AGENT.replace("You read", "You\0read")},
        "AGENT.md: prompt: holds the character '\\x00'",
    ),
    "an output that is a list": (
        {"AGENT.md": front("", "output"), "schemas.py": INPUT + root("list[Input]")},
        "AGENT.md: output: is no object but a list; put it into a field of a class.",
    ),
    "an output that is one of two": (
        {
            "AGENT.md": front("", "output"),
            "schemas.py": INPUT + "class Else(Input): ...\n" + root("Input | Else"),
        },
        "AGENT.md: output: is a choice between schemas (anyOf at its top)",
    ),
    "a choice at the top in the front matter": (
        {"AGENT.md": front("output_schema: {type: object, oneOf: [{required: [a]}]}", "output")},
        "output: is a choice between schemas (oneOf at its top)",
    ),
    "a field no model is sent": (
        {"AGENT.md": front("", "output"), "schemas.py": INPUT + FIELD.format(kind="Output")},
        "AGENT.md: output: the field 'größe' needs another name",
    ),
    "a field of the input no model is sent": (
        {"AGENT.md": AGENT, "schemas.py": FIELD.format(kind="Input")},
        "AGENT.md: input: the field 'größe' needs another name",
    ),
    "a schema too long for the CLI": (
        {
            "AGENT.md": front("", "output"),
            "schemas.py": INPUT + f"class Output(Input):\n    '{'Long. ' * 11_000}'\n    b: int\n",
        },
        "AGENT.md: output: its schema has 66,",
    ),
    "a tool that takes a list": (
        {"AGENT.md": AGENT, "tools.py": DATING.replace("BaseModel, date", "RootModel[list[int]], date")},
        "AGENT.md: toolsets: the input of 'date': is no object but a list",
    ),
    "a tool with a name no model is sent": (
        {
            "AGENT.md": AGENT,
            "tools.py": DATING.replace(
                '"date", "Date a layer.", BaseModel', '"date it", "x", RootModel[dict[str, int]]'
            ),
        },
        "AGENT.md: toolsets: the tool 'mcp__dating__date it' needs another name",
    ),
    "tools without a toolset": (
        {"AGENT.md": AGENT, "tools.py": "x = 1"},
        "tools.py: TOOLSET: should be a Toolset",
    ),
    "tools that raise": (
        {"AGENT.md": AGENT, "tools.py": "\n\n1 / 0"},
        "tools.py, line 3, does not load; mend it: ZeroDivisionError: division by zero.",
    ),
    "a toolset of the harness's name": (
        {
            "AGENT.md": AGENT,
            "tools.py": "from harness.tools import Toolset\nTOOLSET = Toolset('harness', ())",
        },
        "toolsets: 'harness' cannot be a toolset's name",
    ),
    "toolsets of one name": (
        {
            "AGENT.md": AGENT,
            "tools.py": "from harness.tools import Toolset\nTOOLSET = [Toolset('a', ()), Toolset('a', ())]",
        },
        "toolsets: two are named 'a'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_definition_is_refused_with_its_own_sentence(case: str, tmp_path: Path) -> None:
    """The sentence names the file and says what is wrong; it is one line."""
    files, says = BAD[case]
    folder = tmp_path / "geologist"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(BadBundle) as refused:
        load_bundle(folder)
    assert says in str(refused.value)
    assert str(folder) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_definition_the_bad_ones_are_made_from_is_good(tmp_path: Path) -> None:
    """Each case above fails for its own reason and not for the common ground."""
    folder = tmp_path / "geologist"
    folder.mkdir()
    (folder / "AGENT.md").write_text(AGENT)
    (folder / "schemas.py").write_text(INPUT)
    assert load_bundle(folder).name == "geologist"


def test_a_folder_without_a_definition_is_refused(tmp_path: Path) -> None:
    """A folder among the bundles is a bundle."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadBundle, match=r"empty has no AGENT\.md; write one, or remove the folder\."):
        load_bundle(tmp_path / "empty")


def test_a_definition_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are named as such."""
    file = tmp_path / "geologist.md"
    file.write_bytes(b"---\n\xff\n---\n")
    with pytest.raises(BadBundle, match=r"geologist\.md cannot be read as UTF-8 text"):
        load_bundle(file)


@pytest.mark.parametrize(
    "name", ["", "Geologist", "field geologist", "9", "a" * 65, "any", "person", "harness"]
)
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    """Names are short, plain and not taken by the harness itself."""
    with pytest.raises(BadBundle, match=f"The bundle '{name}': name: "):
        Bundle.define(name=name, description="x", prompt="x")


class Query(BaseModel):
    """A tool's input."""

    age: int


async def date(context: ToolContext, query: Query) -> str:
    """Answer as a tool."""
    return f"{context.tenant} {query.age}"


def test_two_tools_of_one_name_are_refused() -> None:
    """Within a toolset a name belongs to one tool."""
    tool = Tool("date", "Date a layer.", Query, date)
    with pytest.raises(BadBundle, match="'dating' has two tools named 'date'"):
        Bundle.define(name="x", description="x", prompt="x", toolsets=[Toolset("dating", (tool, tool))])


def test_a_schema_that_is_no_model_is_refused() -> None:
    """A Python user's mistake gets the same kind of sentence."""
    with pytest.raises(
        BadBundle, match="The bundle 'x': output: should be a pydantic model class, not <class 'dict'>"
    ):
        Bundle.define(name="x", description="x", prompt="x", output=dict)  # type: ignore[arg-type]
