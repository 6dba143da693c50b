"""What can happen to an account and to those who mirror it? Steps that Hypothesis draws; playing.py plays them.

A `pick` chooses among the rows that there are when the step is played, so that every drawn step can be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")

CARDS = ("leads", "contacts", "companies")
NOTES = ("leads_notes", "contacts_notes", "companies_notes")
TABLES = (*CARDS, "tasks", *NOTES)
FIELDS = ("name", "owner", "stage", "tags", "links", "nothing", "back", "ahead", "odd")
SECONDS = (3.0, 0.4, 1.0, 61.0, 310.0, 900.0)
SETTINGS = ("stage", "pipeline", "archive", "stages", "field", "tag", "rename tag", "user", "leaving user")


@dataclass(frozen=True)
class Add:
    entity: str
    pick: int  # what it hangs on


@dataclass(frozen=True)
class Edit:
    entity: str
    pick: int
    what: str


@dataclass(frozen=True)
class Delete:
    entity: str
    pick: int


@dataclass(frozen=True)
class Restore:
    pick: int


@dataclass(frozen=True)
class Merge:
    into: int
    other: int


@dataclass(frozen=True)
class Hide:
    entity: str
    pick: int


@dataclass(frozen=True)
class Show:
    pick: int


@dataclass(frozen=True)
class Settings:
    """What an administrator changes: pipelines and stages, fields, tags, users."""

    what: str
    pick: int


@dataclass(frozen=True)
class Pass:
    """Time, by Kommo's clock."""

    seconds: float


Change = Add | Edit | Delete | Restore | Merge | Hide | Show | Settings | Pass


@dataclass(frozen=True)
class Deliver:
    """Kommo sends the webhooks that it held back."""


@dataclass(frozen=True)
class Weather:
    """Switches of the sandbox, from now on."""

    switches: Mapping[str, Any]


@dataclass(frozen=True)
class Trouble:
    """A fault that some of the next requests meet."""

    kind: str
    skip: int
    times: int


@dataclass(frozen=True)
class Work:
    """What the worker does: any of hooks, sync, full, sweep, at once if there are several.

    `meanwhile` are changes by the number of answers after which they happen. `cut`: it is killed after so many waits.
    """

    what: tuple[str, ...]
    meanwhile: tuple[tuple[int, Change], ...] = ()
    cut: int | None = None


Step = Change | Deliver | Weather | Trouble | Work


@dataclass(frozen=True)
class Beginning:
    """What the account is like, and the weather at first."""

    contacts: int
    leads: int
    page_rows: int
    php_empty: bool
    notes_touch_parent: bool
    seed: int
    late_seconds: float = 0.0
    loses_hooks: bool = False
    is_admin: bool = True


def beginnings() -> st.SearchStrategy[Beginning]:
    return st.builds(
        Beginning,
        contacts=st.sampled_from((12, 25, 7, 1, 0)),
        leads=st.sampled_from((10, 20, 7, 1, 0)),
        page_rows=st.sampled_from((3, 5, 0)),
        php_empty=st.booleans(),
        notes_touch_parent=st.booleans(),
        seed=st.integers(1, 5),
        late_seconds=st.sampled_from((0.0, 60.0, 300.0)),
        loses_hooks=st.booleans(),
        is_admin=st.sampled_from((True, True, False)),
    )


def histories(most_rounds: int) -> st.SearchStrategy[list[Step]]:
    """Rounds of mishaps, changes, time, perhaps webhooks, and work; mostly after a first synchronisation."""
    first = st.sampled_from(([Work(("sync",))], [Work(("sync",))], []))
    changes = st.lists(_changes(), min_size=2, max_size=6)
    time = st.sampled_from(SECONDS).map(lambda seconds: [Pass(seconds)])
    mishaps = st.lists(_mishaps(), max_size=2)
    deliveries = st.sampled_from(([Deliver()], []))
    rounds = st.tuples(mishaps, changes, time, deliveries, _work().map(lambda work: [work]))
    parts = st.tuples(first, st.lists(rounds, min_size=2, max_size=most_rounds), changes)
    return parts.map(lambda found: [*found[0], *(step for one in found[1] for part in one for step in part), *found[2]])


def some_change(chance: Random) -> Change:
    """Without Hypothesis, for a test that nothing could repeat exactly."""
    pick, table = chance.randrange(30), chance.choice(TABLES)
    made: tuple[Change, ...] = (
        Add(table, pick),
        Edit(table, pick, chance.choice(FIELDS)),
        Edit(chance.choice(CARDS), pick, chance.choice(FIELDS)),
        Delete(table, pick),
        Restore(pick),
        Merge(pick, chance.randrange(30)),
        Settings(chance.choice(SETTINGS), pick),
    )
    return chance.choice(made)


def _changes() -> st.SearchStrategy[Change]:
    pick, cards, tables = st.integers(0, 30), st.sampled_from(CARDS), st.sampled_from(TABLES)
    fields = st.sampled_from(FIELDS)
    return st.one_of(
        st.builds(Add, tables, pick),
        st.builds(Edit, tables, pick, fields),
        st.builds(Edit, cards, pick, fields),
        st.builds(Delete, tables, pick),
        st.builds(Restore, pick),
        st.builds(Merge, pick, pick),
        st.builds(Hide, tables, pick),
        st.builds(Show, pick),
        st.builds(Settings, st.sampled_from(SETTINGS), pick),
        st.builds(Delete, st.sampled_from(("contacts", "companies", "tasks")), pick),
        st.builds(Pass, st.sampled_from(SECONDS)),
    )


def _work() -> st.SearchStrategy[Work]:
    what = st.one_of(
        st.sampled_from((("hooks",), ("sync",), ("sync",), ("full",), ("sweep",))),
        st.sampled_from((("hooks", "sync"), ("sync", "sweep"), ("sync", "sync"), ("hooks", "sync", "sweep"))),
    )
    meanwhile = st.lists(st.tuples(st.integers(0, 40), _changes()), max_size=4).map(tuple)
    cut = st.one_of(st.none(), st.none(), st.integers(1, 60), st.integers(60, 600))
    return st.builds(Work, what, meanwhile, cut)


def _mishaps() -> st.SearchStrategy[Step]:
    share = st.sampled_from((0.0, 0.3, 0.7))
    weather = st.fixed_dictionaries(
        {},
        optional={
            "late_seconds": st.sampled_from((0.0, 2.0, 60.0, 300.0)),
            "empty_by_id_seconds": st.sampled_from((0.0, 5.0, 60.0)),
            "bom": st.booleans(),
            "next_link": st.sampled_from(("right", "always", "never")),
            "filters": st.sampled_from((True, True, True, False)),
            "fault_rate": st.sampled_from((0.0, 0.0, 0.1)),
            "hook_drop": share,
            "hook_duplicate": share,
            "hook_reorder": share,
            "hook_mix": share,
        },
    )
    kinds = ("429", "500", "504", "hang", "truncate", "cut", "lost", "garbage", "blocked")
    trouble = st.builds(Trouble, st.sampled_from(kinds), st.integers(0, 25), st.integers(1, 4))
    return st.one_of(st.builds(Weather, weather), trouble)
