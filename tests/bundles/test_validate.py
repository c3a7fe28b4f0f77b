"""The gate between agents."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel

from harness.bundles.bundle import Bundle
from harness.bundles.load import load_bundles
from harness.bundles.validate import validate_input, validate_output


class Sample(BaseModel):
    """One rock."""

    taken: date
    depth: float


class Samples(BaseModel):
    """Rocks, and those they lie on."""

    samples: list[Sample]
    below: Samples | None = None


BUNDLE = Bundle.define(name="geologist", description="x", prompt="x", input=Samples, output=Samples)


def test_good_input_becomes_typed() -> None:
    """JSON comes back as the bundle's class, its values converted as JSON's are."""
    value, problem = validate_input(BUNDLE, {"samples": [{"taken": "2026-11-22", "depth": 3}]})
    assert problem is None
    assert value == Samples(samples=[Sample(taken=date(2026, 11, 22), depth=3.0)])


def test_a_model_is_as_good_as_its_json() -> None:
    """Python users may hand over the model itself."""
    given = Samples(samples=[], below=Samples(samples=[]))
    assert validate_input(BUNDLE, given) == (given, None)


def test_the_sentence_says_where_and_what() -> None:
    """Each problem has its path; the nearest known key is named."""
    value, problem = validate_input(
        BUNDLE, {"samples": [{"taken": "2026-11-22"}, {"taken": 0, "depth": "deep"}]}
    )
    assert value is None
    assert problem == (
        "The input does not fit geologist: samples[0].depth: is required; "
        "samples[1].depth: should be a valid number, unable to parse string as a number (got 'deep')."
    )
    _, problem = validate_input(load_bundles(None)["researcher"], {"objektive": "x"})
    assert problem == (
        "The input does not fit researcher: objective: is required; "
        "objektive: is not known (did you mean 'objective'?)."
    )


def test_many_problems_stay_short() -> None:
    """Three are named, the rest counted."""
    _, problem = validate_input(BUNDLE, {"samples": [{}, {}, {}]})
    assert problem is not None
    assert problem.endswith("; and 3 more.")
    assert problem.count("is required") == 3


def test_long_values_are_cut() -> None:
    """A sentence does not carry a page."""
    _, problem = validate_input(BUNDLE, {"samples": "x" * 1000})
    assert problem is not None
    assert len(problem) < 200


def test_what_is_not_json_is_said_to_be() -> None:
    """A value that could not travel is refused like a wrong one."""
    value, problem = validate_input(BUNDLE, {"samples": object()})
    assert value is None
    assert problem is not None
    assert problem.startswith("The input does not fit geologist: it is not JSON")


def test_output_is_checked_like_input() -> None:
    """The other side of the gate."""
    assert validate_output(BUNDLE, {"samples": []}) == (Samples(samples=[]), None)
    assert validate_output(BUNDLE, "prose") == (
        None,
        "The output of geologist does not fit: should be an object of keys and values (got 'prose').",
    )


def test_markdown_output_is_any_text_but_blank() -> None:
    """Without an output schema the answer is text."""
    bundle = Bundle.define(name="writer", description="x", prompt="x")
    assert validate_output(bundle, "# Report") == ("# Report", None)
    for value in ("", " \n", None, {"text": "x"}):
        assert validate_output(bundle, value)[0] is None


def test_a_recursive_schema_is_described_without_end() -> None:
    """The one-pager names what repeats."""
    assert BUNDLE.one_pager.startswith(
        "geologist: x Takes {samples: [{taken: string, depth: number}], below?: Samples | null}."
    )
