"""Bundles' files: packed and laid out again byte for byte, and never other than their hash says."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.bundles.load import load_bundle
from harness.content import builtin_root
from harness.errors import BadBundle, StoreError
from harness.packing import LARGEST, Packed, read_files, unpack

BINARY = b"\x89PNG\x00\xff\xfe"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle with all that one may hold, and what no bundle consists of."""
    made = tmp_path / "subagents" / "geologist"
    (made / "data" / "deep").mkdir(parents=True)
    (made / "AGENT.md").write_text(
        "---\ndescription: Reads strata.\noutput: markdown\n---\nRead \u2018it\u2019.\r\n"
    )
    (made / "schemas.py").write_text(
        "from harness.records import Record\n\n\nclass Input(Record):\n    a: int\n"
    )
    (made / "data" / "deep" / "map.png").write_bytes(BINARY)
    (made / "data" / "nul.txt").write_bytes(b"a\x00b")
    for stray in (".swap", "__pycache__/schemas.pyc", ".git/HEAD"):
        (made / stray).parent.mkdir(exist_ok=True)
        (made / stray).write_text("stray")
    return made


def test_a_bundle_comes_back_as_it_was(folder: Path, tmp_path: Path) -> None:
    """Texts, other bytes and folders; loaded from there it has the same version."""
    bundle = load_bundle(folder)
    assert bundle.files is not None
    again = Packed.model_validate_json(bundle.files.model_dump_json())
    place = unpack(again, tmp_path / "kept")
    assert place == tmp_path / "kept" / bundle.files.sha256 / "geologist"
    assert read_files(place) == read_files(folder)
    assert (place / "data" / "deep" / "map.png").read_bytes() == BINARY
    assert sorted(path.name for path in place.iterdir()) == ["AGENT.md", "data", "schemas.py"]
    assert load_bundle(place).version == bundle.version
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [bundle.files.sha256], (
        "no drafts are left"
    )


@pytest.mark.parametrize(
    "entry", sorted((builtin_root() / "subagents").iterdir()), ids=lambda path: path.name
)
def test_every_built_in_bundle_comes_back_as_it_was(entry: Path, tmp_path: Path) -> None:
    """With its version."""
    if not (entry / "AGENT.md").is_file():
        return
    bundle = load_bundle(entry)
    assert bundle.files is not None
    assert load_bundle(unpack(bundle.files, tmp_path)).version == bundle.version


def test_a_single_file_is_a_bundle_too(tmp_path: Path) -> None:
    """It keeps the name of its file."""
    file = tmp_path / "scout.md"
    file.write_text("---\ndescription: Looks ahead.\n---\nLook.\n")
    bundle = load_bundle(file)
    assert bundle.files is not None
    place = unpack(bundle.files, tmp_path / "kept")
    assert place.name == "scout.md"
    assert load_bundle(place).version == bundle.version


def test_a_file_beside_the_code_changes_the_version(folder: Path) -> None:
    """A tool may read it; what is hidden or compiled changes nothing."""
    before = load_bundle(folder).version
    (folder / ".swap").write_text("other")
    assert load_bundle(folder).version == before
    (folder / "data" / "nul.txt").write_text("other")
    assert load_bundle(folder).version != before


def test_what_was_changed_where_it_was_laid_out_is_put_right(folder: Path, tmp_path: Path) -> None:
    """A changed file, a missing one, and one too many."""
    packed = Packed.of(read_files(folder))
    place = unpack(packed, tmp_path / "kept")
    for spoil in (
        lambda: (place / "schemas.py").write_text("evil = 1\n"),
        lambda: (place / "AGENT.md").unlink(),
        lambda: (place / "checks.py").write_text("CHECKS = []\n"),
    ):
        spoil()
        assert unpack(packed, tmp_path / "kept") == place
        assert read_files(place) == read_files(folder)
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_many_may_lay_it_out_at_once(folder: Path, tmp_path: Path) -> None:
    """Each finds it whole."""
    packed = Packed.of(read_files(folder))
    with ThreadPoolExecutor(8) as pool:
        places = list(pool.map(lambda _: read_files(unpack(packed, tmp_path / "kept")), range(24)))
    assert all(place == read_files(folder) for place in places)


@pytest.mark.parametrize(
    "change",
    [
        {"texts": {"geologist/AGENT.md": "other"}},
        {"sha256": "0" * 64},
        {"binaries": {"other/AGENT.md": ""}},
    ],
)
def test_stored_files_that_do_not_fit_their_hash_are_refused(
    folder: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    """Nothing of them is laid out."""
    packed = Packed.of(read_files(folder)).model_copy(update=change)
    with pytest.raises(StoreError, match="not those of their hash"):
        unpack(packed, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("path", ["../evil.md", "/evil.md", "a/../../evil.md"])
def test_no_file_is_laid_out_elsewhere(tmp_path: Path, path: str) -> None:
    """Whatever a row of the database says, under whatever hash."""
    with pytest.raises(StoreError):
        unpack(Packed.of({path: b"x"}), tmp_path / "kept")
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_has_its_bounds(folder: Path) -> None:
    """Every version is kept, so that it must not be a heap of data."""
    with (folder / "data" / "heap").open("wb") as heap:
        os.truncate(heap.fileno(), LARGEST)
    with pytest.raises(BadBundle, match=r"more than 8 MiB .* put data elsewhere"):
        load_bundle(folder)
