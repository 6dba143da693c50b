"""What is there to say of a kind of Kommo's rows? How it is read, which columns it has, and what hangs on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Walk(StrEnum):
    """How a stream is read from end to end."""

    ONCE = "once"  # one answer, no pages: all there is
    PAGES = "pages"  # no filter by time: every page, each time
    INSIDE = "inside"  # in each row of another stream, all there is
    CHANGES = "changes"  # filtered and ordered by the cursor: its last value is how far we are
    WINDOW = "window"  # filtered by the cursor, in an order of its own: a window counts only when read whole


class Form(StrEnum):
    """How a typed column is stored."""

    TEXT = "text"
    WHOLE = "whole"
    MONEY = "money"  # exact; a price may have a fraction on Kommo
    TRUTH = "truth"
    MOMENT = "moment"  # epoch seconds there, UTC here; 0 and null are none
    REF = "ref"  # another row's external id, kept as text; 0 and null are none
    KIND = "kind"  # what such an id is of, spelt as the streams are: leads, also where Kommo says lead or 2


@dataclass(frozen=True, slots=True)
class Column:
    """`source` is the path in Kommo's row; a number is a place in a list."""

    name: str
    source: tuple[str | int, ...]
    form: Form


@dataclass(frozen=True, slots=True)
class Link:
    """A list of {id, …} under _embedded that says what a row belongs to. `main` is the flag in it, if there is one,
    `quantity` where it says how many.
    """

    embedded: str
    to: str
    main: str | None = None
    quantity: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Events:
    """The event types that say a row of this entity went, or came back. `kind` is the event's entity_type."""

    kind: str
    deleted: str
    restored: str | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """One kind of rows. `path` is below /api/v4, `key` its list under _embedded, `of` the entity that rows hang on.

    `query` goes with every request. `cursor` is the column that filter[cursor][from|to] works on. `by_id` is whether
    filter[id][] does. `hook` is the top key of its webhooks, `hook_settings` what to subscribe to. `inside` is the
    stream whose rows hold these; `is_composite`: only with that row's id are theirs unique, as in 6950551:142. `each`
    is the stream whose ids stand for the {} of the path. `seldom_seconds`: asked for no more often, unless by name.
    `needs`: a setting of the account; where that is off, it has no such rows. `names_stay`: others name a row by its
    id for years, so of one that is gone the name is kept. `quiet` lists under _embedded say nothing where they are
    empty: earlier versions did not ask for them.
    """

    name: str
    path: str
    key: str
    table: str
    walk: Walk
    columns: tuple[Column, ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    cursor: str | None = None
    order: str | None = None
    limit: int = 250
    by_id: bool = False
    of: str | None = None
    links: tuple[Link, ...] = ()
    inside: str | None = None
    is_composite: bool = False
    each: str | None = None
    seldom_seconds: float = 0.0
    needs: str | None = None
    names_stay: bool = False
    quiet: tuple[str, ...] = ()
    has_custom_fields: bool = False
    has_tags: bool = False
    events: Events | None = None
    hook: str | None = None
    hook_settings: tuple[str, ...] = ()
    needs_admin: bool = False
    marks_deleted: bool = False
