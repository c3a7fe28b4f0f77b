"""What the Messages API refuses: one table of rules, asked in its order; the first that is broken answers.

A rehearsal without a model has to refuse what the service refuses, so the offline upstream keeps these rules,
and so does every played model of the tests. The messages are the service's own where they are known.

Sources: pages of https://platform.claude.com/docs, named in the table by their titles, in their state of
November 2026. "Observed" stands where the service's answer is known and no page says it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.offline.rules import messages, models, schemas, shape, thinking
from harness.offline.rules.incoming import Incoming


@dataclass(frozen=True)
class Refusal:
    """How the service answers a request that it does not take, and the rule that was broken."""

    status: int
    kind: str
    message: str
    rule: str

    @property
    def body(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"type": "error", "error": {"type": self.kind, "message": self.message}}


@dataclass(frozen=True)
class Rule:
    """A rule in one line, the page it stands on, and a function that gives a message where it is broken."""

    name: str
    source: str
    broken: Callable[[Incoming], str | None]
    status: int = 400
    kind: str = "invalid_request_error"


def refusal(request: Mapping[str, Any], size: int, headers: Mapping[str, str]) -> Refusal | None:
    """Say how the service refuses a request, or None when it takes it. `size` are the bytes of its body."""
    asked = Incoming(request, size, {name.lower(): value for name, value in headers.items()})
    for rule in RULES:
        if (message := rule.broken(asked)) is not None:
            return Refusal(rule.status, rule.kind, message, rule.name)
    return None


def refusal_of(body: bytes, headers: Mapping[str, str]) -> Refusal | None:
    """The same for a body that has not been read yet."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as problem:
        request, reason = None, str(problem)
    else:
        reason = "it is no object"
    if not isinstance(request, dict):
        said = f"The request body is not valid JSON: {reason}"
        return Refusal(400, "invalid_request_error", said, "the body is a JSON object")
    return refusal(request, len(body), headers)


_TOOLS, _STRICT, _PRESERVED = (
    "Define tools",
    "Structured outputs: JSON Schema limitations",
    "Preserved thinking",
)

RULES: tuple[Rule, ...] = (
    # The form of a request. The rules after these rely on it.
    Rule("a body has at most 32 MB", "Errors", shape.body_is_small, 413, "request_too_large"),
    Rule("the API's version is given", "Versions", shape.version_is_given),
    Rule("all text is Unicode, without half a surrogate pair", "Observed", shape.text_is_unicode),
    Rule("there are no other fields than the API's", "Create a Message", shape.no_other_fields),
    Rule("a field of a beta needs its header", "Beta headers", shape.betas_are_asked_for),
    Rule("model, max_tokens and messages are given", "Create a Message", shape.required_are_there),
    Rule("the other fields have their form", "Create a Message", shape.fields_have_their_form),
    Rule("each message has a role and content", "Create a Message", shape.messages_have_their_form),
    Rule("each block has its type's fields", "Create a Message", shape.blocks_have_their_form),
    # What stands in the messages.
    Rule("the first message is the user's", "Using the Messages API", shape.user_speaks_first),
    Rule("system messages are for models that know them", "Mid-conversation system messages",
         shape.system_messages_are_known),
    Rule("a system message stands before an answer, or at the end", "Mid-conversation system messages",
         shape.system_messages_are_placed),
    Rule("no message is empty", "Observed", shape.messages_say_something),
    Rule("no text is empty", "Observed", shape.texts_say_something),
    Rule("ids of calls are unique", "Observed", messages.calls_differ),
    Rule("each call has its result in the next turn", "Handle tool calls", messages.calls_have_results),
    Rule("each result has its call in the turn before", "Handle tool calls", messages.results_have_calls),
    Rule("results stand before all else in their message", "Handle tool calls", messages.results_stand_first),
    Rule("at most 4 blocks are marked for the cache", "Prompt caching", messages.marks_are_few),
    Rule("thinking is not marked for the cache", "Prompt caching", messages.thinking_is_not_marked),
    Rule("an image has at most 5 MB", "Vision", messages.images_are_small),
    # Tools and schemas.
    Rule("tools are named in ASCII", _TOOLS, schemas.tool_names_fit),
    Rule("tools have different names", _TOOLS, schemas.tool_names_differ),
    Rule("a tool takes an object", _TOOLS, schemas.input_schema_is_an_object),
    Rule("a tool's schema is a JSON Schema", _TOOLS, schemas.schemas_are_valid),
    Rule("properties are named in ASCII", _TOOLS, schemas.properties_are_named_in_ascii),
    Rule("the chosen tool is offered", _TOOLS, schemas.chosen_tool_is_offered),
    Rule("strict schemas are of the kind that grammars are made of", _STRICT,
         schemas.strict_schemas_can_be_compiled),
    Rule("strict schemas are small", _STRICT, schemas.strict_schemas_are_small),
    # What depends on the model: see `families.py`.
    Rule("no tool is forced where the model always thinks", "What's new in Claude Opus 5.5",
         models.tools_may_be_forced),
    Rule("thinking is of a type that the model has", "Thinking", models.thinking_is_of_the_model),
    Rule("sampling is left as it is", "Claude Haiku 5.5 migration guide", models.sampling_is_default),
    Rule("the effort is one of the model's", "Effort", models.effort_is_known),
    Rule("the effort stays where thinking is between tools only", "What's new in Claude Sonnet 5.5",
         models.effort_stays_between_tools),
    Rule("no answer is begun for the model", "Migrating to Claude Opus 5.5", models.user_speaks_last),
    Rule("a prompt fits into the model's context", "Context windows", models.prompt_fits),
    # Thinking that comes back.
    Rule("what happens to bound thinking is chosen under its beta", _PRESERVED,
         models.binding_is_controlled_by_beta),
    Rule("thinking comes back as it was, behind all that it was thought after", _PRESERVED,
         thinking.binding_broken),
)  # fmt: skip
