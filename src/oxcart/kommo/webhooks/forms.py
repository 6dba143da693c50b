"""What does a form in PHP's brackets say? A tree: `leads[add][0][id]=5` is {"leads": {"add": {"0": {"id": "5"}}}}.

Lists stay as keys "0", "1", … : in one body the same list may come as `x[]`, as `x[0]` and with ids as its keys, and
`items_of` reads them all. JSON becomes the same tree, so that whoever reads it knows one shape only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

import msgspec

from oxcart.errors import OxcartError

Tree: TypeAlias = dict[str, Any]
"""Values are trees, or what was sent: texts from a form, any scalar from JSON."""

Path: TypeAlias = tuple[str | None, ...]
"""The keys of one value; None is the next free number, as `[]` has it."""

SCALAR = ""
"""The key of a value that has others below it too, as in `x[type]=3` beside `x[type][uuid]=…`."""

# PHP's max_input_nesting_level, and ten times its max_input_vars: bodies with many cards and their fields do come.
DEEPEST = 64
MOST_VALUES = 10_000

_LONGEST_TEXT = 4096
"""Of a name or a value, as it is written; longer ones lose their end. Marks need ids and times."""


class UnreadableHook(OxcartError, ValueError):  # noqa: N818 - names the state of the body
    """A body that is no webhook of Kommo's. The message never repeats what it says."""


def parse_form(body: str) -> Tree:
    """Raises UnreadableHook beyond the limits. Broken percent signs stay, broken UTF-8 becomes U+FFFD, as in PHP."""
    return grow(_pairs(body))


def parse_json_hook(body: str) -> Tree:
    """The same from JSON. Raises UnreadableHook for what is no object, or beyond the limits."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise UnreadableHook("Reading a webhook: it calls itself JSON and is none. Look at its sender.") from error
    if not isinstance(value, Mapping):
        raise UnreadableHook("Reading a webhook: its JSON is no object. Look at its sender.")
    return tree_of(value)


def tree_of(value: Mapping[Any, Any]) -> Tree:
    """Of what somebody else has parsed: nested, as keys that still have their brackets, or both."""
    return grow(_leaves(value, (), 0))


def grow(pairs: Iterable[tuple[Path, Any]]) -> Tree:
    """Of two values with the same keys the last one counts. Raises UnreadableHook beyond the limits."""
    tree: Tree = {}
    numbers: dict[int, int] = {}
    for count, (path, value) in enumerate(pairs, 1):
        if count > MOST_VALUES:
            raise _too_many()
        _put(tree, path, value, numbers)
    return tree


def items_of(node: Any) -> list[Tree]:
    """The objects in a list, in their order; an object that stands where a list should is the only one."""
    if not isinstance(node, dict):
        return []
    if not isinstance(node.get("id", {}), dict):
        return [node]
    return [item for item in node.values() if isinstance(item, dict)]


def text_of(node: Any) -> str | None:
    """A scalar as text, also where others stand below it; None for an object without one."""
    if isinstance(node, dict):
        node = node.get(SCALAR)
    if isinstance(node, bool):
        return str(int(node))
    return str(node) if isinstance(node, str | int | float) else None


# ------------------------------------------------------------------------------------------------ forms
def _pairs(body: str) -> Iterator[tuple[Path, str]]:
    if body.count("&") > MOST_VALUES:
        raise _too_many()
    for part in body.split("&"):
        name, _, value = part.partition("=")
        path = _path_of(_decoded(name))
        if path:
            yield path, _decoded(value)


def _decoded(text: str) -> str:
    return unquote_to_bytes(text[:_LONGEST_TEXT].replace("+", " ").encode("utf-8", "replace")).decode(
        "utf-8", "replace"
    )


def _path_of(name: str) -> Path:
    """PHP decodes first and looks for brackets then; what follows the last one is dropped. () for no name."""
    name = name.lstrip(" ")
    first, bracket, rest = name.partition("[")
    if not first:
        return (f"_{rest}",) if bracket else ()
    if not bracket or "]" not in rest:
        return (name.replace("[", "_"),) if bracket else (first,)
    path: list[str | None] = [first]
    while rest:
        key, end, rest = rest.partition("]")
        if not end:
            break
        path.append(key.strip(" ") or None)
        if len(path) > DEEPEST:
            raise _too_deep()
        if not rest.startswith("["):
            break
        rest = rest[1:]
    return tuple(path)


# ------------------------------------------------------------------------------------------------ JSON
def _leaves(value: Any, path: Path, depth: int) -> Iterator[tuple[Path, Any]]:
    """Only the keys at the top may be unparsed."""
    if depth > DEEPEST:
        raise _too_deep()
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, path + ((str(key),) if depth else _path_of(str(key))), depth + 1)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _leaves(item, (*path, str(number)), depth + 1)
    elif path:
        yield path, value


# ------------------------------------------------------------------------------------------------ the tree
def _put(tree: Tree, path: Path, value: Any, numbers: dict[int, int]) -> None:
    for given in path[:-1]:
        key = _key(tree, given, numbers)
        below = tree.get(key)
        if not isinstance(below, dict):
            below = tree[key] = {} if below is None else {SCALAR: below}
        tree = below
    key = _key(tree, path[-1], numbers)
    held = tree.get(key)
    if isinstance(held, dict):
        held[SCALAR] = value
    else:
        tree[key] = value


def _key(tree: Tree, given: str | None, numbers: dict[int, int]) -> str:
    """`numbers` is the next free one of each list, by the identity of its tree: all of them live until the end."""
    if given is not None:
        if given.isdecimal() and len(given) < 10:
            numbers[id(tree)] = max(numbers.get(id(tree), 0), int(given) + 1)
        return given
    number = numbers.get(id(tree), 0)
    numbers[id(tree)] = number + 1
    return str(number)


def _too_many() -> UnreadableHook:
    return UnreadableHook(f"Reading a webhook: it has more than {MOST_VALUES} values. Look at its sender.")


def _too_deep() -> UnreadableHook:
    return UnreadableHook(f"Reading a webhook: it is nested deeper than {DEEPEST}. Look at its sender.")
