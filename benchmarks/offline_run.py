"""One run from the command line, offline: a lead, three researchers and a fact checker on the real CLI.

The store is warm: its database is there, and the run starts and stops the server itself, as a second run on
one's own machine does.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from benchmarks.places import new_home, output_of
from benchmarks.rows import Row
from harness.store.embedded import EmbeddedServer
from tests.kit.processes import clean_env

TARGET_S = 8.0
RESEARCHERS = 3
QUESTION = "What are tides, winds and currents?"

_FACTS = {
    "tides": "rise and fall of the sea that the moon and the sun cause",
    "winds": "movements of the air from high to low pressure",
    "currents": "steady flows of water within the sea that carry heat",
}


def measure(short: bool) -> list[Row]:
    taken = []
    with new_home() as home:
        for name, text in _documents():
            (home / "sources").mkdir(exist_ok=True)
            (home / "sources" / name).write_text(text)
        _run(home)
        for _ in range(2 if short else 7):
            began = time.perf_counter()
            agents = _run(home)
            taken.append(time.perf_counter() - began)
    others = ", ".join(f"{agents.count(name)} {name}" for name in dict.fromkeys(agents))
    return [
        Row.of("offline_run", "harness run --offline, warm store", taken, "s", target=TARGET_S, note=others)
    ]


def _run(home: Path) -> list[str]:
    """Run the command line to its end and give the agents that worked."""
    # Port 9 discards: an offline run must reach no model.
    env = clean_env(home / "user", "http://127.0.0.1:9", HARNESS_HOME=str(home / "harness"))
    command = ["-m", "harness", "run", QUESTION, "--offline", "--json", "--sources", str(home / "sources")]
    try:
        printed = output_of(*command, env=env, timeout_s=120)
    finally:
        _end_server(home / "harness")
    finished = json.loads(printed.splitlines()[-1])
    agents = [run["agent"] for run in finished["agent_runs"]]
    if finished["status"] != "done" or agents.count("researcher") != RESEARCHERS:
        raise RuntimeError(f"The run ended as {finished['status']} with {', '.join(agents)}.")
    return agents


def _end_server(home: Path) -> None:
    """Stop what a run that was killed has left behind."""
    EmbeddedServer.acquire(home).release()


def _documents() -> list[tuple[str, str]]:
    """Make a few short documents about each subject."""
    return [
        (
            f"{subject}-{number}.md",
            f"# {subject.capitalize()} of region {number}\n\n"
            f"The {subject} of region {number} are {fact}. Sailors in region {number} have measured {subject} "
            f"since {1700 + number}, and found {subject} to be strongest in month {number}.\n\n" * 4,
        )
        for subject, fact in _FACTS.items()
        for number in range(1, 5)
    ]
