"""What can happen to an account and to those who mirror it? Steps that Hypothesis draws; playing.py plays them.

A `pick` chooses among the rows that there are when the step is played, so that every drawn step can be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")

CARDS = ("leads", "contacts", "companies")
NOTES = ("leads_notes", "contacts_notes", "companies_notes")
TABLES = (*CARDS, "customers", "tasks", *NOTES)
FIELDS = ("name", "owner", "stage", "tags", "links", "company", "products", "nothing", "back", "ahead", "odd")
SECONDS = (3.0, 0.4, 1.0, 61.0, 310.0, 900.0)
SETTINGS = ("stage", "pipeline", "archive", "stages", "field", "tag", "rename tag", "user", "leaving user")
LISTS = ("groups", "task_types", "roles", "leads/loss_reasons", "sources", "catalogs", "elements", "leads/unsorted")


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
class Listed:
    """A row of a small list comes, gets another name, or goes. Of a catalog its products go, too."""

    name: str
    pick: int


@dataclass(frozen=True)
class Pass:
    """Time, by Kommo's clock."""

    seconds: float


Change = Add | Edit | Delete | Restore | Merge | Hide | Show | Settings | Listed | Pass


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
    has_customers: bool = False


def beginnings() -> st.SearchStrategy[Beginning]:
    return st.builds(
        Beginning,
        contacts=st.sampled_from((12, 25, 7, 1, 0)),
        leads=st.sampled_from((10, 20, 7, 1, 0)),
        page_rows=st.sampled_from((3, 0, 5, 0)),
        php_empty=st.booleans(),
        notes_touch_parent=st.booleans(),
        seed=st.integers(1, 5),
        late_seconds=st.sampled_from((0.0, 60.0, 300.0)),
        loses_hooks=st.booleans(),
        is_admin=st.sampled_from((True, True, False)),
        has_customers=st.booleans(),
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
        Listed(chance.choice(LISTS), pick),
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
        st.builds(Listed, st.sampled_from(LISTS), pick),
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


_SHARES = (0.0, 0.3, 0.7)

WEATHER: Mapping[str, Sequence[Any]] = {
    "late_seconds": (0.0, 2.0, 60.0, 300.0),
    "late_by_id": (False, False, True),
    "empty_by_id_seconds": (0.0, 5.0, 60.0),
    "links_move_time": (False, False, True),
    "bom": (False, True),
    "next_link": ("right", "always", "never"),
    "next_link_keeps_with": (False, True),
    "filters": (True, True, True, False),
    "retry_after_in": ("body", "header", "none"),
    "fault_rate": (0.0, 0.0, 0.1),
    "hook_drop": _SHARES,
    "hook_duplicate": _SHARES,
    "hook_reorder": _SHARES,
    "hook_mix": _SHARES,
}
"""What a switch of the sandbox may be while a history is played."""

BEGINNING = ("page_rows", "php_empty", "notes_touch_parent", "late_seconds")
"""Those that are drawn once for a history."""

NOT_DRAWN = {
    "events_limit": "asking for more is refused once and for all",
    "url_limit": "the same",
    **dict.fromkeys(
        ("strict_rotation", "refusal_status", "code_seconds", "access_seconds", "refresh_seconds", "deny_access"),
        "a history has a token that needs no refresh: test_tokens",
    ),
    **dict.fromkeys(
        ("requests_per_second", "penalty", "block_after", "block_real_seconds", "retry_after_real_seconds"),
        "real time; a 429 and a block are drawn as troubles, and api/test_limiter has the rest",
    ),
    **dict.fromkeys(("hang_real_seconds", "latency_real_seconds", "hook_timeout_real_seconds"), "real time"),
    "faults": "every kind is drawn as a trouble of its own",
    "hooks_held": "always: a step delivers",
    "hook_at_once": "hook_reorder is drawn",
    "hook_disable_after": "webhooks/test_subscription",
}
"""Why the others are not."""


def _mishaps() -> st.SearchStrategy[Step]:
    weather = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in WEATHER.items()})
    kinds = ("429", "500", "504", "hang", "truncate", "cut", "lost", "garbage", "blocked")
    trouble = st.builds(Trouble, st.sampled_from(kinds), st.integers(0, 25), st.integers(1, 4))
    return st.one_of(st.builds(Weather, weather), trouble)
