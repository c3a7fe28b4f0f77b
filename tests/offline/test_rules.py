"""The table of what the service refuses: for each rule requests that break it, and near ones that pass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from harness.offline.rules import RULES, Refusal, refusal, refusal_of
from harness.offline.rules.families import FAMILIES

OPUS, SONNET, HAIKU = "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"
OLD, OLDER = "claude-sonnet-5", "claude-sonnet-4-5"
VERSION = {"anthropic-version": "2023-06-01"}
TURNS = VERSION | {"anthropic-beta": "per-turn-control-2026-07-01"}
CLOSED: dict[str, Any] = {"type": "object", "additionalProperties": False}
TREE = CLOSED | {"properties": {"child": {"$ref": "#/$defs/Tree"}}}

Change = dict[str, Any]


def body(**changes: Any) -> dict[str, Any]:
    """A request that is taken, with these fields instead."""
    return {"model": OPUS, "max_tokens": 1000, "messages": [user("Why?")], **changes}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": [text(one) if isinstance(one, str) else one for one in content]}


def assistant(*content: Any) -> dict[str, Any]:
    return user(*content) | {"role": "assistant"}


def system(*content: Any, **more: Any) -> dict[str, Any]:
    return user(*content) | {"role": "system", **more}


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


def call(id: str = "toolu_1") -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": "look", "input": {}}


def result(id: str = "toolu_1", content: Any = "Nothing.") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": content}


def image(size: int) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * size}}


def tool(name: str = "look", /, **schema: Any) -> dict[str, Any]:
    return {"name": name, "description": "Looks.", "input_schema": {"type": "object", **schema}}


def says(*messages: dict[str, Any], **more: Any) -> Change:
    return {"messages": list(messages), **more}


def offers(*tools: dict[str, Any], **more: Any) -> Change:
    return {"tools": list(tools), **more}


def wants(schema: Mapping[str, Any], **more: Any) -> Change:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}, **more}


def property_of(**schema: Any) -> Change:
    return wants(CLOSED | {"properties": {"found": schema}, "required": ["found"]})


def strict(count: int, properties: Mapping[str, Any]) -> Change:
    closed = CLOSED | {"properties": properties}
    return offers(*({**tool(f"look_{n}"), "input_schema": closed, "strict": True} for n in range(count)))


MARK = {"cache_control": {"type": "ephemeral"}}
CALLED = (user("Why?"), assistant(call()))

CASES: Mapping[str, tuple[list[Change], list[Change]]] = {
    "there are no other fields than the API's": ([{"prompt": "Why?"}], [{"metadata": {"user_id": "x"}}]),
    "a field of a beta needs its header": ([{"context_management": {"edits": []}}], [{}]),
    "model, max_tokens and messages are given": (
        [{"model": ""}, {"model": 5}, {"max_tokens": 0}, {"max_tokens": None}, {"messages": []}],
        [{"max_tokens": 1}],
    ),
    "the other fields have their form": (
        [{"system": 5}, {"tools": {}}, {"thinking": "adaptive"}, {"stream": "yes"}, {"tools": [{}]}],
        [{"system": "You."}, {"system": [text("You.")]}, {"tools": []}, {"thinking": {"type": "adaptive"}}],
    ),
    "each message has a role and content": (
        [
            says({"content": "Why?"}),
            says({"role": "tool", "content": "Why?"}),
            says({"role": "user"}),
            says({"role": "user", "content": None}),
            says(user("Why?") | {"name": "Ann"}),
        ],
        [says({"role": "user", "content": "Why?"})],
    ),
    "each block has its type's fields": (
        [
            says(user({"text": "Why?"})),
            says(user({"type": "text"})),
            says(user("Why?"), assistant(call() | {"input": "{}"}), user(result())),
            says(user(call())),
            says(user("Why?"), assistant(result())),
            says(*CALLED, user(result(content=5))),
            says(user("Why?"), system(image(8))),
            says(user("Why?"), assistant({"type": "thinking", "thinking": ""}), user("So?")),
        ],
        [says(*CALLED, user(result(content=[text("Nothing."), image(8)])))],
    ),
    "the first message is the user's": (
        [says(assistant("Hello."), user("Why?")), says(system("You."), user("Why?"))],
        [says(user("Why?"), assistant("So."), user("Why?"))],
    ),
    "system messages are for models that know them": (
        [says(user("Why?"), system("Be short."), model=OLD)],
        [
            says(user("Why?"), system("Be short."), model=model)
            for model in (OPUS, SONNET, HAIKU, "some-model")
        ],
    ),
    "a system message stands before an answer, or at the end": (
        [
            says(user("Why?"), system("Be short."), user("So?")),
            says(user("Why?"), assistant("So."), system("Be short.")),
            says(user("Why?"), system()),
        ],
        [
            says(user("Why?"), system("Be short.")),
            says(user("Why?"), system("Be short."), system("Be kind."), assistant("So."), user("So?")),
        ],
    ),
    "no message is empty": (
        [says(user()), says(user("Why?"), assistant(), user("So?")), says({"role": "user", "content": ""})],
        [says(user(), user("Why?")), says(user("Why?"), assistant("So."), user("So?"))],
    ),
    "no text is empty": (
        [
            says(user("Why?", "")),
            says(user("Why?"), assistant(" \n"), user("So?")),
            says(*CALLED, user(result(content=[text("")]))),
            {"system": [text("")]},
            says(user("Why?"), system(" ")),
        ],
        [says(*CALLED, user(result(content=[]))), says(*CALLED, user(result(content=[text("-")])))],
    ),
    "ids of calls are unique": (
        [says(user("Why?"), assistant(call(), call()), user(result()))],
        [says(user("Why?"), assistant(call(), call("toolu_2")), user(result(), result("toolu_2")))],
    ),
    "each call has its result in the next turn": (
        [
            says(*CALLED),
            says(*CALLED, user("Go on.")),
            says(*CALLED, user("Go on."), assistant("So."), user(result())),
            says(user("Why?"), assistant(call(), call("toolu_2")), user(result())),
        ],
        [says(*CALLED, user(result()), user("Go on.")), says(*CALLED, user(result(), "Go on."))],
    ),
    "each result has its call in the turn before": (
        [
            says(user(result())),
            says(*CALLED, user(result(), result("toolu_2"))),
            says(*CALLED, user(result(), result())),
            says(*CALLED, user(result()), assistant("So."), user(result())),
        ],
        [says(*CALLED, user(result()), assistant(call("toolu_2")), user(result("toolu_2")))],
    ),
    "results stand before all else in their message": (
        [says(*CALLED, user("Here:", result()))],
        [says(*CALLED, user(result(), "Here."))],
    ),
    "at most 4 blocks are marked for the cache": (
        [
            says(user(*(text("Why?", **MARK) for _ in range(5)))),
            says(user(*(text("Why?", **MARK) for _ in range(4))), **MARK),
            says(*CALLED, user(result(content=[text("-", **MARK)] * 3)), system=[text("You.", **MARK)] * 2),
            offers(*(tool(f"look_{n}") | MARK for n in range(5))),
        ],
        [
            says(user(*(text("Why?", **MARK) for _ in range(4)))),
            offers(tool() | MARK, system=[text("-", **MARK)]),
        ],
    ),
    "thinking is not marked for the cache": (
        [says(user("Why?"), assistant({"type": "redacted_thinking", "data": "", **MARK}), user("So?"))],
        [says(user("Why?"), assistant(text("So.", **MARK)), user("So?"))],
    ),
    "an image has at most 5 MB": (
        [says(user(image(5 * 2**20 + 1))), says(*CALLED, user(result(content=[image(6 * 2**20)])))],
        [says(user(image(5 * 2**20)))],
    ),
    "tools are named in ASCII": (
        [offers(tool(name)) for name in ("", "look.up", "nachschlagen?", "schön", "x" * 129)],
        [offers(tool(name)) for name in ("mcp__corpus__search", "Look-up_2", "x" * 128)],
    ),
    "tools have different names": ([offers(tool(), tool())], [offers(tool(), tool("look_up"))]),
    "a tool takes an object": (
        [
            offers({"name": "look"}),
            offers({"name": "look", "input_schema": {"$ref": "#/$defs/Look"}}),
            offers(tool(type="array")),
            offers(tool(anyOf=[{"type": "object"}])),
            offers(tool(oneOf=[{"type": "object"}])),
            offers(tool(allOf=[{"type": "object"}])),
        ],
        [
            offers(tool()),
            offers(tool(properties={"at": {"anyOf": [{"type": "string"}, {"type": "null"}]}})),
            offers({"type": "web_search_20250305", "name": "web_search"}),
        ],
    ),
    "a tool's schema is a JSON Schema": (
        [offers(tool(properties=[])), offers(tool(required="at")), wants({"type": "objekt"})],
        [offers(tool(properties={}, required=[]))],
    ),
    "properties are named in ASCII": (
        [
            offers(tool(properties={"größe": {"type": "number"}})),
            offers(tool(properties={"x" * 65: {}})),
            offers(tool(properties={"at": {"type": "object", "properties": {"the place": {}}}})),
        ],
        [offers(tool(properties={"at.the-place_1": {}}))],
    ),
    "the chosen tool is offered": (
        [
            offers(tool(), tool_choice={"type": "tool", "name": "see"}, model=HAIKU),
            {"tool_choice": {"type": "any"}, "model": HAIKU},
        ],
        [offers(tool(), tool_choice={"type": "tool", "name": "look"}, model=HAIKU)],
    ),
    "strict schemas are of the kind that grammars are made of": (
        [
            wants({"type": "object"}),
            wants(CLOSED | {"additionalProperties": {"type": "string"}}),
            wants(CLOSED | {"properties": {"found": {"type": "array", "items": {"type": "object"}}}}),
            property_of(type="integer", minimum=1),
            property_of(type=["number", "null"], maximum=1),
            property_of(type="string", maxLength=9),
            property_of(type="string", format="iri"),
            property_of(type="string", pattern="(?=a)b"),
            property_of(type="array", minItems=2),
            property_of(type="array", uniqueItems=True),
            property_of(oneOf=[{"type": "string"}]),
            property_of(enum=[{"a": 1}]),
            property_of(**{"$ref": "#/$defs/Nowhere"}),
            property_of(**{"$ref": "https://example.org/schema.json"}),
            wants(TREE | {"$defs": {"Tree": TREE}}),
            wants(CLOSED | {"properties": {"child": {"$ref": "#"}}}),
            {"output_config": {}, **offers(tool() | {"strict": True})},
        ],
        [
            wants(CLOSED),
            wants({"const": 7}),
            property_of(type="string", format="uuid", pattern="^a+$"),
            property_of(type="array", minItems=1, items={"enum": ["a", None]}),
            wants(TREE | {"$defs": {"Tree": CLOSED}}),
            offers(tool()),
            offers({**tool(), "input_schema": CLOSED, "strict": True}),
        ],
    ),
    "strict schemas are small": (
        [
            strict(21, {}),
            strict(1, {f"p{n}": {"type": "string"} for n in range(25)}),
            strict(17, {"at": {"type": ["string", "null"]}}),
        ],
        [strict(20, {}), strict(1, {f"p{n}": {"type": "string"} for n in range(24)})],
    ),
    "no tool is forced where the model always thinks": (
        [
            offers(tool(), tool_choice={"type": "tool", "name": "look"}),
            offers(tool(), tool_choice={"type": "any"}, model=SONNET),
            offers(
                tool(),
                tool_choice={"type": "any"},
                model=OLDER,
                max_tokens=9000,
                thinking={"type": "enabled", "budget_tokens": 2000},
            ),
        ],
        [
            offers(tool(), tool_choice={"type": "auto"}),
            offers(tool(), tool_choice={"type": "none"}, model=SONNET),
            offers(tool(), tool_choice={"type": "any"}, model=HAIKU),
            offers(tool(), tool_choice={"type": "any"}, model="some-model"),
        ],
    ),
    "thinking is of a type that the model has": (
        [
            {"thinking": {"type": "disabled"}},
            {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 9000, "model": HAIKU},
            {"thinking": {"type": "between_tools"}},
            {"thinking": {"type": "disabled"}, "model": SONNET},
            {"thinking": {"type": "between_tools"}, "output_config": {"effort": "max"}, "model": SONNET},
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "xhigh"}, "model": HAIKU},
            {"thinking": {"type": "adaptive"}, "model": OLDER},
            {"thinking": {"type": "enabled", "budget_tokens": 1000}, "max_tokens": 9000, "model": OLDER},
            {"thinking": {"type": "enabled", "budget_tokens": 2000}, "model": OLDER},
        ],
        [
            {"thinking": {"type": "adaptive"}},
            {"thinking": {"type": "between_tools"}, "model": SONNET},
            {"thinking": {"type": "disabled"}, "model": HAIKU},
            {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 9000, "model": OLDER},
        ],
    ),
    "sampling is left as it is": (
        [{"temperature": 0}, {"top_p": 0.9, "model": SONNET}, {"top_k": 5, "model": HAIKU}],
        [{"temperature": 1}, {"temperature": 0, "model": OLDER}],
    ),
    "the effort is one of the model's": (
        [
            {"output_config": {"effort": "utmost"}},
            {"output_config": {"effort": "low"}, "model": OLDER},
            {"output_config": {"effort": "xhigh"}, "model": "claude-opus-4-6"},
        ],
        [{"output_config": {"effort": "xhigh"}}, {"output_config": {}, "model": OLDER}],
    ),
    "no answer is begun for the model": (
        [says(user("Why?"), assistant("Because"))],
        [
            says(user("Why?"), assistant("Because"), model=OLDER),
            says(user("Why?"), assistant({"type": "server_tool_use", "id": "s1", "name": "w", "input": {}})),
        ],
    ),
    "what happens to bound thinking is chosen under its beta": (
        [{"thinking": {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}}],
        [{"thinking": {"type": "adaptive"}}],
    ),
}
"""By rule: changes that break it, and changes that do not. The other rules have tests of their own below."""


def sent(changes: Change, headers: Mapping[str, str] = VERSION) -> Refusal | None:
    request = body(**changes)
    return refusal(request, len(json.dumps(request)), headers)


@pytest.mark.parametrize(
    ("rule", "changes"), [(rule, one) for rule, (broken, _) in CASES.items() for one in broken]
)
def test_a_broken_rule_is_named(rule: str, changes: Change) -> None:
    """The first rule that is broken answers, as the service would."""
    found = sent(changes)
    assert found is not None
    assert (found.rule, found.status, found.kind) == (rule, 400, "invalid_request_error")
    assert found.message


@pytest.mark.parametrize(
    ("rule", "changes"), [(rule, one) for rule, (_, kept) in CASES.items() for one in kept]
)
def test_what_is_near_passes(rule: str, changes: Change) -> None:
    """A request that only looks like a broken one is taken, by this rule and all others."""
    assert sent(changes) is None


def test_every_rule_has_a_case() -> None:
    """No rule is in the table that no test has seen break."""
    alone = {
        "a body has at most 32 MB",
        "the API's version is given",
        "all text is Unicode, without half a surrogate pair",
        "the effort stays where thinking is between tools only",
        "a prompt fits into the model's context",
        "thinking comes back as it was, behind all that it was thought after",
    }
    assert {rule.name for rule in RULES} == CASES.keys() | alone
    assert all(rule.source for rule in RULES)


def test_a_large_body_has_a_status_of_its_own() -> None:
    """HTTP 413, from one byte over 32 MB on."""
    found = refusal(body(), 32 * 2**20 + 1, VERSION)
    assert found is not None
    assert (found.status, found.kind) == (413, "request_too_large")
    assert found.body["error"]["message"] == "Request exceeds the maximum size"
    assert refusal(body(model="some-model"), 32 * 2**20, VERSION) is None


def test_the_version_is_asked_for() -> None:
    """Whatever the case of the header's name."""
    assert sent({}, {}) is not None
    assert sent({}, {"Anthropic-Version": "2023-06-01"}) is None


def test_half_a_surrogate_pair_is_no_text() -> None:
    """It is named as the service does; a whole pair is text."""
    found = sent(says(user("\ud83d")))
    assert found is not None
    assert "no low surrogate in string" in found.message
    assert sent(says(user("\U0001f600"))) is None


def test_a_field_of_a_beta_passes_under_its_header() -> None:
    """The CLI asks for the context to be managed, and says so."""
    managed = {"anthropic-beta": "effort-2025-11-24,context-management-2025-06-27"}
    assert sent({"context_management": {"edits": []}}, VERSION | managed) is None


def test_an_effort_of_a_message_passes_under_its_header() -> None:
    """A system message may change the effort, but not where thinking is between tools only."""
    change = says(user("Why?"), system("Be short.", output_config={"effort": "low"}), model=SONNET)
    assert sent(change) is not None
    assert sent(change, TURNS) is None
    between = change | {"thinking": {"type": "between_tools"}}
    found = sent(between, TURNS)
    assert found is not None
    assert found.rule == "the effort stays where thinking is between tools only"
    assert sent(between | {"output_config": {"effort": "low"}}, TURNS) is None


def test_a_long_prompt_is_measured_without_its_files() -> None:
    """Text counts at four bytes a token; what the base64 of a picture costs is not its length."""
    found = refusal(body(model=OLDER), 4 * 200_001, VERSION)
    assert found is not None
    assert found.message == "prompt is too long: 200001 tokens > 200000 maximum"
    assert refusal(body(), 4 * 200_001, VERSION) is None
    assert sent(says(user(image(4_000_000)), model=OLDER)) is None


def test_no_model_of_today_is_unknown() -> None:
    """A date or a suffix belongs to a family, another version does not."""
    forced = offers(tool(), tool_choice={"type": "any"})
    assert sent(forced | {"model": "claude-opus-5-5-20261001"}) is not None
    assert sent(forced | {"model": "claude-opus-5-5[1m]"}) is not None
    assert sent(forced | {"model": "claude-opus-5-6"}) is None
    assert {name for name, family in FAMILIES.items() if family.binds} == {
        *(OPUS, SONNET, HAIKU),
        *("claude-fable-5-1", "claude-fable-5-2"),
    }


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(raw: bytes) -> None:
    """Whatever was sent, the answer is the service's."""
    found = refusal_of(raw, VERSION)
    assert found is not None
    assert (found.status, found.message.startswith("The request body is not valid JSON: ")) == (400, True)
