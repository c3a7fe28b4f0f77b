"""What the service asks of tools and their JSON Schemas, and more of the schemas it makes grammars of."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, SchemaError

from harness.offline.rules.incoming import Incoming

Schema = Mapping[str, Any]

TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
PROPERTY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
STRICT_TOOLS, OPTIONAL, UNIONS = 20, 24, 16
"""Of all strict schemas of a request: tools, optional properties, and properties of several types."""

_UNSUPPORTED = {
    "integer": ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"),
    "number": ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"),
    "string": ("maxLength", "minLength"),
    "array": ("contains", "maxItems", "prefixItems", "uniqueItems"),
    "object": ("maxProperties", "minProperties", "patternProperties", "propertyNames"),
}
_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
_LOOKS_AROUND = re.compile(r"\(\?<?[=!]|\\[bB1-9]")


def tool_names_fit(asked: Incoming) -> str | None:
    """Names fit a pattern."""
    for path, tool in asked.custom_tools:
        if not TOOL_NAME.fullmatch(tool["name"]):
            return f"{path}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
    return None


def tool_names_differ(asked: Incoming) -> str | None:
    """No name is there twice."""
    names = [tool.get("name") for tool in asked.tools if tool.get("name")]
    return None if len(names) == len(set(names)) else "tools: Tool names must be unique."


def chosen_tool_is_offered(asked: Incoming) -> str | None:
    """The tool that has to be called can be."""
    choice = asked.body.get("tool_choice", {})
    if choice.get("type") == "any" and not asked.tools:
        return "tool_choice.any may only be specified while providing tools"
    if choice.get("type") == "tool" and choice.get("name") not in [tool.get("name") for tool in asked.tools]:
        return f"Tool '{choice.get('name')}' not found in provided tools"
    return None


def input_schema_is_an_object(asked: Incoming) -> str | None:
    """Each tool says by a schema of an object what it takes."""
    for path, tool in asked.custom_tools:
        schema = tool.get("input_schema")
        if not isinstance(schema, Mapping):
            return f"{path}.input_schema: Field required"
        if "type" not in schema:
            return f"{path}.input_schema.type: Field required"
        if schema["type"] != "object":
            return f"{path}.input_schema.type: Input should be 'object'"
        if any(word in schema for word in ("oneOf", "allOf", "anyOf")):
            return (
                f"{path}.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level"
            )
    return None


def schemas_are_valid(asked: Incoming) -> str | None:
    """Each schema is one of draft 2020-12, also that of an answer."""
    answers = [(path, schema) for path, schema in _strict(asked) if not path.startswith("tools.")]
    for path, schema in [
        *((f"{path}.input_schema", tool["input_schema"]) for path, tool in asked.custom_tools),
        *answers,
    ]:
        if not _is_valid(json.dumps(schema)):
            return (
                f"{path}: JSON schema is invalid. It must match JSON Schema draft 2020-12"
                " (https://json-schema.org/draft/2020-12)."
            )
    return None


@functools.lru_cache(maxsize=256)
def _is_valid(schema: str) -> bool:
    try:
        Draft202012Validator.check_schema(json.loads(schema))
    except SchemaError:
        return False
    return True


def properties_are_named_in_ascii(asked: Incoming) -> str | None:
    """A property's name fits a pattern, at any depth."""
    for path, tool in asked.custom_tools:
        for _, schema in _parts(tool["input_schema"]):
            if any(not PROPERTY.fullmatch(name) for name in schema.get("properties", ())):
                return (
                    f"{path}.input_schema.properties: Property keys should match pattern"
                    " '^[a-zA-Z0-9_.-]{1,64}$'"
                )
    return None


def strict_schemas_can_be_compiled(asked: Incoming) -> str | None:
    """What an answer or a strict tool's input is held to has no part that no grammar is made of."""
    for path, schema in _strict(asked):
        if (problem := _uncompilable(schema)) is not None:
            return f"{path}: {problem}"
    return None


def strict_schemas_are_small(asked: Incoming) -> str | None:
    """All strict schemas of a request together keep to limits."""
    tools = sum(1 for _, tool in asked.custom_tools if tool.get("strict"))
    if tools > STRICT_TOOLS:
        return (
            f"tools: Too many strict tools ({tools}). The maximum number of strict tools supported is"
            f" {STRICT_TOOLS}."
        )
    objects = [part for _, schema in _strict(asked) for _, part in _parts(schema) if "properties" in part]
    optional = sum(len(set(part["properties"]) - set(part.get("required", ()))) for part in objects)
    if optional > OPTIONAL:
        return (
            f"Schemas contains too many optional parameters ({optional}), which would make grammar"
            " compilation inefficient. Reduce the number of optional parameters in your tool schemas"
            f" (limit: {OPTIONAL})."
        )
    each = [value for part in objects for value in part["properties"].values() if isinstance(value, Mapping)]
    unions = sum("anyOf" in value or isinstance(value.get("type"), list) for value in each)
    if unions > UNIONS:
        return (
            f"Schemas contains too many parameters with union types ({unions} parameters with type arrays or"
            f" anyOf). This causes exponential compilation cost. Reduce the number of nullable or union-typed"
            f" parameters (limit: {UNIONS})."
        )
    return None


def _strict(asked: Incoming) -> Iterator[tuple[str, Schema]]:
    """Give the schemas that a grammar is made of, and how the service names them in an error."""
    form = asked.output.get("format") or asked.body.get("output_format")
    if isinstance(form, Mapping) and isinstance(form.get("schema"), Mapping):
        yield (
            ("output_config.format.schema" if "format" in asked.output else "output_format.schema"),
            form["schema"],
        )
    for path, tool in asked.custom_tools:
        if tool.get("strict"):
            yield path, tool["input_schema"]


def _uncompilable(schema: Schema) -> str | None:
    for place, part in _parts(schema):
        kinds = part.get("type", ())
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            if kind == "object" and part.get("additionalProperties") is not False:
                return "For 'object' type, 'additionalProperties' must be explicitly set to false"
            unknown = [word for word in _UNSUPPORTED.get(kind, ()) if word in part]
            if unknown:
                several = len(unknown) > 1
                named = ", ".join(unknown) if several else f"'{unknown[0]}'"
                return (
                    f"For '{kind}' type, {'properties' if several else 'property'} {named}"
                    f" {'are' if several else 'is'} not supported"
                )
            if kind == "array" and part.get("minItems", 0) not in (0, 1):
                return "For 'array' type, 'minItems' values other than 0 or 1 are not supported"
            if kind == "string" and part.get("format", "uuid") not in _FORMATS:
                return f"For 'string' type, format '{part['format']}' is not supported"
        if any(isinstance(value, (Mapping, list)) for value in part.get("enum", ())):
            return "Enum values must be strings, numbers, booleans or null"
        if _LOOKS_AROUND.search(str(part.get("pattern", ""))):
            return "Patterns with references, lookaround or word boundaries are not supported"
        if any("$ref" in one for one in part.get("allOf", ()) if isinstance(one, Mapping)):
            return "'allOf' with '$ref' is not supported"
        if "oneOf" in part:
            return "Schema type 'oneOf' is not supported"
        if "$ref" in part and (problem := _reference(schema, str(part["$ref"]), place)) is not None:
            return problem
    return None


def _reference(schema: Schema, reference: str, place: str) -> str | None:
    """Say what is wrong with a reference: it leads out of the schema, nowhere, or round in a circle."""
    if not reference.startswith("#"):
        return f"External '$ref' is not supported: {reference}"
    open_, seen = [reference], set[str]()
    while open_:
        at = open_.pop()
        if place == at or place.startswith(f"{at}/"):
            return f"Circular reference detected in schema definitions: {reference}"
        found = _resolved(schema, at)
        if found is None:
            return f"'$ref' leads nowhere: {at}"
        if at not in seen:
            seen.add(at)
            open_ += [str(part["$ref"]) for _, part in _parts(found) if "$ref" in part]
    return None


def _resolved(schema: Schema, reference: str) -> Schema | None:
    found: Any = schema
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            found = found.get(step) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _parts(schema: Schema, place: str = "#") -> Iterator[tuple[str, Schema]]:
    """Give a schema and all schemas within it, each with its place as a reference would name it."""
    yield place, schema
    for word in ("items", "additionalProperties", "not", "if", "then", "else"):
        if isinstance(schema.get(word), Mapping):
            yield from _parts(schema[word], f"{place}/{word}")
    for word in ("properties", "$defs", "definitions", "patternProperties"):
        for name, inner in schema[word].items() if isinstance(schema.get(word), Mapping) else ():
            if isinstance(inner, Mapping):
                yield from _parts(inner, f"{place}/{word}/{name}")
    for word in ("anyOf", "allOf", "oneOf", "prefixItems"):
        for number, inner in enumerate(schema[word] if isinstance(schema.get(word), list) else ()):
            if isinstance(inner, Mapping):
                yield from _parts(inner, f"{place}/{word}/{number}")
