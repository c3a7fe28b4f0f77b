"""What is asked, found and written in the sample session."""

from __future__ import annotations

from typing import Any

from harness.corpus.corpus import Source

QUESTION = "Why do some coral reefs recover from bleaching within a decade, and will they go on doing so?"

SOURCES = (
    Source(
        label="S1",
        title="Recovery of reefs after the 1998 bleaching",
        locator="papers/recovery-1998.pdf",
        length=81_204,
    ),
    Source(label="S2", title="Herbivores and coral cover", locator="papers/herbivores.pdf", length=60_118),
    Source(
        label="S3",
        title="Larval supply between reefs",
        locator="https://example.org/larval-supply",
        length=44_870,
    ),
    Source(
        label="S4",
        title="Marine heatwaves 1985 to 2020",
        locator="https://example.org/heatwaves?from=1985&to=2020",
        length=102_533,
    ),
    Source(label="S5", title="Field notes, outer reef", locator="notes/outer-reef.md", length=9_312),
)

TASKS = (
    "What sets apart the reefs that recovered within ten years of the 1998 bleaching?",
    "How do herbivorous fish change the odds that coral comes back?",
    "How far do larvae from healthy reefs travel, and does that limit recovery?",
    "How have the intervals between marine heatwaves changed since 1985?",
)

CHECK = "Check that the quotes on recovery times and heatwave intervals stand in their sources."

QUERIES = (
    "recovery time coral cover after bleaching",
    "parrotfish biomass and macroalgae",
    "larval dispersal distance",
    "return interval marine heatwaves",
    "structural complexity depth refuge",
    "juvenile coral density threshold",
    "nutrient load and recovery",
)

REPORT = """# Reefs recover where coral can settle and time is given

Reefs that came back within ten years of the 1998 bleaching had three things in common: **depth or structure**
that kept some coral alive, **grazing fish** that kept algae down, and **larvae** from reefs nearby [1, 2].
None of the three was enough alone.

| condition | recovered | did not |
|---|---:|---:|
| structure above the median | 11 of 12 | 2 of 9 |
| grazing biomass over 177 kg/ha | 10 of 12 | 3 of 9 |
| a healthy reef within 10 km | 9 of 12 | 4 of 9 |

## What decides

- *Structure and depth* decided most: together they told recovering reefs from others with 98 % accuracy [1].
- *Grazing* mattered where nutrients were high [2]; elsewhere its effect was small [5].
- *Larvae* settle mostly within ten kilometres of where they were released [3].

## Will they go on?

Probably not at the present pace. The median time between severe heatwaves fell from 27 years to about
six [4], while recovery takes `9 to 12` years [1]. A reef that needs a decade no longer gets one.

> The open question is whether heat-tolerant colonies spread fast enough; the documents do not say.

## Sources

[1] S1, Recovery after the 1998 bleaching: "recovery to pre-disturbance cover took nine to twelve years"
[2] S2, Herbivores and coral cover: "above 177 kg per hectare, macroalgae did not exceed five per cent"
[3] S3, Larval supply between reefs: "most larvae settled within ten kilometres of their natal reef"
[4] S4, Marine heatwaves 1985 to 2020: "the median return time of severe events declined from 27 to 5.9 years"
[5] S5, Field notes, outer reef: "grazing made no difference whatsoever at the outer stations"
"""

CITATIONS: dict[str, Any] = {
    "checked": 5,
    "failed": [
        {
            "citation": '[5] S5: "grazing made no difference whatsoever at the outer stations"',
            "reason": "The quote does not stand in S5 word for word.",
        }
    ],
}


def hits(query: str, number: int) -> dict[str, Any]:
    """A search's result."""
    source = SOURCES[number % len(SOURCES)]
    text = (
        "Of the 21 reefs surveyed, twelve recovered; recovery to pre-disturbance cover took nine to twelve "
        "years.\nThe other nine shifted to macroalgae and had not returned by 2011."
    )
    return {
        "query": query,
        "total": 14 + number,
        "hits": [
            {"source": source.label, "title": source.title, "passage": 3 + number, "text": text},
            {
                "source": "S1",
                "title": SOURCES[0].title,
                "passage": 11,
                "text": "Depth alone told reefs apart.",
            },
        ],
    }


def request(model: str, task: str, turn: int) -> dict[str, Any]:
    """A model call's input."""
    return {
        "model": model,
        "max_tokens": 8192,
        "system": [
            {
                "type": "text",
                "text": "You are a researcher.\n\nRead before you write. Quote word for word, and name the "
                "source of each quote. Say what you could not find.",
                "cache_control": {"type": "ephemeral"},
            }
        ],
        "messages": [
            {"role": "user", "content": task},
            {"role": "assistant", "content": [{"type": "text", "text": f"Turn {turn}: I search further."}]},
        ],
        "tools": [{"name": "mcp__corpus__search"}, {"name": "mcp__corpus__read"}],
    }


def response(turn: int, last: bool) -> dict[str, Any]:
    """A model call's output."""
    if last:
        text = "Twelve of 21 reefs recovered; depth and structure told them apart with 98 % accuracy (S1)."
        return {"stop_reason": "end_turn", "content": [{"type": "text", "text": text}]}
    call = {
        "type": "tool_use",
        "name": "mcp__corpus__search",
        "input": {"query": QUERIES[turn % len(QUERIES)]},
    }
    return {"stop_reason": "tool_use", "content": [call]}
