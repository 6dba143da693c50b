"""Does this text or JSON speak of a contact? In every shape in which hooks, events and job payloads name one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

_CONTACT_TYPES = frozenset({"1", "contact", "contacts", "main_contact"})  # 1 is Kommo's number of the type
_OWNER_IDS = ("element_id", "entity_id", "elementid", "entityid")
_OWNER_TYPES = ("element_type", "entity_type", "elementtype", "entitytype", "type")
_DEEPEST = 40

Facts = Mapping[tuple[str, ...], str]


def mentions_contact(value: Any, contact_id: str) -> bool:
    """`value` is JSON, or a text that may be JSON or a form with PHP's brackets; texts within it are looked into, too.

    A contact is named by a contact_id, by an id under `contacts`, or by an element_id beside a type that says contact.
    A mere number that happens to be the same is no mention.
    """
    facts = dict(_facts(value, ()))
    return any(text == contact_id and _names_contact(path, facts) for path, text in facts.items())


def _names_contact(path: tuple[str, ...], facts: Facts) -> bool:
    name = path[-1].lower() if path else ""
    if name.replace("_", "").endswith("contactid"):
        return True
    if name in _OWNER_IDS:
        types = {kind for field in _OWNER_TYPES[:-1] if (kind := _beside(path, field, facts)) is not None}
        return bool(types & _CONTACT_TYPES)
    if name != "id":
        return False
    if (_beside(path, "type", facts) or "contact") not in _CONTACT_TYPES:
        return False  # a company, which comes under contacts, too
    return _nearest_name(path[:-1]) in {"contacts", "contact", "main_contact"}


def _nearest_name(path: tuple[str, ...]) -> str:
    """What a row lies under: contacts in contacts[update][0]; not the hook's action, nor a place in a list."""
    actions = {"add", "update", "delete", "restore", "status", "responsible", "embedded", "_embedded"}
    for name in reversed(path):
        if name and not name.isdecimal() and name.lower() not in actions:
            return name.lower()
    return ""


def _beside(path: tuple[str, ...], field: str, facts: Facts) -> str | None:
    for other in (field, field.upper()):
        if (found := facts.get((*path[:-1], other))) is not None:
            return found.lower()
    for (*parents, name), text in facts.items():
        if tuple(parents) == path[:-1] and name.lower() == field:
            return text.lower()
    return None


def _facts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every scalar with the names that lead to it."""
    if len(path) > _DEEPEST or value is None or isinstance(value, bool):
        return
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _facts(item, (*path, *_parts(str(name))))
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from _facts(item, (*path, str(place)))
    else:
        text = str(value)
        yield path, text
        yield from _inner(text, path)


def _inner(text: str, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What a text holds that is JSON or a form itself."""
    if text[:1] in {"{", "["}:
        try:
            yield from _facts(msgspec.json.decode(text), (*path, ""))
        except (msgspec.DecodeError, RecursionError):
            return
    elif "=" in text and ("[" in text or "%5B" in text or "%5b" in text):
        for name, item in parse_qsl(text, keep_blank_values=True):
            yield from _facts(item, (*path, *_parts(name)))


def _parts(name: str) -> tuple[str, ...]:
    """contacts[update][0][id] as a path; any other name as it is."""
    return tuple(re.split(r"\]\[|\[", name.removesuffix("]"))) if "[" in name else (name,)
