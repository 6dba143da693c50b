"""How does a JSON schema become a form, and what was filled in JSON again? Pure; what is wrong is told per field.

The worker's model has the last word: here is checked what can be told at once. What is no plain value (a list, an
object, a choice of types) is a field in which JSON is written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from oxcart.errors import InvalidInput
from oxcart.language import tr
from oxcart.protocol import codec

PREFIX = "data."
MOST_INPUTS = 60
_DEEPEST = 8  # references to references
_SAFE = 2**53 - 1

Kind = Literal["text", "whole", "number", "choice", "json"]
_FORMATS = {
    "date-time": "2026-12-24T10:00:00+01:00",
    "date": "2026-12-24",
    "time": "10:00:00",
    "email": "ann@example.com",
    "uuid": "6f1c7d6e-3a52-4d0c-9a53-0d3c5f9a1b2c",
}


@dataclass(frozen=True, slots=True)
class Input:
    """One property. `choices` are what may be picked, by what is shown; `hint` is its description, or how it looks."""

    name: str
    label: str
    kind: Kind
    schema: Mapping[str, Any]
    is_required: bool
    hint: str
    choices: Mapping[str, Any]

    @property
    def field(self) -> str:
        """Its name in the form."""
        return PREFIX + self.name


@dataclass(frozen=True, slots=True)
class Form:
    """`names` are those that have a form; `inputs` are empty where the one asked for has none: then JSON is written."""

    names: Sequence[str]
    name: str = ""
    inputs: Sequence[Input] = ()


class FieldProblems(InvalidInput):
    """What was filled in cannot be used; `problems` are sentences by the field's name."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        told = "; ".join(f"{name.removeprefix(PREFIX)}: {problem}" for name, problem in self.problems.items())
        super().__init__(tr("Some fields cannot be used: {problems}", problems=told))


def inputs_of(schema: Any) -> tuple[Input, ...]:
    """Empty for what is no object with a bounded number of properties."""
    found = _resolved(schema, schema)
    properties = found.get("properties")
    if not isinstance(properties, dict) or not 0 < len(properties) <= MOST_INPUTS:
        return ()
    required = found.get("required")
    needed = set(map(str, required)) if isinstance(required, list) else set()
    return tuple(_input(name, _resolved(one, schema), name in needed) for name, one in properties.items())


def data_of(inputs: Sequence[Input], fields: Mapping[str, str]) -> dict[str, Any]:
    """What was filled in; what was left empty is left out. Raises FieldProblems."""
    data: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for one in inputs:
        text = fields.get(one.field, "")
        try:
            if text.strip():
                data[one.name] = _value(one, text)
            elif one.is_required:
                problems[one.field] = tr("This is needed.")
        except InvalidInput as error:
            problems[one.field] = str(error)
    if problems:
        raise FieldProblems(problems)
    return data


# ------------------------------------------------------------------------------------------------ from the schema
def _resolved(schema: Any, root: Any) -> dict[str, Any]:
    """Without references, and without the null of what may be left out."""
    found = schema if isinstance(schema, dict) else {}
    for _ in range(_DEEPEST):
        others = [one for one in found.get("anyOf", ()) if isinstance(one, dict) and one.get("type") != "null"]
        reference = found.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/$defs/"):
            target = root.get("$defs", {}).get(reference.removeprefix("#/$defs/"))
        elif len(others) == 1:
            target = others[0]
        else:
            break
        outer = {name: value for name, value in found.items() if name not in {"$ref", "anyOf"}}
        found = {**(target if isinstance(target, dict) else {}), **outer}
    return found


def _input(name: str, schema: Mapping[str, Any], is_required: bool) -> Input:
    choices = dict(_choices(schema))
    kinds: Mapping[Any, Kind] = {"integer": "whole", "number": "number", "string": "text"}
    of_type = schema.get("type")
    kind: Kind = "choice" if choices else kinds.get(of_type, "json") if isinstance(of_type, str) else "json"
    hints = [str(schema["description"])] if schema.get("description") else []
    hints += [_FORMATS[schema["format"]]] if schema.get("format") in _FORMATS else []
    hints += ["JSON"] if kind == "json" else []
    default = schema.get("default")
    if default not in (None, "", [], {}):
        hints.append(tr("if empty: {default}", default=_shown(default)))
    return Input(name, str(schema.get("title") or name), kind, schema, is_required, " · ".join(hints), choices)


def _choices(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if schema.get("type") == "boolean":
        values = [True, False]
    for value in values if isinstance(values, list) else ():
        yield _shown(value), value


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# ------------------------------------------------------------------------------------------------ from the form
def _value(one: Input, text: str) -> Any:
    """Raises InvalidInput."""
    match one.kind:
        case "choice":
            if text not in one.choices:
                raise InvalidInput(tr("Choose one of: {choices}", choices=", ".join(one.choices)))
            return one.choices[text]
        case "whole":
            return _within(one, _whole(text))
        case "number":
            return _within(one, _number(text))
        case "text":
            return _long_enough(one, text)
        case "json":
            return _json(one, text)


def _whole(text: str) -> int:
    digits = text.strip()
    if not digits.removeprefix("-").isdecimal() or len(digits) > 17 or abs(int(digits)) > _SAFE:
        raise InvalidInput(tr("A whole number is needed."))
    return int(digits)


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise InvalidInput(tr("A number is needed."))
    return int(found) if found.is_integer() and abs(found) <= _SAFE else found


def _within(one: Input, found: float) -> float:
    low, high = one.schema.get("minimum"), one.schema.get("maximum")
    above, below = one.schema.get("exclusiveMinimum"), one.schema.get("exclusiveMaximum")
    if _is_number(low) and found < low:
        raise InvalidInput(tr("It is {number} at least.", number=low))
    if _is_number(high) and found > high:
        raise InvalidInput(tr("It is {number} at most.", number=high))
    if _is_number(above) and found <= above:
        raise InvalidInput(tr("It is more than {number}.", number=above))
    if _is_number(below) and found >= below:
        raise InvalidInput(tr("It is less than {number}.", number=below))
    return found


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _long_enough(one: Input, text: str) -> str:
    least, most = one.schema.get("minLength"), one.schema.get("maxLength")
    if isinstance(least, int) and len(text) < least:
        raise InvalidInput(tr("It has {number} characters at least.", number=least))
    if isinstance(most, int) and len(text) > most:
        raise InvalidInput(tr("It has {number} characters at most.", number=most))
    return text


_JSON_TYPES: Mapping[str, type] = {"array": list, "object": dict}


def _json(one: Input, text: str) -> Any:
    found = codec.decode(text, one.label)
    wanted = one.schema.get("type")
    if isinstance(wanted, str) and wanted in _JSON_TYPES and not isinstance(found, _JSON_TYPES[wanted]):
        raise InvalidInput(
            tr("A list is needed: [1, 2]") if wanted == "array" else tr('An object is needed: {"name": "Ann"}')
        )
    return found
