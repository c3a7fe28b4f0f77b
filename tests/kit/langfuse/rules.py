"""What Langfuse, or another receiver of the same spans, would show wrongly or not at all.

`of_span` judges a span alone, so that a receiver can refuse it; `problems` also judges the spans of a trace
together, when nothing more is to come. Each problem is a sentence that begins with the span's name.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tests.kit.langfuse.observation import METADATA, OWN, Observation, observe
from tests.kit.langfuse_chat import problems as chat_problems
from tests.kit.langfuse_chat import read
from tests.kit.seen import Seen

_PAID = ("gen_ai.usage.", f"{OWN}.usage_details", f"{OWN}.cost_details", "llm.token_count.", "llm.cost.")
_CONTENT = (
    "input.value",
    "output.value",
    f"{OWN}.input",
    f"{OWN}.output",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.definitions",
    "gen_ai.system_instructions",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
)
_KINDS = frozenset({"AGENT", "CHAIN", "EMBEDDING", "EVALUATOR", "GUARDRAIL", "LLM", "RETRIEVER", "TOOL"})
_UPSTREAMS = ("live", "offline", "replay", "direct")
_SOMEBODY = ("claude", "anthropic")


def of_span(span: Seen) -> list[str]:
    """Say what is wrong with a span, whatever others there are."""
    row = observe(span)
    found = [
        *_kind(span),
        *_sides(span),
        *_money(span, row),
        *_links(span),
        *_objects(span),
        *_first_token(row),
        *_nobody(span),
        *(_generation(row) if row.type == "GENERATION" else ()),
        *(_root(span, row) if row.is_root else ()),
    ]
    return [f"{span.name}: {problem}" for problem in found]


def problems(spans: Sequence[Seen]) -> list[str]:
    """Say what is wrong with the spans of traces that have ended."""
    alone = [problem for span in spans for problem in of_span(span)]
    return [*alone, *_orphans(spans), *_names(spans), *_upstreams(spans)]


def chats(spans: Iterable[Seen]) -> list[str]:
    """Say of which generations the chat view is broken, and how."""
    rows = [row for row in map(observe, spans) if row.type == "GENERATION"]
    return [f"{row.name}: {problem}" for row in rows for problem in _chat(row)]


def _kind(span: Seen) -> Iterator[str]:
    kind = span.attributes.get("openinference.span.kind")
    if kind not in _KINDS:
        # Phoenix shows a span without a kind as one of kind "unknown".
        yield f"openinference.span.kind is {kind}"
    if span.attributes.get("langfuse.trace.name") not in _tags(span):
        yield f"the flow is not among its tags {_tags(span)}"
    if "gen_ai.agent.id" in span.attributes:
        # It is the agent's, which has none here, and not the run's:
        # https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-agent-spans.md
        yield "gen_ai.agent.id names a run"


def _sides(span: Seen) -> Iterator[str]:
    """Input and output are where every receiver looks, and what they are is said."""
    about = span.attributes
    for side in ("input", "output"):
        text, kind = about.get(f"{side}.value"), about.get(f"{side}.mime_type")
        others = [name for name in (f"{OWN}.{side}", _tool_side(side)) if name in about]
        if text is None:
            if others:
                yield f"{others[0]} is there, and no {side}.value"
            continue
        if any(about[name] != text for name in others):
            yield f"{side}.value and {others} differ"
        if f"{OWN}.{side}" not in about:
            yield f"{side}.value is there, and no {OWN}.{side}"
        if kind not in ("application/json", "text/plain"):
            yield f"{side}.mime_type is {kind}"
        elif kind == "application/json" and not _is_json(text) and not about.get(f"{METADATA}{side}_chars"):
            yield f"{side}.mime_type says JSON, and it is none"
    is_tool = about.get("gen_ai.operation.name") == "execute_tool"
    if is_tool and not {"input.value", f"{METADATA}input_chars"} & about.keys():
        yield "a tool without input.value"


def _tool_side(side: str) -> str:
    return "gen_ai.tool.call." + ("arguments" if side == "input" else "result")


def _money(span: Seen, row: Observation) -> Iterator[str]:
    """Langfuse sums up what all rows say, of whatever type, and fills gaps by itself."""
    told = [name for name in span.attributes if name.startswith(_PAID)]
    if row.type != "GENERATION" and told:
        yield f"usage or cost on no generation ({told[0]}): it is counted twice"
    if row.invented:
        yield f"Langfuse invents {dict(row.usage)} and {row.cost_usd} dollars"
    if row.type == "GENERATION" and row.cost_usd is None and (row.costs or not row.usage):
        # Where tokens were counted nobody may know their price; else it is known that nothing is owed.
        yield "no total cost is told"
    parts = [cost for name, cost in row.costs.items() if name != "total"]
    if parts and abs(sum(parts) - (row.cost_usd or 0.0)) > 1e-9:
        yield f"its costs by type make {sum(parts)}, and their total is {row.cost_usd}"


def _links(span: Seen) -> Iterator[str]:
    """A prompt's name links nothing without the number of its version, or on another type."""
    if f"{OWN}.prompt.name" in span.attributes and observe(span).prompt is None:
        yield f"{OWN}.prompt.name links nothing"


def _objects(span: Seen) -> Iterator[str]:
    for name, value in span.attributes.items():
        if name.startswith(METADATA) and isinstance(value, str) and isinstance(_parsed(value), dict):
            yield f"{name} is an object as one text: nobody can filter by what is in it"


def _first_token(row: Observation) -> Iterator[str]:
    first = row.completion_start_ns
    if first is not None and not row.start_ns <= first <= row.end_ns:
        yield f"its first token came {(first - row.end_ns) / 1e9:.3f} s after its end"


def _nobody(span: Seen) -> Iterator[str]:
    """Where nobody was asked, no model of anybody's is named: receivers would set its price."""
    if "offline" not in _tags(span):
        return
    told = {"its name": span.name} | {
        name: value for name, value in span.attributes.items() if name not in _CONTENT
    }
    for name, value in told.items():
        if any(word in str(value).lower() for word in _SOMEBODY):
            yield f"offline, and {name} is {value}"


def _tags(span: Seen) -> list[str]:
    return list(span.attributes.get("langfuse.trace.tags") or ())


def _generation(row: Observation) -> Iterator[str]:
    yield from _chat(row)
    if row.metadata.get("replayed") == "true":
        return  # an answer that was kept: no model was called
    if not row.model:
        yield "no model is named"
    if not row.model_parameters:
        yield "no parameter of the model is told"


def _chat(row: Observation) -> Iterator[str]:
    """The conversation is shown, whole, from the system's prompt on."""
    if row.input is None:
        return
    yield from chat_problems(row.input, row.output)
    roles = [message.role for message in read(row.input, row.output).messages]
    if roles and "user" not in roles:
        yield "Nobody asks anything: only a part of the conversation is there."
    if "system" in roles and roles[0] != "system":
        yield "The system's prompt is not at the beginning."


def _root(span: Seen, row: Observation) -> Iterator[str]:
    kept = {side: f"{METADATA}{side}_chars" in span.attributes for side in ("input", "output")}
    if not row.input and not kept["input"]:
        yield "a root without input"
    if not row.output and not kept["output"] and row.level == "DEFAULT":
        yield "a root without output"
    if row.latency_s <= 0:
        yield "a root that took no time"
    if row.level != "DEFAULT" and not row.status_message:
        yield f"a root of level {row.level} without a reason"


def _orphans(spans: Sequence[Seen]) -> Iterator[str]:
    known = {(span.trace_id, span.span_id) for span in spans}
    for span in spans:
        if span.parent_id and (span.trace_id, span.parent_id) not in known:
            yield f"{span.name}: its parent {span.parent_id} has never come"


def _upstreams(spans: Sequence[Seen]) -> Iterator[str]:
    """All spans of a trace have the same tags, and these say how its calls were answered."""
    found: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for span in spans:
        found[span.trace_id].add(tuple(_tags(span)))
    for tags in found.values():
        if len(tags) > 1:
            yield f"spans of one trace have different tags: {sorted(tags)}"
        elif not set(*tags) & set(_UPSTREAMS):
            yield f"none of {', '.join(_UPSTREAMS)} is among the tags {[*tags]}"


def _names(spans: Sequence[Seen]) -> Iterator[str]:
    """One call of a tool has one name and one form of input, however often it shows: names are the graph's
    nodes."""
    calls: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for span in spans:
        if call := span.attributes.get("gen_ai.tool.call.id"):
            row = observe(span)
            calls[str(call)].add((row.name, _form(row.input)))
    for call, shown in calls.items():
        if len(shown) > 1:
            yield f"the call {call} of a tool is shown in different ways: {sorted(shown)}"


def _form(text: str | None) -> str:
    """What a text is: the names of an object's fields, or of the first object in a list."""
    match _parsed(text or ""):
        case Mapping() as fields:
            return f"an object of {sorted(fields)}"
        case [Mapping() as first, *_]:
            return f"a list of objects of {sorted(first)}"
        case [*_]:
            return "a list"
        case _:
            return "a text" if text else "nothing"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
