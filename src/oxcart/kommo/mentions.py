"""Does this text or JSON speak of a contact? In every shape in which hooks, events and job payloads name one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

_CONTACT_TYPES = frozenset({"1", "contact", "contacts"})  # 1 is Kommo's number of the type
_CONTACT_LISTS = frozenset({"contacts", "contact", "main_contact"})
_OWNER_IDS = ("elementid", "entityid")
_OWNER_TYPES = ("element_type", "entity_type", "elementtype", "entitytype")
_ON_THE_WAY = frozenset({"add", "update", "delete", "restore", "responsible", "_embedded"})
_DEEPEST = 40

Facts = Mapping[tuple[str, ...], str]


def mentions_contact(value: Any, contact_id: str) -> bool:
    """`value` is JSON, or a text that may be JSON or a form with PHP's brackets; texts within it are looked into, too.

    A contact is named by a contact_id, by an id under `contacts`, or by an element_id beside a type that says contact.
    A mere number that happens to be the same is no mention.
    """
    every = list(_facts(value, ()))
    facts = dict(every)
    return any(text == contact_id and _names_contact(path, facts) for path, text in every)


def _names_contact(path: tuple[str, ...], facts: Facts) -> bool:
    name = path[-1].replace("_", "") if path else ""
    if name.endswith("contactid"):
        return True
    if name in _OWNER_IDS:
        return any(facts.get((*path[:-1], kind), "").lower() in _CONTACT_TYPES for kind in _OWNER_TYPES)
    if name != "id" or _nearest_name(path[:-1]) not in _CONTACT_LISTS:
        return False
    return facts.get((*path[:-1], "type"), "contact").lower() in _CONTACT_TYPES  # companies come there, too


def _nearest_name(path: tuple[str, ...]) -> str:
    """What a row lies under: contacts in contacts[update][0]; not the hook's action, nor a place in a list."""
    names = (name for name in reversed(path) if name and not name.isdecimal() and name not in _ON_THE_WAY)
    return next(names, "")


def _facts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every scalar with the names that lead to it, in lower case."""
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
    name = name.lower()
    return tuple(re.split(r"\]\[|\[", name.removesuffix("]"))) if "[" in name else (name,)
