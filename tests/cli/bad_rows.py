"""What people get wrong, one row each: what they type, where, and which words the answer must hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Where = Literal["none", "main", "tampered", "newer"]

UNKNOWN = "00000000-0000-4000-8000-000000000000"
FINISHED = "aaaa0000-0000-4000-8000-000000000001"
FINISHED_TWIN = "aaaa0000-0000-4000-8000-000000000002"
UNFINISHED = "bbbb0000-0000-4000-8000-000000000003"
FOREIGN = "cccc0000-0000-4000-8000-000000000004"
GHOSTLY = "dddd0000-0000-4000-8000-000000000005"
CHANGED = "dddd0000-0000-4000-8000-000000000007"
REPLAY = "eeee0000-0000-4000-8000-000000000006"

RUN = ("run", "Why?", "--offline")


@dataclass(frozen=True)
class Row:
    """A command that is refused with all of `says` in its one sentence (as regular expressions).

    `prepare` lays out the working folder, which is the project. `database` names one of the prepared ones;
    with none the command must not even open a store.
    """

    name: str
    args: tuple[str, ...]
    says: tuple[str, ...]
    database: Where = "none"
    prepare: Callable[[Path], object] = lambda folder: None
    env: Mapping[str, str] = field(default_factory=dict)


def write(name: str, text: str | bytes) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    return prepare


def empty_folder(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).mkdir()


QUESTIONS = (
    Row("empty question", ("run", " ", "--offline"), ("question is empty", "say what")),
    Row("empty question, logged", ("run", " ", "--offline", "--log-json"), ("question is empty", "say what")),
    Row("no question", ("run", "--offline"), ("Missing argument 'QUESTION'", "Try 'harness run --help'")),
    Row("question not utf-8", ("run", "Why \udcff?", "--offline"), ("no UTF-8 text", "type it again")),
    Row("unknown command", ("rnu", "Why?"), ("rnu", "Try 'harness --help'")),
    Row(
        "unknown option",
        ("run", "Why?", "--offlin"),
        ("--offlin", "did you mean", "Try 'harness run --help'"),
    ),
    Row("unknown flow", (*RUN, "--flow", "reserch"), ("no flow named 'reserch'", "research, single")),
    Row("two upstreams", (*RUN, "--direct"), ("--offline and --direct", "give one")),
    Row("no key", ("run", "Why?"), ("key", "ANTHROPIC_API_KEY", "--offline"), env={"ANTHROPIC_API_KEY": ""}),
    Row("base url", RUN, ("ANTHROPIC_BASE_URL", "http"), env={"ANTHROPIC_BASE_URL": "api.example.com"}),
    Row("negative budget", (*RUN, "--budget-usd", "-3"), ("-3", "above zero")),
    Row("budget not a number", (*RUN, "--budget-usd", "nan"), ("nan", "above zero")),
    Row(
        "budget without a price",
        ("run", "Why?", "--model", "gpt-9", "--budget-usd", "1"),
        ("price", "gpt-9", r"\[prices"),
    ),
    Row(
        "budget without a price of the fallback",
        ("run", "Why?", "--budget-usd", "1"),
        ("price", "house-model-2", r"\[prices"),
        prepare=write("harness.toml", '[models]\nfallback = "house-model-2"\n'),
    ),
    Row(
        "fallback of an older kind",
        ("run", "Why?"),
        ("fallback 'claude-sonnet-4-6'", "older kind than 'claude-", "newer one"),
        prepare=write("harness.toml", '[models]\nfallback = "claude-sonnet-4-6"\n'),
    ),
    Row("nobody at work", (*RUN, "--max-concurrent", "0"), ("--max-concurrent", "x>=1")),
    Row("--out exists", (*RUN, "--out", "r.md"), ("r.md exists", "--force"), prepare=write("r.md", "mine")),
    Row("--out nowhere", (*RUN, "--out", "no/r.md"), ("no folder", "make it first")),
    Row(
        "--out is a folder",
        (*RUN, "--out", "here"),
        ("is a folder", "name a file"),
        prepare=empty_folder("here"),
    ),
)

SOURCES = (
    Row(
        "missing source", (*RUN, "--sources", "gone.md"), ("no file or folder .*gone.md", "correct the path")
    ),
    Row(
        "unreadable source",
        (*RUN, "--sources", "notes.md/part"),
        ("cannot be read", "leave it out"),
        prepare=write("notes.md", "# Notes"),
    ),
    Row(
        "binary source",
        (*RUN, "--sources", "film.bin"),
        ("film.bin", "PDF, HTML, Markdown"),
        prepare=write("film.bin", b"\x00\x01\x02" * 99),
    ),
    Row(
        "folder without documents",
        (*RUN, "--sources", "empty"),
        ("no document", "Markdown"),
        prepare=empty_folder("empty"),
    ),
    Row(
        "broken document",
        (*RUN, "--sources", "paper.pdf"),
        ("paper.pdf", "leave it out|again"),
        "main",
        prepare=write("paper.pdf", b"%PDF-1.7\nnot really\n"),
    ),
)

PROJECTS = (
    Row("toml syntax", RUN, ("harness.toml", "not valid TOML"), prepare=write("harness.toml", "tenant =")),
    Row(
        "toml unknown key",
        RUN,
        ("harness.toml", "limits.max_step", "did you mean 'max_steps'"),
        prepare=write("harness.toml", "[limits]\nmax_step = 3\n"),
    ),
    Row(
        "toml wrong type",
        RUN,
        ("harness.toml", "limits.max_steps", "integer"),
        prepare=write("harness.toml", '[limits]\nmax_steps = "many"\n'),
    ),
    Row(
        "toml with a key",
        RUN,
        ("api_key", "ANTHROPIC_API_KEY"),
        prepare=write("harness.toml", '[upstream]\napi_key = "sk-secret"\n'),
    ),
    Row(
        "fallback that is a part",
        RUN,
        ("harness.toml", "models.fallback", "model's id"),
        prepare=write("harness.toml", '[models]\nfallback = "research"\n'),
    ),
    Row(
        "price that is none",
        RUN,
        ("harness.toml", "prices.house-model-1.output", "finite"),
        prepare=write("harness.toml", '[prices."house-model-1"]\ninput = 1\noutput = inf\n'),
    ),
    Row(
        "price of no model",
        RUN,
        ("harness.toml", "prices.my model", "model's id"),
        prepare=write("harness.toml", '[prices."my model"]\ninput = 1\noutput = 1\n'),
    ),
    Row(
        "unknown hook",
        RUN,
        ("hook 'snapshoot'", "there are .*snapshot"),
        prepare=write("harness.toml", '[hooks]\ndisabled = ["snapshoot"]\n'),
    ),
    Row(
        "hook without a hook",
        RUN,
        ("mine.py", "HOOK"),
        prepare=write("hooks/mine.py", "x = 1\n"),
    ),
    Row(
        "broken agent",
        RUN,
        ("AGENT.md", "front matter"),
        prepare=write("subagents/mine/AGENT.md", "You are mine.\n"),
    ),
    Row(
        "agent with a wrong field",
        RUN,
        ("AGENT.md", "limits.max_steps"),
        prepare=write("subagents/mine/AGENT.md", "---\nname: mine\nlimits: {max_steps: 0}\n---\nBe mine.\n"),
    ),
    Row(
        "agent without AGENT.md",
        ("agents",),
        ("no AGENT.md",),
        prepare=write("subagents/mine/notes.txt", "x"),
    ),
    Row("agent's name", ("agents", "new", "My Agent"), ("My Agent", "lower-case")),
    Row("init twice", ("init",), ("exists already",), prepare=write("harness.toml", "")),
    Row("missing project", (*RUN, "--project", "nowhere"), ("nowhere", "does not exist")),
)

STORES = (
    Row("dead dsn", (*RUN, "--dsn", "postgresql://h@127.0.0.1:1/h"), ("127.0.0.1:1/h", "start it|correct")),
    Row("malformed dsn", (*RUN, "--dsn", "postgres//nobody:secret@"), ("postgresql://user@host",)),
    Row("empty dsn", (*RUN, "--dsn", ""), ("--dsn", "empty")),
    Row("tampered migration", ("sessions",), ("0001_ground", "not the text"), "tampered"),
    Row("tampered migration, run", RUN, ("0001_ground", "another database"), "tampered"),
    Row("newer database", ("sessions",), ("9999_future", "upgrade"), "newer"),
    Row("newer database, status", ("db", "status"), ("9999_future", "upgrade"), "newer"),
    Row(
        "grant to no role",
        ("tenants", "grant", "acme", "nobody_here"),
        ("no role 'nobody_here'", "create role nobody_here login"),
        "main",
    ),
    Row(
        "grant to a superuser", ("tenants", "grant", "acme", "postgres"), ("superuser", "plain role"), "main"
    ),
    Row(
        "revoke what was not granted",
        ("tenants", "revoke", "acme", "nobody_here"),
        ("was not granted the tenant 'acme'",),
        "main",
    ),
    Row("stop a server of one's own", ("db", "stop"), ("yours to stop",), "main"),
)

SESSIONS = (
    Row("no session id", ("resume", "zebra"), ("'zebra' is no session id", "harness sessions")),
    Row("id too short", ("show", "ab"), ("first 4 characters",)),
    Row("two views at once", ("show", UNKNOWN, "--spans", "--messages"), ("one of --messages, --spans",)),
    Row(
        "--at after the end", ("show", FINISHED, "--at", "9999"), ("last event", "--at that or less"), "main"
    ),
    Row("report without a file", ("report", UNKNOWN), ("--html FILE", "harness show")),
    Row("report of no id", ("report", "zebra", "--html", "r.html"), ("'zebra' is no session id",)),
    Row("unknown session, report", ("report", UNKNOWN, "--html", "r.html"), ("no session",), "main"),
    Row(
        "--html exists",
        ("report", UNKNOWN, "--html", "r.html"),
        ("--html r.html exists", "--force"),
        prepare=write("r.html", "mine"),
    ),
    Row("--html nowhere", ("report", UNKNOWN, "--html", "no/r.html"), ("no folder", "make it first")),
    Row("neither id nor --last", ("resume",), ("--last", "Try 'harness resume --help'")),
    Row("both id and --last", ("resume", UNKNOWN, "--last"), ("either",)),
    Row("unknown session", ("resume", UNKNOWN), ("no session", "harness sessions"), "main"),
    Row("unknown session, show", ("show", "0123"), ("no session '0123'",), "main"),
    Row("ambiguous prefix", ("show", "aaaa"), ("More than one", "give more"), "main"),
    Row("another tenant's session", ("show", FOREIGN), ("no session",), "main"),
    Row("no session yet", ("resume", "--last", "--tenant", "new"), ("no session", "harness run"), "main"),
    Row("ask an unfinished one", ("ask", UNFINISHED, "And?"), ("not done", "harness resume"), "main"),
    Row("ask nothing", ("ask", FINISHED, ""), ("question is empty",)),
    Row("cancel a finished one", ("cancel", FINISHED), ("ended already",), "main"),
    Row("replay no session id", ("replay", "zebra"), ("'zebra' is no session id", "harness sessions")),
    Row("replay an unknown one", ("replay", UNKNOWN), ("no session", "harness sessions"), "main"),
    Row("replay an unrecorded one", ("replay", UNFINISHED), ("not recorded", "run --record"), "main"),
    Row("replay a replay", ("replay", REPLAY), ("itself a replay", f"harness replay {FINISHED}"), "main"),
    Row("replay against nothing", ("replay", FINISHED, "--against", "gone"), ("gone", "does not exist")),
    Row(
        "record without a gateway",
        (*RUN[:2], "--direct", "--record"),
        ("cannot be recorded", "leave --record or --direct out"),
    ),
    Row("bundle that is not here", ("resume", GHOSTLY), ("bundle ghost", "project folder"), "main"),
)

_SET = ("tenants", "set", "poor")

TENANTS = (
    Row("unknown tenant", ("tenants", "show", "nobody"), ("no tenant 'nobody'", "tenants list"), "main"),
    Row("no limit to set", _SET, ("No limit is named", "--daily-usd 5")),
    Row("tenant without a name", ("tenants", "set", " ", "--daily-usd", "1"), ("name is empty",)),
    Row("no amount", (*_SET, "--daily-usd", "much"), ("'much' is neither an amount", "nor 'none'")),
    Row("amount of nothing", (*_SET, "--session-usd", "0"), ("'0' is neither", "above zero")),
    Row("infinite amount", (*_SET, "--monthly-usd", "inf"), ("'inf' is neither",)),
    Row("half a token", (*_SET, "--daily-tokens", "0.5"), ("'0.5' is neither a number of tokens",)),
    Row("sessions below none", (*_SET, "--max-sessions", "-1"), ("'-1' is neither a number of sessions",)),
    Row("models without a name", (*_SET, "--models", ","), ("',' is neither a list of names",)),
    Row("no budget of tokens", (*RUN, "--budget-tokens", "0"), ("--budget-tokens", "x>=1")),
    Row(
        "direct under a budget",
        ("run", "Why?", "--direct", "--flow", "single", "--tenant", "poor"),
        ("'poor' has a budget", "leave --direct out"),
        "main",
    ),
    Row(
        "flow that is not allowed",
        (*RUN, "--tenant", "poor", "--flow", "research"),
        ("may not use the flow 'research', only single", "tenants set poor --flows"),
        "main",
    ),
    Row(
        "model that is not allowed",
        ("run", "Why?", "--flow", "single", "--tenant", "poor", "--model", "claude-opus-5-5"),
        ("may not use the model 'claude-opus-5-5', only claude-haiku-5-5, gpt-9", "poor --models"),
        "main",
    ),
    Row(
        "model without a price under a budget",
        ("submit", "Why?", "--flow", "single", "--tenant", "poor", "--model", "gpt-9"),
        ("price of the model 'gpt-9'", r"\[prices"),
        "main",
    ),
    Row(
        "more than a session may cost",
        (*RUN, "--flow", "single", "--tenant", "poor", "--budget-usd", "2"),
        (r"at most, not \$2\.00", "poor --session-usd AMOUNT"),
        "main",
    ),
    Row(
        "more tokens than a session may use",
        (*RUN, "--flow", "single", "--tenant", "poor", "--budget-tokens", "5000"),
        ("1,000 tokens at most, not 5,000", "poor --session-tokens NUMBER"),
        "main",
    ),
)

KEYS = {"LANGFUSE_PUBLIC_KEY": "pk", "LANGFUSE_SECRET_KEY": "sk"}

TRACES = (
    Row(
        "no receiver",
        ("trace", "flush"),
        ("No receiver", "LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY", "tracing.otlp_url"),
    ),
    Row(
        "half a receiver",
        ("trace", "flush"),
        ("set LANGFUSE_SECRET_KEY for",),
        env={"LANGFUSE_PUBLIC_KEY": "pk"},
    ),
    Row(
        "key of two lines",
        ("trace", "flush"),
        ("LANGFUSE_PUBLIC_KEY",),
        env={**KEYS, "LANGFUSE_PUBLIC_KEY": "p\nk"},
    ),
    Row("receiver's url", ("trace", "flush"), ("LANGFUSE_BASE_URL", "http"), env={"LANGFUSE_BASE_URL": "x"}),
    Row(
        "receiver's port",
        ("trace", "status"),
        ("LANGFUSE_BASE_URL", "valid host and port"),
        env={"LANGFUSE_BASE_URL": "http://127.0.0.1:99999"},
    ),
    Row(
        "receiver's host",
        ("trace", "status"),
        ("LANGFUSE_BASE_URL", "valid host and port"),
        env={"LANGFUSE_BASE_URL": f"http://{'a' * 70}.invalid"},
    ),
    Row(
        "receiver's headers",
        ("trace", "flush"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "name=value"),
        env={"OTEL_EXPORTER_OTLP_HEADERS": "secret"},
    ),
    Row("no session to flush", ("trace", "flush", "zebra"), ("'zebra' is no session id",), env=KEYS),
    Row("unknown session to flush", ("trace", "flush", "0123"), ("no session '0123'",), "main", env=KEYS),
    Row("status of another tenant's", ("trace", "status", FOREIGN), ("no session",), "main"),
    Row("export of nothing", ("trace", "export", UNKNOWN, "--json"), ("no session",), "main"),
    Row("export nowhere", ("trace", "export", FINISHED), ("either --json or --otlp",)),
    Row(
        "export to two places",
        ("trace", "export", FINISHED, "--json", "--otlp", "http://127.0.0.1:9"),
        ("either --json or --otlp",),
    ),
    Row(
        "export to no url",
        ("trace", "export", FINISHED, "--otlp", "langfuse"),
        ("--otlp", "'langfuse'", "http"),
    ),
    Row(
        "export into a folder",
        ("trace", "export", FINISHED, "--json", "--out", "here"),
        ("is a folder",),
        prepare=empty_folder("here"),
    ),
    Row(
        "export a post into a file",
        ("trace", "export", FINISHED, "--otlp", "http://127.0.0.1:9", "--out", "t.json"),
        ("--out with --json only",),
    ),
)


SCORES = (
    Row("score of no session id", ("score", "zebra", "1"), ("'zebra' is no session id", "harness sessions")),
    Row("score of an unknown session", ("score", UNKNOWN, "1"), ("no session", "harness sessions"), "main"),
    Row("score of another tenant's", ("score", FOREIGN, "1"), ("no session",), "main"),
    Row("no score", ("score", FINISHED), ("Missing argument 'VALUE'", "Try 'harness score --help'")),
    Row("empty score", ("score", FINISHED, " "), ("VALUE", "empty", "give a word")),
    Row("score nan", ("score", FINISHED, "nan"), ("'nan' is no finite number",)),
    Row("score infinite", ("score", FINISHED, "-1e999"), ("no finite number",)),
    Row("score too long", ("score", FINISHED, "good " * 30), ("100 characters", "--comment")),
    Row("score of two lines", ("score", FINISHED, "good\nbad"), ("or a line", "--comment")),
    Row("score with a misspelt option", ("score", FINISHED, "--nam"), ("no option '--nam'",)),
    Row("score without a name", ("score", FINISHED, "1", "--name", ""), ("--name", "empty")),
    Row("score's long comment", ("score", FINISHED, "1", "--comment", "x" * 2001), ("2001", "shorten")),
    Row("score's comment not utf-8", ("score", FINISHED, "1", "--comment", "\udcff"), ("no UTF-8 text",)),
    Row(
        "score of no span",
        ("score", FINISHED, "1", "--span", "0123456789abcdef"),
        ("names no step", "harness show"),
        "main",
    ),
    Row("score of an empty span", ("score", FINISHED, "1", "--span", ""), ("names no step",), "main"),
)

_FORK = ("fork", UNFINISHED, "--at")

FORKS = (
    Row("fork from nowhere", ("fork", UNFINISHED), ("--at", "Try 'harness fork --help'")),
    Row("no point", (*_FORK, "half"), ("'half' is neither .* event .* nor a span's id", "harness show")),
    Row("point zero", (*_FORK, "0"), ("'0' is neither",)),
    Row("point beyond the end", (*_FORK, "999"), ("has .* events", "from 1 to"), "main"),
    Row("unknown span", (*_FORK, "beef"), ("no span that begins with 'beef'", "harness show"), "main"),
    Row("fork an unknown session", ("fork", UNKNOWN, "--at", "1"), ("no session",), "main"),
    Row("fork another tenant's session", ("fork", FOREIGN, "--at", "1"), ("no session",), "main"),
    Row("no edit", (*_FORK, "1", "--edit", "question"), ("'question' is no edit", "PATH=VALUE")),
    Row("edited twice", (*_FORK, "1", "--edit", "a=1", "--edit", "a=2"), ("a is given twice",)),
    Row(
        "edit what names things",
        (*_FORK, "1", "--edit", "tenant=other"),
        ("'tenant' of session.created cannot be edited", "question, model, limits"),
        "main",
    ),
    Row("edit to nothing", (*_FORK, "1", "--edit", "question= "), ("question is empty",), "main"),
    Row(
        "edit a start", (*_FORK, "3", "--edit", "attempt=2"), ("cannot be edited", "session.created"), "main"
    ),
    Row(
        "edit to a wrong type",
        (*_FORK, "2", "--edit", "limits.max_steps=many"),
        ("limits.max_steps", "integer"),
        "main",
    ),
    Row(
        "edit without a point", ("resume", UNFINISHED, "--edit", "question=How?"), ("say at which with --at",)
    ),
    Row("resume from no point", ("resume", UNFINISHED, "--at", "x"), ("'x' is neither",)),
    Row("resume beyond the end", ("resume", UNFINISHED, "--at", "999"), ("from 1 to",), "main"),
    Row(
        "resume with a wrong edit", ("resume", UNFINISHED, "--at", "1", "--edit", "x=1"), ("'x' of",), "main"
    ),
    Row(
        "answer nobody at a point",
        ("resume", UNFINISHED, "--at", "2", "--answer", "Yes."),
        ("Nobody in session bbbb0000.* asks for help",),
        "main",
    ),
    Row("fork for a bundle that is not here", ("resume", GHOSTLY, "--at", "2"), ("bundle ghost",), "main"),
)

ROWS = (*QUESTIONS, *SOURCES, *PROJECTS, *STORES, *SESSIONS, *TENANTS, *TRACES, *SCORES, *FORKS)
