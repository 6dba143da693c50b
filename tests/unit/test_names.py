"""Which job names does a worker claim, by its handlers and settings, and what does it say of the others?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from oxcart import Job
from oxcart.handlers import Handlers, describe
from oxcart.names import LEFT_OUT, NO_HANDLER, NameFilter, names_to_claim, unknown_choices, why_left
from oxcart.settings import WorkerSettings


async def handle(job: Job) -> None: ...


@pytest.fixture
def handlers() -> Handlers:
    """Two can run here, `crm` lacks a database."""
    made = Handlers()
    for name in ("a", "b"):
        made.add(describe(name, handle))
    made.add(replace(describe("crm", handle), lack=lambda: "no DATABASE_URL"))
    return made


def claimed(*names: str) -> NameFilter:
    return NameFilter(frozenset(names), excludes=False)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, claimed("a", "b")),
        ({"unknown_jobs": "leave"}, claimed("a", "b")),
        ({"only_jobs": ("a", "crm", "x")}, claimed("a")),
        ({"except_jobs": ("a", "x")}, claimed("b")),
        ({"unknown_jobs": "fail"}, None),
        ({"unknown_jobs": "fail", "only_jobs": ("a", "x")}, claimed("a", "x")),
        ({"unknown_jobs": "fail", "except_jobs": ("a",)}, NameFilter(frozenset({"a"}), excludes=True)),
    ],
)
def test_what_is_claimed(handlers: Handlers, settings: dict[str, Any], expected: NameFilter | None) -> None:
    assert names_to_claim(handlers, WorkerSettings(**settings)) == expected


def test_a_filter_passes_its_names_or_all_others() -> None:
    assert claimed("a").passes("a")
    assert not claimed("a").passes("b")
    assert NameFilter(frozenset({"a"}), excludes=True).passes("b")
    assert not NameFilter(frozenset({"a"}), excludes=True).passes("a")


def test_wire_names_are_utf_8_in_a_lasting_order() -> None:
    assert claimed("б", "a").wire_names == (b"a", "б".encode())


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("x", {}, NO_HANDLER),
        ("crm", {}, "not possible here: no DATABASE_URL"),
        ("x", {"only_jobs": ("a",)}, NO_HANDLER),
        ("b", {"only_jobs": ("a",)}, None),
        ("crm", {"only_jobs": ("a",)}, None),
        ("crm", {"only_jobs": ("a", "crm")}, "not possible here: no DATABASE_URL"),
        ("x", {"except_jobs": ("x",)}, None),
        ("y", {"except_jobs": ("x",)}, NO_HANDLER),
        ("a", {}, None),
    ],
)
def test_why_a_name_is_left(handlers: Handlers, name: str, settings: dict[str, Any], expected: str | None) -> None:
    assert why_left(name, handlers, WorkerSettings(**settings)) == expected


def test_on_our_own_queue_no_other_kind_of_worker_takes_what_is_left_out(handlers: Handlers) -> None:
    settings = WorkerSettings(only_jobs=("a",))

    assert why_left("b", handlers, settings, is_own_queue=True) == LEFT_OUT


def test_a_chosen_name_without_a_handler_is_told_with_a_guess(handlers: Handlers) -> None:
    (only,) = unknown_choices(handlers, WorkerSettings(only_jobs=("a", "crn")))
    (excluded,) = unknown_choices(handlers, WorkerSettings(except_jobs=("zzzzz",)))

    assert only == (
        'OXCART_ONLY_JOBS (--only, --except) has "crn", which has no handler here. Did you mean crm? '
        "Known here: a, b, crm."
    )
    assert "Did you mean" not in excluded
