"""How numbers and names are written for people."""

from __future__ import annotations

from datetime import datetime


def tokens(count: int) -> str:
    """Write a count of tokens in at most six characters: 950, 12.3k, 1.25M."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 999_950 else f"{count / 1_000_000:.2f}M"


def dollars(amount: float | None) -> str:
    """Write an amount of US dollars, a small one with more places; "-" when it is not known."""
    if amount is None:
        return "-"
    return f"${amount:.4f}" if 0 < amount < 0.1 else f"${amount:,.2f}"


def clock(seconds: float) -> str:
    """Write a duration as 0:42, 12:03 or 1:02:03."""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def took(seconds: float) -> str:
    """Write how long a step took, in at most seven characters: 120 ms, 4.2 s, 12:03, 1:02:03."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 59.95 else clock(seconds)


def moment(at: datetime) -> str:
    """Write a point in time in the local time zone."""
    return f"{at.astimezone():%Y-%m-%d %H:%M}"


def size(count: int) -> str:
    """Write a size in bytes."""
    if count < 1024**2:
        return f"{count / 1024:.0f} kB"
    return f"{count / 1024**2:.0f} MB" if count < 1024**3 else f"{count / 1024**3:.1f} GB"


def number(count: int, noun: str) -> str:
    """Write a count with its noun: 1 agent run, 2 agent runs."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def tool(name: str | None) -> str:
    """Write a tool's name as a person would; an agent hands in its typed answer by a tool, too."""
    if name is None:
        return ""
    if name == "StructuredOutput":
        return "answer"
    return name.removeprefix("mcp__").removeprefix("harness__").replace("__", " ")


def short(session_id: str) -> str:
    """Give the beginning of an id, which is enough to name it by."""
    return session_id[:8]


def fork_of(session_id: str, seq: int) -> str:
    """Say what a session is a fork of."""
    return f"fork of {short(session_id)} at event {seq}"


def one_line(text: str) -> str:
    """Put a text on one line."""
    return " ".join(text.split())
