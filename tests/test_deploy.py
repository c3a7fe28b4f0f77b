"""The files in deploy/: the unit is one that systemd takes, and unit and image agree with the code."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from harness.settings import ENVIRONMENT, Settings
from tests.checkout import ROOT

UNIT = ROOT / "deploy" / "harness-worker@.service"
IMAGE = ROOT / "deploy" / "Containerfile"
INSTRUCTIONS = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}
INSTRUCTIONS |= {"ENTRYPOINT", "CMD"}


def unit() -> dict[str, list[str]]:
    """The unit's assignments by key, whatever their section."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text("utf-8").splitlines():
        if line and not line.startswith(("#", "[")):
            key, equals, value = line.partition("=")
            assert equals, line
            found.setdefault(key, []).append(value)
    return found


def instructions() -> list[tuple[str, str]]:
    """The container file's instructions, each in one line."""
    joined = IMAGE.read_text("utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def test_the_unit_gives_a_worker_time_to_drain() -> None:
    """Longer than the grace that agents get by default; what is left of its agents ends with it."""
    said = unit()
    assert float(said["TimeoutStopSec"][0]) >= Settings().limits.stop_grace_s + 20
    assert said["KillMode"] == ["mixed"]
    assert said["KillSignal"] == ["SIGTERM"]


def test_the_unit_sets_variables_that_are_read() -> None:
    """And starts a command that there is, with the port of its instance."""
    said = unit()
    named = dict(pair.split("=", 1) for pair in said["Environment"][0].split())
    assert set(named) - {"HOME"} <= ENVIRONMENT.keys()
    ports = [int(named["HARNESS_METRICS_PORT"].replace("%i", str(number))) for number in (1, 9)]
    assert ports == [9461, 9469]
    assert re.fullmatch(r"/\S+/harness worker --concurrency \d+", said["ExecStart"][0])


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """Its sections are those of a service; where there is a systemd, it knows every key and every value."""
    text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text("utf-8"))
    assert re.findall(r"(?m)^\[(.*)\]$", text) == ["Unit", "Service", "Install"]
    assert [key for key, values in unit().items() if len(values) > 1] == []
    if (program := shutil.which("systemd-analyze")) is None:
        return
    copy = tmp_path / UNIT.name.replace("@.", "@1.")
    for content, complaints in ((text, False), (text.replace("KillMode=mixed", "KillMode=gently"), True)):
        copy.write_text(content)
        command = [program, "verify", "--man=no", str(copy)]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert bool(said.stderr) == complaints, said.stderr


def test_the_image_is_of_pip_and_runs_as_nobody_special() -> None:
    """What is installed comes from pip alone, as pinned; there is a user, and no secret."""
    found = instructions()
    assert {word for word, _ in found} <= INSTRUCTIONS
    assert {rest.split()[0] for word, rest in found if word == "FROM"} == {"python:3.11-slim-bookworm"}
    runs = " ".join(rest for word, rest in found if word == "RUN")
    assert "pip install --no-cache-dir -c constraints.txt ." in runs
    assert not re.search(r"\b(curl|wget|apt-get|npm)\b", runs)
    words = [word for word, _ in found]
    assert words.index("USER") > max(index for index, word in enumerate(words) if word == "RUN")
    (user,) = (rest for word, rest in found if word == "USER")
    assert int(user) > 0


def test_the_image_sets_variables_that_are_read() -> None:
    """And asks at the port that it serves whether the worker is well."""
    found = dict(instructions())
    named = dict(pair.split("=", 1) for pair in found["ENV"].split())
    assert {name for name in named if name.startswith("HARNESS_")} <= ENVIRONMENT.keys()
    port = named["HARNESS_METRICS_PORT"]
    assert found["EXPOSE"] == port
    assert f"http://127.0.0.1:{port}/healthz" in found["HEALTHCHECK"]
    assert (found["ENTRYPOINT"], found["CMD"]) == ('["harness"]', '["worker"]')
