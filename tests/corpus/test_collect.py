from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.corpus import collect as module
from harness.corpus.collect import collect
from harness.errors import BadSource


def _write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Text of {name}")


def test_files_and_folders_are_expanded_in_a_stable_order(tmp_path: Path) -> None:
    """Paths keep the order they are given in; a folder's files come by name, its subfolders after them."""
    _write(
        tmp_path, "docs/b.md", "docs/a.txt", "docs/sub/z.html", "docs/sub/deep/y.md", "last.md", "first.md"
    )
    given: list[str | Path] = [tmp_path / "first.md", tmp_path / "docs", str(tmp_path / "last.md")]
    found = collect(given)
    assert [file.locator for file in found] == [
        "first.md",
        "docs/a.txt",
        "docs/b.md",
        "docs/sub/z.html",
        "docs/sub/deep/y.md",
        "last.md",
    ]
    assert [file.kind for file in found][:4] == ["markdown", "text", "markdown", "html"]
    assert [file.named for file in found] == [True, False, False, False, False, True]
    assert collect(given) == found


def test_what_is_hidden_binary_or_decoration_is_left_out(tmp_path: Path) -> None:
    """In a folder hidden files and folders, binary files, style sheets and dangling links are passed over."""
    _write(tmp_path, "a.md", ".hidden.md", ".git/config", "style.css", "figure.svg", "NOTES")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere.md")
    os.mkfifo(tmp_path / "pipe.txt")
    assert [file.path.name for file in collect([tmp_path])] == ["NOTES", "a.md"]


def test_a_hidden_file_that_is_named_is_taken(tmp_path: Path) -> None:
    """Naming a file is a wish, whatever the file is called."""
    _write(tmp_path, ".notes.md")
    assert [file.locator for file in collect([tmp_path / ".notes.md"])] == [".notes.md"]


def test_links_that_go_round_in_a_circle_are_harmless(tmp_path: Path) -> None:
    """A link to a folder above is followed once, and no file comes twice."""
    _write(tmp_path, "docs/a.md", "docs/sub/b.md", "other/c.md")
    (tmp_path / "docs/sub/up").symlink_to(tmp_path / "docs")
    (tmp_path / "docs/self").symlink_to(".")
    (tmp_path / "docs/other").symlink_to(tmp_path / "other")
    (tmp_path / "docs/sub/same.md").symlink_to(tmp_path / "docs/a.md")
    found = collect([tmp_path / "docs", tmp_path / "docs/a.md"])
    assert [file.locator for file in found] == ["docs/a.md", "docs/other/c.md", "docs/sub/b.md"]


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Two files that would have the same locator are known by their whole paths."""
    _write(tmp_path, "one/a.md", "two/a.md", "two/b.md")
    found = collect([tmp_path / "one/a.md", tmp_path / "two/a.md", tmp_path / "two/b.md"])
    assert [file.locator for file in found] == [
        str(tmp_path / "one/a.md"),
        str(tmp_path / "two/a.md"),
        "b.md",
    ]


def test_what_is_missing_is_refused(tmp_path: Path) -> None:
    """A path that is not there, and a link to itself, are refused by name."""
    with pytest.raises(BadSource, match=r"no file or folder .*nowhere.*: correct the path"):
        collect([tmp_path / "nowhere"])
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(BadSource, match=r"loop cannot be read"):
        collect([tmp_path / "loop"])


def test_a_named_file_of_another_format_is_refused(tmp_path: Path) -> None:
    """A binary file that the person named is refused with what it can be converted to."""
    (tmp_path / "report.docx").write_bytes(b"PK\x03\x04\0\0")
    with pytest.raises(BadSource, match=r"report\.docx is not in a format .* convert it to PDF"):
        collect([tmp_path / "report.docx"])


@pytest.mark.parametrize("names", [[], [".hidden.md"], ["style.css"]])
def test_nothing_to_read_is_refused(tmp_path: Path, names: list[str]) -> None:
    """Folders without a document, and no path at all, are refused."""
    _write(tmp_path, *names)
    with pytest.raises(BadSource, match="hold no document"):
        collect([tmp_path])
    with pytest.raises(BadSource, match="hold no document"):
        collect([])


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file more than a session takes is too many, and the sentence gives the bound."""
    monkeypatch.setattr(module, "MAX_FILES", 3)
    _write(tmp_path, "a.md", "b.md", "c.md")
    assert len(collect([tmp_path])) == 3
    _write(tmp_path, "d.md")
    with pytest.raises(BadSource, match="more than 3 files"):
        collect([tmp_path])


def test_too_many_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte more than a session takes is too much, and the sentence gives the bound."""
    monkeypatch.setattr(module, "MAX_BYTES", 2 * 1024**2)
    (tmp_path / "a.txt").write_bytes(b"x" * 1024**2)
    (tmp_path / "b.txt").write_bytes(b"y" * 1024**2)
    assert len(collect([tmp_path])) == 2
    (tmp_path / "c.txt").write_bytes(b"z")
    with pytest.raises(BadSource, match="more than 2 MiB"):
        collect([tmp_path])


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system refuses to open is refused by name, with the system's reason."""
    _write(tmp_path, "a.md")

    def refused(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(BadSource, match=r"a\.md cannot be read \(Permission denied\)"):
        collect([tmp_path])
