"""What `harness init` and `harness agents new` write."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bundles.lint import lint, lint_flow
from harness.bundles.load import load_bundle, load_bundles
from harness.bundles.scaffold import init_project, new_bundle
from harness.bundles.validate import validate_input
from harness.content import KINDS, find_project
from harness.errors import BadInput
from harness.flow import walk
from harness.flow.read import find_flow, project_flows
from harness.settings import Settings, from_environment


def test_a_new_project_loads_and_changes_nothing(tmp_path: Path) -> None:
    """The settings file parses, every default in it is a comment, and no bundle is added."""
    written = init_project(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in written} == {
        "harness.toml",
        *(f"{kind}/README.md" for kind in (*KINDS, "flows")),
        "flows/example.yaml",
    }
    assert from_environment(tmp_path, environ={}) == Settings()
    assert load_bundles(tmp_path).keys() == load_bundles(None).keys()
    assert find_project(tmp_path / "subagents") == tmp_path.resolve()


def test_the_settings_file_is_right_when_its_comments_are_removed(tmp_path: Path) -> None:
    """Every line that is commented out is a valid setting, and is the default."""
    init_project(tmp_path)
    file = tmp_path / "harness.toml"
    lines = [line.removeprefix("# ") for line in file.read_text("utf-8").split("\n")]
    kept = [line for line in lines if line.startswith("[") or (" = " in line and '"..."' not in line)]
    file.write_text("\n".join(kept))
    assert len(kept) > 15
    assert from_environment(tmp_path, environ={}) == Settings()


def test_a_project_is_not_made_twice(tmp_path: Path) -> None:
    """What a person edited is not overwritten, and nothing is added beside it."""
    (tmp_path / "harness.toml").write_text('tenant = "mine"\n')
    with pytest.raises(BadInput, match=r"harness\.toml exists already"):
        init_project(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["harness.toml"]
    assert (tmp_path / "harness.toml").read_text() == 'tenant = "mine"\n'


def test_existing_folders_are_kept(tmp_path: Path) -> None:
    """A project can be made around bundles that are there already."""
    (tmp_path / "subagents").mkdir()
    (tmp_path / "subagents" / "README.md").write_text("Mine.")
    init_project(tmp_path)
    assert (tmp_path / "subagents" / "README.md").read_text() == "Mine."


def test_a_new_project_lints_clean_and_its_example_can_be_run(tmp_path: Path) -> None:
    """With a first agent of its own, nothing is doubtful, and the flow is found by its name."""
    init_project(tmp_path)
    new_bundle("geologist", tmp_path)
    bundles = load_bundles(tmp_path)
    assert lint(bundles) == []
    assert list(project_flows(tmp_path)) == ["example"]
    assert lint_flow(find_flow("example", tmp_path), bundles) == []


def test_the_example_of_a_flow_holds_with_its_comments_taken_in(tmp_path: Path) -> None:
    """The fan-out it shows can be uncommented as it stands."""
    init_project(tmp_path)
    file = tmp_path / "flows" / "example.yaml"
    before, found, after = file.read_text("utf-8").partition("    # - pattern: fan_out\n")
    shown, _, rest = after.partition("\n\n")
    lines = [line.replace("    # ", "    ", 1) for line in (found + shown).splitlines()]
    file.write_text("\n".join([before.rstrip(), *lines, "", rest]), "utf-8")
    flow = find_flow("example", tmp_path)
    assert [type(node).__name__ for _, node in walk(flow.flow)].count("FanOut") == 1
    assert lint_flow(flow, load_bundles(tmp_path)) == []


def test_flows_that_exist_are_kept_and_get_no_example(tmp_path: Path) -> None:
    """A project made around flows of one's own gets none beside them."""
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "mine.yaml").write_text("flow: analyst\n")
    init_project(tmp_path)
    assert {path.name for path in (tmp_path / "flows").iterdir()} == {"README.md", "mine.yaml"}


def test_a_new_bundle_loads_at_once(tmp_path: Path) -> None:
    """It is complete before it is edited."""
    folder = new_bundle("field_geologist", tmp_path)
    assert folder == tmp_path / "subagents" / "field_geologist"
    bundle = load_bundle(folder)
    assert bundle.role == "field geologist"
    assert validate_input(bundle, {"subject": "strata"})[1] is None


def test_a_bundle_is_not_made_twice(tmp_path: Path) -> None:
    """Neither over a folder nor beside a file of the same name."""
    folder = new_bundle("geologist", tmp_path)
    (folder / "AGENT.md").write_text("edited")
    with pytest.raises(BadInput, match="geologist exists already"):
        new_bundle("geologist", tmp_path)
    assert (folder / "AGENT.md").read_text() == "edited"
    (tmp_path / "subagents" / "reviewer.md").write_text("mine")
    with pytest.raises(BadInput, match=r"reviewer\.md exists already"):
        new_bundle("reviewer", tmp_path)
    assert not (tmp_path / "subagents" / "reviewer").exists()


@pytest.mark.parametrize("name", ["", "../escape", "Geologist", "any", "a b", "/tmp/x"])
def test_a_name_that_cannot_be_one_makes_nothing(name: str, tmp_path: Path) -> None:
    """A name is checked before a file is written."""
    with pytest.raises(BadInput, match="cannot be a bundle's name"):
        new_bundle(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_no_file_behind(tmp_path: Path) -> None:
    """When a later file cannot be written, the earlier ones go again."""
    (tmp_path / "hooks").write_text("in the way")
    with pytest.raises(BadInput, match="cannot be written"):
        init_project(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "hooks"]
