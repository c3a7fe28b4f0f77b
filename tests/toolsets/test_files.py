"""What the toolset `files` shows of the workspace, and that nothing outside of it is seen."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.tools import InvalidInput, ToolContext, ToolProblem, TooSlow
from harness.toolsets import files
from harness.toolsets.files import FILES, MOST_BYTES, MOST_LISTED
from tests.toolsets.conftest import call

SECRET = "sk-canary"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with files to see, files not to see, and a secret beside it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text(SECRET)
    folder = tmp_path / "project"
    for name, text in {
        "notes.md": "# Tides\n\nThe tide turns twice.\nThe TIDE is high.\n",
        "logs/a.txt": "first tide\nsecond\n",
        "logs/old/b.txt": "third tide\n",
        ".env": f"KEY={SECRET}\ntide\n",
        ".git/config": f"{SECRET} tide\n",
        "harness.toml": f'dsn = "postgres://me:{SECRET}@127.0.0.1/tide"\n',
        "state/postgres/data.txt": f"{SECRET} tide\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "chart.bin").write_bytes(b"\x00\x01tide\n")
    (folder / "inner").symlink_to("logs/a.txt")
    (folder / "leak.txt").symlink_to(tmp_path / "outside" / "secret.txt")
    (folder / "leaks").symlink_to(tmp_path / "outside")
    (folder / "env").symlink_to(".env")
    (folder / "circle").symlink_to("circle")
    os.mkfifo(folder / "pipe")
    return folder


@pytest.fixture
def context(context: ToolContext, project: Path) -> ToolContext:
    """An agent of this project, whose home lies inside of it."""
    return replace(
        context, project=project, settings=context.settings.model_copy(update={"home": project / "state"})
    )


async def test_a_folder_is_listed(context: ToolContext) -> None:
    """Files with their sizes and folders, by name; nothing hidden, nothing that leads out."""
    answer = await call(context, "files.list")
    assert [(entry["path"], entry["kind"], entry["size"]) for entry in answer["entries"]] == [
        ("chart.bin", "file", 7),
        ("inner", "file", 18),
        ("logs", "folder", None),
        ("notes.md", "file", 49),
    ]
    assert answer["total"] == 4


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        (".", "*.txt", ["logs/a.txt", "logs/old/b.txt"]),
        (".", "logs/old/*", ["logs/old/b.txt"]),
        ("logs", "*.txt", ["logs/a.txt", "logs/old/b.txt"]),
        ("logs", "", ["logs/a.txt", "logs/old"]),
        ("notes.md", "", ["notes.md"]),
        (".", "*.rst", []),
    ],
)
async def test_a_pattern_finds_files_below(
    context: ToolContext, path: str, pattern: str, expected: list[str]
) -> None:
    """By name or by path."""
    answer = await call(context, "files.list", path=path, pattern=pattern)
    assert [entry["path"] for entry in answer["entries"]] == expected


async def test_a_long_list_is_cut(context: ToolContext, project: Path) -> None:
    """The first are given, and how many there are."""
    for number in range(MOST_LISTED + 5):
        (project / "logs" / f"{number:04}.log").touch()
    answer = await call(context, "files.list", path="logs", pattern="*.log")
    assert (len(answer["entries"]), answer["total"]) == (MOST_LISTED, MOST_LISTED + 5)


async def test_a_file_is_read_in_parts(context: ToolContext, project: Path) -> None:
    """The parts, put together, are the file; all numbers are in characters."""
    whole = "Ebbe für Fähren. " * 60
    (project / "long.txt").write_text(whole, "utf-8")
    parts, offset = [], 0
    while offset is not None:
        answer = await call(context, "files.read", path="long.txt", offset=offset, length=400)
        assert answer["length"] == len(whole)
        parts.append(answer["text"])
        offset = answer["next_offset"]
    assert "".join(parts) == whole
    assert len(parts) == 3


async def test_an_empty_file_is_read(context: ToolContext, project: Path) -> None:
    """It has no characters, and that is no error."""
    (project / "empty.txt").touch()
    answer = await call(context, "files.read", path="empty.txt")
    assert (answer["text"], answer["next_offset"], answer["length"]) == ("", None, 0)


@pytest.mark.parametrize(
    "path",
    ["../outside/secret.txt", "leak.txt", "leaks/secret.txt", "logs/../../outside/secret.txt", "/etc/passwd"],
)
@pytest.mark.parametrize("tool", ["list", "read", "grep"])
async def test_no_path_leads_out(context: ToolContext, tool: str, path: str) -> None:
    """Not by `..`, not by a link, not from the root."""
    given = {"pattern": "."} if tool == "grep" else {}
    with pytest.raises(InvalidInput, match="leads out of the workspace") as raised:
        await call(context, f"files.{tool}", path=path, **given)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "path",
    [".env", ".git/config", ".git", "env", "harness.toml", "state/postgres/data.txt", "state", "missing.md"],
)
@pytest.mark.parametrize("tool", ["list", "read", "grep"])
async def test_what_is_out_of_sight_is_not_there(context: ToolContext, tool: str, path: str) -> None:
    """Hidden files, the settings and the harness's home are told as if they did not exist."""
    given = {"pattern": "."} if tool == "grep" else {}
    with pytest.raises(InvalidInput, match=f"There is no '{path}' in the workspace"):
        await call(context, f"files.{tool}", path=path, **given)


@pytest.mark.parametrize("path", ["circle", "no\x00name", "x" * 500, "pipe"])
async def test_an_odd_path_is_refused(context: ToolContext, path: str) -> None:
    """A link to itself, a NUL, a name too long, and a pipe, at which a reader would wait forever."""
    with pytest.raises(InvalidInput):
        await call(context, "files.read", path=path)


@pytest.mark.parametrize(
    ("path", "says"),
    [("logs", "is no file"), ("chart.bin", "is not a text file"), ("paper", "is not a text file")],
)
async def test_what_is_no_text_is_not_read(context: ToolContext, project: Path, path: str, says: str) -> None:
    """A folder, a binary file, a PDF."""
    (project / "paper").write_bytes(b"%PDF-1.7\n")
    with pytest.raises(ToolProblem, match=says):
        await call(context, "files.read", path=path)


async def test_a_large_file_is_not_read(context: ToolContext, project: Path) -> None:
    """And a search leaves it out, and says so."""
    with (project / "large.txt").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ToolProblem, match="larger than 5,000,000 bytes"):
        await call(context, "files.read", path="large.txt")
    answer = await call(context, "files.grep", pattern="tide", path="large.txt")
    assert answer == {"lines": [], "more": False, "skipped": 1}


async def test_lines_are_found(context: ToolContext) -> None:
    """In every file in sight, with file and line; binary files are skipped."""
    answer = await call(context, "files.grep", pattern=r"\btide\b")
    assert [(line["path"], line["line"], line["text"]) for line in answer["lines"]] == [
        ("inner", 1, "first tide"),
        ("notes.md", 3, "The tide turns twice."),
        ("logs/a.txt", 1, "first tide"),
        ("logs/old/b.txt", 1, "third tide"),
    ]
    assert (answer["more"], answer["skipped"]) == (False, 1)


@pytest.mark.parametrize(
    ("given", "expected", "more"),
    [
        ({"ignore_case": True, "path": "notes.md"}, [1, 3, 4], False),
        ({"ignore_case": True, "path": "notes.md", "limit": 2}, [1, 3], True),
        ({"ignore_case": True, "path": "notes.md", "limit": 3}, [1, 3, 4], False),
        ({"files": "*.md"}, [3], False),
    ],
)
async def test_a_search_can_be_narrowed(
    context: ToolContext, given: dict[str, object], expected: list[int], more: bool
) -> None:
    """To a file, to names, to a number of lines."""
    answer = await call(context, "files.grep", pattern="tide", **given)
    assert ([line["line"] for line in answer["lines"]], answer["more"]) == (expected, more)


async def test_of_a_long_line_the_part_that_fits_is_given(context: ToolContext, project: Path) -> None:
    """So that a result stays small and still shows the match."""
    (project / "wide.txt").write_text("x" * 10_000 + "needle" + "y" * 10_000)
    (line,) = (await call(context, "files.grep", pattern="needle"))["lines"]
    assert "needle" in line["text"]
    assert len(line["text"]) == 400


async def test_a_bad_expression_is_said_to_be_one(context: ToolContext) -> None:
    """With what is wrong with it."""
    with pytest.raises(InvalidInput, match=r"pattern: .*unterminated subpattern"):
        await call(context, "files.grep", pattern="(tide")


async def test_an_expression_that_takes_forever_is_ended(
    context: ToolContext, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is killed; the harness itself goes on meanwhile."""
    monkeypatch.setattr(files, "SEARCH_S", 0.5)
    (project / "trap.txt").write_text("a" * 60 + "!\n")
    with pytest.raises(TooSlow, match=r"longer than 0\.5 s"):
        await call(context, "files.grep", pattern="(a+)+$", path="trap.txt")


async def test_the_settings_may_name_another_folder(context: ToolContext, project: Path) -> None:
    """Then the project folder itself is outside."""
    narrowed = context.settings.model_copy(update={"workspace": project / "logs"})
    context = replace(context, settings=narrowed)
    assert (await call(context, "files.list"))["total"] == 2
    with pytest.raises(InvalidInput, match="leads out"):
        await call(context, "files.read", path="../notes.md")


async def test_a_workspace_inside_the_home_is_in_sight(context: ToolContext, project: Path) -> None:
    """Only a home within the workspace is kept out of it."""
    (project / "state" / "desk").mkdir()
    (project / "state" / "desk" / "a.md").write_text("In sight.")
    narrowed = context.settings.model_copy(update={"workspace": project / "state" / "desk"})
    answer = await call(replace(context, settings=narrowed), "files.read", path="a.md")
    assert answer["text"] == "In sight."


async def test_without_a_workspace_there_are_no_files(context: ToolContext, tmp_path: Path) -> None:
    """The agent is told so."""
    for project in (None, tmp_path / "gone"):
        with pytest.raises(ToolProblem, match="no workspace folder"):
            await call(replace(context, project=project), "files.list")


def test_all_of_them_only_read() -> None:
    """So a call that was interrupted can be repeated."""
    assert {tool.replay for tool in FILES.tools} == {"read_only"}
