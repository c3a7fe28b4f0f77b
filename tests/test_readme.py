"""What the README promises, tried as it is written: on a clean copy, with nothing of this environment."""

from __future__ import annotations

import html
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from harness.citations import citations
from harness.content import KINDS
from tests import checkout
from tests.checkout import ROOT
from tests.kit.processes import clean_env

README = (ROOT / "README.md").read_text("utf-8")

RUN, TEST = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
"""The two command lines."""

NO_MODEL = "http://127.0.0.1:9"

PASSED_ON = re.compile(r"(?:PIP|SSL|REQUESTS)_\w+|\w+_proxy", re.IGNORECASE)
"""What a machine's owner says about reaching the package registry."""


@pytest.mark.timeout(660)
def test_the_first_command_line_installs_and_answers(home: Path) -> None:
    """On a fresh machine it ends with a cited report that owns up to having used no model."""
    clean = checkout.copy(home / "checkout")
    ended = _run(["bash", "-c", RUN], clean, _fresh(home), timeout_s=600)
    assert ended.returncode == 0, ended.stderr
    assert [citation for citation in citations(ended.stdout) if citation.quote], ended.stdout
    assert "no language model was used" in ended.stdout
    assert "no language model is used" in ended.stderr
    assert re.search(r"Citations: [1-9]\d* checked, all of them hold", ended.stderr), ended.stderr


def test_the_second_command_line_is_what_ci_runs() -> None:
    """It runs the whole suite, after installing what that needs; without the first one, too."""
    assert TEST.endswith(".venv/bin/python -m pytest -n 2 --dist worksteal")
    assert ".[test]" in TEST
    assert "grep -m 1 -- '-m pytest' README.md" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_the_picture_is_of_the_first_command_line() -> None:
    """What the README shows is what a newcomer's terminal will show."""
    picture = html.unescape((ROOT / "docs" / "run.svg").read_text("utf-8")).replace("\N{NO-BREAK SPACE}", " ")
    assert RUN.partition(".venv/bin/harness ")[2] in picture


def test_the_library_example_is_the_file() -> None:
    """The text in the README is the program that is run below."""
    (shown,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert shown == (ROOT / "examples" / "library.py").read_text("utf-8")


def test_the_library_example_runs(home: Path) -> None:
    """It follows the agents, and gives the same cited report again when it resumes."""
    ended = _run([sys.executable, "examples/library.py"], ROOT, _fresh(home), timeout_s=100)
    assert ended.returncode == 0, ended.stderr
    followed, _, report = ended.stdout.partition("\n# ")
    assert followed.splitlines()[0] == "lead ready"
    assert followed.splitlines()[-1] == "lead done"
    assert [citation for citation in citations(report) if citation.quote], ended.stdout


@pytest.mark.timeout(300)
def test_a_wheel_owns_one_name_and_carries_its_content(home: Path) -> None:
    """An application may have packages called hooks or prompts; the built-in ones load all the same."""
    clean, site = checkout.copy(home / "checkout"), home / "site"
    pip = [sys.executable, "-m", "pip"]
    built = _run([*pip, "wheel", "-q", "--no-deps", "-w", "wheels", "."], clean, _fresh(home), timeout_s=240)
    assert built.returncode == 0, built.stderr
    (wheel,) = (clean / "wheels").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"harness"}
    for kind in KINDS:
        assert any(name.startswith(f"harness/_builtin/{kind}/") for name in names)
    assert "harness/py.typed" in names
    pages = {f"harness/page/{path.name}" for path in (ROOT / "harness" / "page").glob("page.*")}
    assert len(pages) == 3
    assert pages <= set(names), "what harness report writes is made of them"

    unpack = [*pip, "install", "-q", "--no-deps", "--no-index", "--target", str(site), str(wheel)]
    assert _run(unpack, home, _fresh(home), timeout_s=100).returncode == 0
    installed = {**_fresh(home), "PYTHONPATH": str(site)}
    loaded = _run([sys.executable, "-c", _LOAD], home, installed, timeout_s=100)
    assert loaded.returncode == 0, loaded.stderr
    said = json.loads(loaded.stdout)
    assert said.pop("file") == str(site / "harness" / "__init__.py")
    assert said == {
        "subagents": _there("subagents/*/AGENT.md", lambda path: path.parent.name),
        "hooks": _there("hooks/*.py", lambda path: path.stem),
        "prompts": _there("prompts/*.md", lambda path: path.stem),
    }


_LOAD = """
import json, harness
from harness.bundles.load import load_bundles
from harness.content import prompt_files
from harness.hook_chain import load_hooks
print(json.dumps({
    "file": harness.__file__,
    "subagents": sorted(load_bundles(None)),
    "hooks": sorted(hook.name for hook in load_hooks(None, harness.from_environment())),
    "prompts": sorted(prompt_files(None)),
}))
"""


def _there(pattern: str, name: Callable[[Path], str]) -> list[str]:
    return sorted(name(path) for path in ROOT.glob(pattern) if path.stem != "README")


def _fresh(home: Path) -> dict[str, str]:
    """Build the environment of a fresh machine that has Python and reaches the registry."""
    passed_on = {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)}
    environment = clean_env(home, NO_MODEL, HARNESS_HOME=str(home / "harness"), **passed_on)
    del environment["ANTHROPIC_API_KEY"]
    return {**environment, "PATH": f"{sys.base_prefix}/bin:/usr/local/bin:/usr/bin:/bin"}


def _run(
    command: list[str], folder: Path, environment: Mapping[str, str], *, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a command; what it has started ends with it when it takes too long."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout_s)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)
