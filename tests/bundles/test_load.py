"""Bundles from files, and how a project's take the place of built-in ones."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from harness.bundles.bundle import Bundle, Task
from harness.bundles.load import load_bundle, load_bundles
from harness.bundles.validate import validate_input, validate_output
from harness.content import builtin_root
from harness.errors import BadBundle
from harness.records import Limits
from harness.tools import Tool, ToolContext, Toolset

BUILTIN = {"analyst", "fact_checker", "lead", "researcher"}

AGENT = """\
---
name: geologist
role: field geologist
description: Reads strata.
tools: [corpus, Read]
limits: {max_steps: 5}
output: markdown
---
You read strata.
"""

SCHEMAS = """\
from __future__ import annotations
from pydantic import BaseModel

class Layer(BaseModel):
    age: int

class Input(BaseModel):
    layers: list[Layer]
"""

TOOLS = """\
from pydantic import BaseModel
from harness.tools import Tool, Toolset

class Query(BaseModel):
    age: int

async def date(context, query):
    return str(query.age)

TOOLSET = Toolset("dating", (Tool("date", "Date a layer.", Query, date, "read_only"),))
"""


def write(project: Path, name: str, **files: str) -> Path:
    """Write `subagents/<name>/` with AGENT_md, schemas_py, tools_py, and give the folder."""
    folder = project / "subagents" / name
    folder.mkdir(parents=True)
    for file, text in files.items():
        stem, suffix = file.rsplit("_", 1)
        (folder / f"{stem}.{suffix}").write_text(text)
    return folder


def test_built_in_bundles_load_without_a_project() -> None:
    """Without a project there are exactly the built-in bundles, each complete and with a version."""
    bundles = load_bundles(None)
    assert set(bundles) >= BUILTIN
    for bundle in bundles.values():
        assert len(bundle.version) == 64
        assert bundle.role
        assert bundle.limits != Limits()
        assert bundle.origin is not None


def test_the_checkout_as_project_loads_nothing_twice() -> None:
    """When the project folder is the checkout, its bundles are the built-in ones, once."""
    assert load_bundles(builtin_root()).keys() == load_bundles(None).keys()


def test_a_project_adds_and_overrides(tmp_path: Path) -> None:
    """A project's bundle stands beside the built-in ones; one of the same name takes its place."""
    write(tmp_path, "geologist", AGENT_md=AGENT, schemas_py=SCHEMAS)
    override = AGENT.replace("geologist", "researcher", 1)
    write(tmp_path, "researcher", AGENT_md=override)
    bundles = load_bundles(tmp_path)
    assert set(bundles) >= {*BUILTIN, "geologist"}
    assert bundles["researcher"].prompt == "You read strata."
    assert load_bundles(None)["researcher"].prompt != "You read strata."


def test_a_folder_gives_every_field(tmp_path: Path) -> None:
    """Front matter, schemas and tools all reach the bundle."""
    agent = AGENT.replace(
        "tools:",
        "replay: {mcp__dating__date: idempotent, Read: read_only}\neffort: high\nmodel: checking\ntools:",
    )
    bundle = load_bundle(write(tmp_path, "geologist", AGENT_md=agent, schemas_py=SCHEMAS, tools_py=TOOLS))
    assert (bundle.name, bundle.role, bundle.model, bundle.effort) == (
        "geologist",
        "field geologist",
        "checking",
        "high",
    )
    assert bundle.tools == ("corpus", "Read")
    assert bundle.limits == Limits(max_steps=5)
    assert bundle.output is None
    assert [toolset.name for toolset in bundle.toolsets] == ["dating"]
    assert dict(bundle.replay) == {"mcp__dating__date": "idempotent", "Read": "read_only"}
    assert bundle.one_pager == (
        "geologist (field geologist): Reads strata. Takes {layers: [{age: integer}]}. Gives Markdown text."
    )


def test_two_bundles_may_both_have_schemas(tmp_path: Path) -> None:
    """Each schemas.py is a module of its own; forward references resolve within it."""
    write(tmp_path, "one", AGENT_md=AGENT.replace("geologist", "one", 1), schemas_py=SCHEMAS)
    write(
        tmp_path,
        "two",
        AGENT_md=AGENT.replace("geologist", "two", 1),
        schemas_py=SCHEMAS.replace("age", "depth"),
    )
    bundles = load_bundles(tmp_path)
    assert validate_input(bundles["one"], {"layers": [{"age": 1}]})[1] is None
    assert validate_input(bundles["two"], {"layers": [{"depth": 1}]})[1] is None
    assert validate_input(bundles["two"], {"layers": [{"age": 1}]})[1] is not None
    assert "schemas" not in sys.modules
    assert not list(tmp_path.rglob("__pycache__"))


def test_the_version_follows_the_content(tmp_path: Path) -> None:
    """The same content has the same version wherever it lies; a changed prompt, schema or tool another."""
    agent = AGENT
    one = load_bundle(write(tmp_path / "a", "geologist", AGENT_md=agent, schemas_py=SCHEMAS, tools_py=TOOLS))
    same = load_bundle(write(tmp_path / "b", "geologist", AGENT_md=agent, schemas_py=SCHEMAS, tools_py=TOOLS))
    changed = [
        {"AGENT_md": agent.replace("You read", "You date")},
        {"AGENT_md": agent.replace("max_steps: 5", "max_steps: 6")},
        {"schemas_py": SCHEMAS.replace("age: int", "age: float")},
        {"schemas_py": SCHEMAS + "# a validator would be code, too\n"},
        {"tools_py": TOOLS.replace("str(query.age)", "'old'")},
    ]
    versions = {one.version}
    for number, change in enumerate(changed):
        files = {"AGENT_md": agent, "schemas_py": SCHEMAS, "tools_py": TOOLS} | change
        versions.add(load_bundle(write(tmp_path / str(number), "geologist", **files)).version)
    assert same.version == one.version
    assert len(versions) == len(changed) + 1


def test_a_claude_code_agent_file_loads(tmp_path: Path) -> None:
    """A single file with name, description, comma-separated tools and model is a bundle with text output."""
    (tmp_path / "subagents").mkdir()
    file = tmp_path / "subagents" / "reviewer.md"
    file.write_text(
        "---\nname: code-reviewer\ndescription: Reviews code.\ntools: Read, Grep, Bash\n"
        "model: inherit\nmaxTurns: 7\ncolor: blue\n---\n\nYou review code.\n"
    )
    bundle = load_bundles(tmp_path)["code-reviewer"]
    assert bundle.tools == ("Read", "Grep", "Bash")
    assert bundle.model == "research"
    assert bundle.limits.max_steps == 7
    assert bundle.output is None
    assert bundle.input is Task
    assert bundle.prompt == "You review code."


def test_json_schemas_in_the_front_matter_become_models(tmp_path: Path) -> None:
    """input_schema and output_schema check values and come back as they were written."""
    front = AGENT.replace(
        "output: markdown",
        "input_schema: {type: object, required: [area], properties: {area: {$ref: '#/$defs/area'}},"
        " additionalProperties: false, $defs: {area: {type: string, enum: [alps, andes]}}}\n"
        "output_schema: {type: object, properties: {ages: {type: array, items: {type: integer}}}}",
    )
    bundle = load_bundle(write(tmp_path, "geologist", AGENT_md=front))
    value, problem = validate_input(bundle, {"area": "alps"})
    assert problem is None
    assert isinstance(value, BaseModel)
    assert value.model_dump() == {"area": "alps"}
    assert validate_input(bundle, {"area": "ural"})[1] == (
        "The input does not fit geologist: area: 'ural' is not one of ['alps', 'andes']."
    )
    assert bundle.output is not None
    assert bundle.output.model_json_schema()["properties"]["ages"]["items"] == {"type": "integer"}
    assert "ages[1]: 'x' is not of type 'integer'" in str(validate_output(bundle, {"ages": [1, "x"]})[1])
    assert 'Takes {area: "alps" | "andes"}. Gives {ages?: [integer]}.' in bundle.one_pager


def test_byte_order_mark_and_windows_lines_are_fine(tmp_path: Path) -> None:
    """A file written by another editor is the same bundle."""
    folder = write(tmp_path, "geologist", AGENT_md=AGENT)
    plain = load_bundle(folder)
    (folder / "AGENT.md").write_bytes(b"\xef\xbb\xbf" + AGENT.replace("\n", "\r\n").encode())
    assert load_bundle(folder).version == plain.version


def test_hidden_private_and_readme_entries_are_nobodys_bundles(tmp_path: Path) -> None:
    """What begins with '.' or '_', and the README, is left alone."""
    for name in (".git", "_drafts"):
        (tmp_path / "subagents" / name).mkdir(parents=True)
    (tmp_path / "subagents" / "README.md").write_text("About.")
    assert load_bundles(tmp_path).keys() == load_bundles(None).keys()


def test_one_name_for_two_bundles_is_refused(tmp_path: Path) -> None:
    """Within one half a name belongs to one bundle; the sentence names both files."""
    write(tmp_path, "geologist", AGENT_md=AGENT)
    (tmp_path / "subagents" / "other.md").write_text(AGENT)
    with pytest.raises(
        BadBundle, match=r"other\.md: name: 'geologist' is taken by .*AGENT\.md; rename one\."
    ):
        load_bundles(tmp_path)


def test_built_in_schemas_import_only_pydantic_and_the_harness() -> None:
    """Schemas are content: they need nothing but the standard library, pydantic and harness."""
    for file in (builtin_root() / "subagents").glob("*/schemas.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.split(".")[0] for name in names}
            assert roots <= {"pydantic", "harness"} | sys.stdlib_module_names, file


def test_every_built_in_field_is_described() -> None:
    """Agents read the descriptions: no field of a built-in schema is without one."""
    for bundle in load_bundles(None).values():
        for model in filter(None, (bundle.input, bundle.output)):
            schema = model.model_json_schema()
            for place in (schema, *schema.get("$defs", {}).values()):
                for name, field in place.get("properties", {}).items():
                    assert field.get("description"), f"{bundle.name}: {name}"


async def date(context: ToolContext, task: Task) -> str:
    """Answer as a tool."""
    return f"{context.tenant} {task.objective}"


async def date_anew(context: ToolContext, task: Task) -> str:
    """Answer as a better tool."""
    return f"{task.objective} {context.tenant}"


def test_the_version_follows_the_code_of_tools_defined_in_python() -> None:
    """A tool that may answer otherwise makes another version."""
    versions = {
        Bundle.define(
            name="geologist",
            description="x",
            prompt="x",
            toolsets=[Toolset("dating", (Tool("date", "Dates.", Task, run),))],
        ).version
        for run in (date, date_anew, date)
    }
    assert len(versions) == 2


def test_definition_in_python_has_the_same_defaults() -> None:
    """What Bundle.define is not told is as it would be in a file."""
    bundle = Bundle.define(name="geologist", description="Reads\n strata.", prompt=" You read strata. ")
    assert (bundle.description, bundle.prompt) == ("Reads strata.", "You read strata.")
    assert (bundle.model, bundle.effort, bundle.output, bundle.input) == ("research", None, None, Task)
    assert bundle.origin is None
    assert len(bundle.version) == 64
