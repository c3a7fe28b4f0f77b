"""The gate between agents: a value against a bundle's schema, with a sentence the sender can act on."""

from __future__ import annotations

from typing import Any, Protocol

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from harness.bundles.bundle import Bundle
from harness.wording import problems, sentence


class Taker(Protocol):
    """Whoever takes a typed input: a bundle, or a member on offer."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def input(self) -> type[BaseModel]:
        """What it takes."""
        ...

    @property
    def one_pager(self) -> str:
        """One line about it."""
        ...


def validate_input(taker: Taker, value: Any) -> tuple[BaseModel | None, str | None]:
    """Check a task: (the typed input, None), or (None, what is wrong and where).

    `value` is JSON as Python holds it, or a model.
    """
    return _check(taker.input, value, f"The input does not fit {taker.name}")


def validate_output(bundle: Bundle, value: Any) -> tuple[BaseModel | str | None, str | None]:
    """Check what a bundle's agent answered: (the typed output or its text, None), or (None, what is wrong).

    A bundle without an output schema answers in Markdown, which must not be blank.
    """
    if bundle.output is not None:
        return _check(bundle.output, value, f"The output of {bundle.name} does not fit")
    if isinstance(value, str) and value.strip():
        return value, None
    return None, f"The output of {bundle.name} should be Markdown text that is not blank."


def _check(model: type[BaseModel], value: Any, refusal: str) -> tuple[BaseModel | None, str | None]:
    try:
        return model.model_validate_json(to_json(value)), None
    except PydanticSerializationError as error:
        return None, f"{refusal}: it is not JSON: {error}."
    except ValidationError as error:
        return None, f"{refusal}: {sentence(problems(error, model)).rstrip('.')}."
