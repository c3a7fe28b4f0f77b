"""What people get wrong with submitted sessions and workers; see `bad_rows`."""

from __future__ import annotations

from tests.cli.bad_rows import FINISHED, FOREIGN, UNFINISHED, UNKNOWN, Row

SUBMIT = ("submit", "Why?", "--offline")

QUEUE = (
    Row("submit nothing", ("submit", " ", "--offline"), ("question is empty", "say what")),
    Row("submit two upstreams", (*SUBMIT, "--direct"), ("--offline and --direct", "give one")),
    Row("submit, unknown flow", (*SUBMIT, "--flow", "reserch"), ("no flow named 'reserch'",)),
    Row("submit, no source", (*SUBMIT, "--sources", "no.md"), ("no.md",)),
    Row("submit to no queue", (*SUBMIT, "--queue", " "), ("queue's name is empty", "leave it out")),
    Row("priority no number", (*SUBMIT, "--priority", "high"), ("--priority", "high")),
    Row("begin at noon", (*SUBMIT, "--begin-at", "noon"), ("'noon' is no time", "90m or 2h")),
    Row("begin at no date", (*SUBMIT, "--begin-at", "2026-13-01"), ("no time to begin at",)),
    Row("begin in no time", (*SUBMIT, "--begin-at", "h"), ("no time to begin at",)),
    Row("begin too far", (*SUBMIT, "--begin-at", "9" * 30 + "d"), ("no time to begin at",)),
    Row("idle worker", ("worker", "--concurrency", "0"), ("--concurrency", "1<=x<=1000")),
    Row("worker of no queue", ("worker", "--queues", "a,,b"), ("--queues has an empty name", "NAME,NAME")),
    Row("wait for nobody", ("wait",), ("Missing argument 'SESSION_ID...'",)),
    Row("wait for no id", ("wait", "zzz"), ("zzz", "harness sessions")),
    Row("wait for an unknown one", ("wait", UNKNOWN), ("no session", "harness sessions"), "main"),
    Row("wait for a foreign one", ("wait", FINISHED, FOREIGN), ("no session", "harness sessions"), "main"),
    Row("wait no time", ("wait", FINISHED, "--timeout", "0"), ("--timeout", "x>0")),
    Row("tail an unknown one", ("tail", UNKNOWN), ("no session", "harness sessions"), "main"),
    Row("tail a foreign one", ("tail", FOREIGN), ("no session", "harness sessions"), "main"),
    Row("pause a finished one", ("pause", FINISHED), ("ended already",), "main"),
    Row("pause a foreign one", ("pause", FOREIGN), ("no session", "harness sessions"), "main"),
    Row("pause a suspended one", ("pause", UNFINISHED), ("suspended already", "nobody goes on"), "main"),
    Row(
        "queue but not submitted", ("resume", UNFINISHED, "--queue", "night"), ("are for workers", "--submit")
    ),
    Row("submit a finished one", ("resume", FINISHED, "--submit"), ("ended already",), "main"),
    Row(
        "submit from a point",
        ("resume", UNFINISHED, "--submit", "--at", "3"),
        ("--submit leaves the session to the workers", "without --at"),
    ),
    Row(
        "submit and answer nobody",
        ("resume", UNFINISHED, "--submit", "--answer", "Go."),
        ("asks for help",),
        "main",
    ),
)
