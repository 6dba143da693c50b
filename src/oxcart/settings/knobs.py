"""What is a knob, and how is one read from the environment?"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from oxcart.language import tr
from oxcart.settings.values import SECRET, Form

Piece = TypeVar("Piece")

_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting. `variables` are tried in order; `default` is written as a user would, None if there is none.

    A secret may also come from the file that NAME_FILE names, and its value is never shown.
    """

    variables: tuple[str, ...]
    form: Form
    default: str | None
    meaning: str
    unit: str
    secret: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Every variable that this knob reads."""
        return (*self.variables, *(f"{name}_FILE" for name in self.variables if self.secret))


@dataclass(frozen=True, slots=True)
class Given:
    """A value as found: `name` is the variable that gave it, `path` the file, if it came from one."""

    name: str
    text: str
    path: str | None


def knob(
    variables: str | tuple[str, ...],
    form: Form,
    meaning: str,
    *,
    default: str | None = None,
    without: Any = None,
    unit: str = "",
    secret: bool = False,
) -> Any:
    """Declare a knob as a dataclass field. Its value is `without` when nothing is set and there is no `default`."""
    names = (variables,) if isinstance(variables, str) else variables
    declared = Knob(names, form, default, meaning, unit, secret or form is SECRET)
    return field(default=without if default is None else form.parse(default), metadata={"knob": declared})


def knobs_of(piece: Any) -> Iterator[tuple[str, Knob]]:
    """The knobs of a settings class, by field name, in the order of their declaration."""
    for item in fields(piece):
        if "knob" in item.metadata:
            yield item.name, item.metadata["knob"]


class Reader:
    """Reads knobs from one environment and gathers every problem and warning on the way."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def find(self, wanted: Knob) -> Given | None:
        """The first of the knob's variables that has a value; a value of nothing but spaces counts as unset."""
        for name in wanted.variables:
            text = self.environ.get(name, "")
            path = self.environ.get(f"{name}_FILE", "").strip() if wanted.secret else ""
            if text.strip() and path:
                self.problems.append(tr("Both {name} and {name}_FILE are set; remove one of them.", name=name))
            if text.strip():
                return Given(name, text, None)
            if path:
                return self._read_file(name, path)
        return None

    def is_set(self, wanted: Knob) -> bool:
        """Whether any variable of the knob exists, even with an empty value."""
        return any(name in self.environ for name in wanted.names)

    def read(self, piece: type[Piece], **others: Any) -> Piece:
        """All knobs of a settings class; those that cannot be used keep their default and leave a problem.

        `others` are the fields that are no knobs.
        """
        return piece(**others, **self.values(piece))

    def values(self, piece: Any, names: Collection[str] | None = None) -> dict[str, Any]:
        """The knobs of a settings class that are set and can be used, by field name; all of them, or `names`."""
        values: dict[str, Any] = {}
        for name, wanted in knobs_of(piece):
            given = self.find(wanted) if names is None or name in names else None
            if given is not None:
                self._parse_into(values, name, wanted, given)
        return values

    def _parse_into(self, values: dict[str, Any], name: str, wanted: Knob, given: Given) -> None:
        text = self._unquoted(given)
        try:
            values[name] = wanted.form.parse(text)
        except ValueError as error:
            # Only our own words: float() and others repeat the value in theirs.
            detail = str(error) if str(error).endswith((".", "?")) else ""
            self.problems.append(_unusable(wanted, given.name, text, detail))

    def _unquoted(self, given: Given) -> str:
        text = given.text.strip()
        if len(text) > 2 and text[0] == text[-1] and text[0] in "\"'":
            self.warnings.append(
                tr("{name} has quotation marks around its value; they were left out. Remove them.", name=given.name)
            )
            return text[1:-1].strip()
        return text

    def _read_file(self, name: str, path: str) -> Given | None:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else tr("it is not UTF-8 text")
            self.problems.append(
                tr(
                    "{name}_FILE names a file that cannot be read ({reason}); correct the path, or set {name} itself.",
                    name=name,
                    reason=reason,
                )
            )
            return None
        if not text.strip():
            self.problems.append(
                tr("{name}_FILE names an empty file; write the value into it, or set {name}.", name=name)
            )
            return None
        return Given(f"{name}_FILE", text, path)


def shown(text: str) -> str:
    """A value for a message: in quotation marks, short, without a password that a URL may carry."""
    masked = re.sub(r"//[^/\s]*@", "//***@", text)
    cut = masked if len(masked) <= _SHOWN_CHARACTERS else masked[:_SHOWN_CHARACTERS] + "…"
    return f'"{cut}"' if cut.isprintable() else ascii(cut)


def _unusable(wanted: Knob, name: str, text: str, detail: str) -> str:
    more = f" {detail}" if detail else ""
    cure = (
        tr("Correct it, or remove it for the default, {default}.", default=wanted.default)
        if wanted.default
        else tr("Correct or remove it.")
    )
    places = {"name": name, "allowed": wanted.form.allowed, "more": more, "cure": cure}
    if wanted.secret:
        return tr("{name} cannot be used: it must be {allowed}.{more} {cure}", **places)
    return tr("{name} is {value}, but must be {allowed}.{more} {cure}", value=shown(text), **places)
