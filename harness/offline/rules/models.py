"""What the service asks of a request by the model that it is for: see `families.py`."""

from __future__ import annotations

from harness.offline.rules.incoming import Incoming
from harness.offline.rules.messages import base64_of
from harness.offline.rules.thinking import CONTROLS, THINKING

BYTES_A_TOKEN = 4
"""Of a prompt, about; how many tokens one really has only the service knows."""

SMALLEST_BUDGET = 1024
"""Tokens to think with."""

_THINKS_OTHERWISE = (
    '"thinking.type.{}" is not supported for this model. Use "thinking.type.adaptive" and'
    ' "output_config.effort" to control thinking behavior.'
)

_USER_LAST = "The conversation must end with a user message."


def tools_may_be_forced(asked: Incoming) -> str | None:
    """A model that cannot answer without thinking cannot be made to call a tool at once."""
    choice = asked.body.get("tool_choice", {}).get("type")
    if choice not in ("tool", "any"):
        return None
    if not asked.family.forced_tools:
        return 'tool_choice: type "tool" and "any" are not supported for this model.'
    if asked.thinking.get("type") == "enabled":
        return "Thinking may not be enabled when tool_choice forces tool use."
    return None


def thinking_is_of_the_model(asked: Incoming) -> str | None:
    """The type of thinking is one of the model's, and its budget and effort go with it."""
    kind, effort = asked.thinking.get("type"), asked.output.get("effort", "high")
    if kind is None:
        return None
    if kind not in asked.family.thinking:
        if kind == "adaptive":
            return "adaptive thinking is not supported on this model"
        return _THINKS_OTHERWISE.format(kind)
    if asked.family.thinks and kind != "adaptive" and effort in ("xhigh", "max"):
        return f"\"thinking.type.{kind}\" is not supported at effort level '{effort}'."
    if kind != "enabled":
        return None
    budget = asked.thinking.get("budget_tokens")
    if not isinstance(budget, int) or budget < SMALLEST_BUDGET:
        return f"thinking.enabled.budget_tokens: Input should be greater than or equal to {SMALLEST_BUDGET}"
    if budget >= asked.body["max_tokens"]:
        return "`max_tokens` must be greater than `thinking.budget_tokens`."
    return None


def sampling_is_default(asked: Incoming) -> str | None:
    """Models of today have no temperature, top_p or top_k."""
    if asked.family.sampling:
        return None
    for name, default in (("temperature", 1), ("top_p", 1), ("top_k", None)):
        if asked.body.get(name, default) != default:
            return f"`{name}` is deprecated for this model."
    return None


def effort_is_known(asked: Incoming) -> str | None:
    """The effort is one of the model's, in the request and in its system messages."""
    efforts = asked.family.efforts
    named = [asked.output, *(message.get("output_config", {}) for message in asked.body["messages"])]
    for effort in [output["effort"] for output in named if output.get("effort") is not None]:
        if not efforts:
            return "This model does not support the effort parameter."
        if effort not in efforts:
            levels = ", ".join(efforts)
            return f"This model does not support effort level '{effort}'. Supported levels: {levels}."
    return None


def effort_stays_between_tools(asked: Incoming) -> str | None:
    """No system message changes the effort where thinking is between tools only."""
    effort = asked.output.get("effort", "high")
    changes = [message.get("output_config", {}).get("effort", effort) for message in asked.body["messages"]]
    if asked.thinking.get("type") == "between_tools" and set(changes) - {effort}:
        return (
            "messages: effort cannot differ from output_config.effort when thinking.type is 'between_tools'"
        )
    return None


def user_speaks_last(asked: Incoming) -> str | None:
    """The conversation does not end with the beginning of an answer."""
    spoken = [message for message in asked.messages if message.role != "system"]
    blocks = spoken[-1].blocks
    # A turn that the service paused during a tool of its own is sent back as it is.
    paused = blocks and blocks[-1]["type"] not in ("text", "tool_use", *THINKING)
    if spoken[-1].role == "user" or paused or asked.family.prefill:
        return None
    return f"This model does not support assistant message prefill. {_USER_LAST}"


def prompt_fits(asked: Incoming) -> str | None:
    """The prompt, by an estimate of its tokens, is not longer than the context."""
    files = sum(len(base64_of(block)) for _, _, block in asked.blocks)
    tokens = (asked.size - files) // BYTES_A_TOKEN
    most = asked.family.context
    return f"prompt is too long: {tokens} tokens > {most} maximum" if most and tokens > most else None


def binding_is_controlled_by_beta(asked: Incoming) -> str | None:
    """What happens to thinking that is bound to something else can be said under a beta only."""
    if "block_binding" in asked.thinking and CONTROLS not in asked.betas:
        return f"thinking.{asked.thinking.get('type')}.block_binding: Extra inputs are not permitted"
    return None
