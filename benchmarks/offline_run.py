"""One run from the command line, offline: a lead, three researchers and a fact checker on the real CLI.

The store is warm: its database is there, and the run starts and stops the server itself, as a second run on
one's own machine does.
"""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path

from benchmarks.places import output_of
from benchmarks.rows import Row, spread
from harness.store.embedded import stop
from tests.kit.homes import new_home
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
    taken: list[float] = []
    cpu: list[float] = []
    with new_home() as home:
        documents(home)
        agents = run_once(home)
        for _ in range(1 if short else 7):
            began, used = time.perf_counter(), _cpu_of_children()
            agents = run_once(home)
            taken.append(time.perf_counter() - began)
            cpu.append(_cpu_of_children() - used)
    who = ", ".join(f"{agents.count(name)} {name}" for name in dict.fromkeys(agents))
    note = f"{who}; {spread(cpu)[1]:.1f} s of CPU"
    return [
        Row.of("offline_run", "harness run --offline, warm store", taken, "s", target=TARGET_S, note=note)
    ]


def documents(home: Path) -> None:
    """Write the documents of `run_once`."""
    (home / "sources").mkdir()
    for name, text in _documents():
        (home / "sources" / name).write_text(text)


def run_once(home: Path, *options: str) -> list[str]:
    """Run the command line to its end and give the agents that worked."""
    # Port 9 discards: an offline run must reach no model.
    env = clean_env(home / "user", "http://127.0.0.1:9", HARNESS_HOME=str(home / "harness"))
    command = ["-m", "harness", "run", QUESTION, "--offline", "--json", "--sources", str(home / "sources")]
    command += options
    try:
        printed = output_of(*command, env=env, timeout_s=120)
    finally:
        stop(home / "harness")  # only a run that was killed leaves its server behind
    finished = json.loads(printed.splitlines()[-1])
    agents = [run["agent"] for run in finished["agent_runs"]]
    if finished["status"] != "done" or agents.count("researcher") != RESEARCHERS:
        raise RuntimeError(f"The run ended as {finished['status']} with {', '.join(agents)}.")
    return agents


def _cpu_of_children() -> float:
    """CPU seconds, user and system, of processes that have ended; the store's server is none of them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _documents() -> list[tuple[str, str]]:
    """Make a few short documents about each subject."""
    return [
        (
            f"{subject}-{number}.md",
            f"# {subject.capitalize()} of region {number}\n\n"
            f"The {subject} of region {number} are {fact}. Sailors there have measured {subject} "
            f"since {1700 + number}, and found {subject} to be strongest in month {number}.\n\n" * 4,
        )
        for subject, fact in _FACTS.items()
        for number in range(1, 5)
    ]
