"""Which rows does a webhook mark? What the sandbox's own sender writes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.sync.marks import Mark
from oxcart.kommo.webhooks.expand import FORM, Expanded, expand, expand_body
from oxcart.kommo.webhooks.forms import UnreadableHook, tree_of
from oxcart_sandbox import World
from oxcart_sandbox.account import Change
from oxcart_sandbox.hook_bodies import body_of

AT = datetime.fromtimestamp(1_790_000_000, UTC)


def keys(expanded: Expanded) -> list[tuple[str, str, str]]:
    return [(mark.entity, mark.external_id, mark.action) for mark in expanded.marks]


def test_one_body_may_mix_entities_and_actions() -> None:
    body = (
        "leads[update][0][id]=1&leads[update][1][id]=2&leads[status][0][id]=3&leads[delete][0][id]=4"
        "&leads[responsible][0][id]=5&leads[restore][0][id]=6&contacts[add][0][id]=7&contacts[add][0][type]=contact"
        "&contacts[update][0][id]=8&contacts[update][0][type]=company&contacts[delete][0][id]=9"
        "&contacts[delete][0][type]=company&task[add][0][id]=10&account[id]=31000001"
    )

    expanded = expand_body(body, FORM)

    assert keys(expanded) == [
        ("leads", "1", "update"),
        ("leads", "2", "update"),
        ("leads", "3", "update"),
        ("leads", "4", "delete"),
        ("leads", "5", "update"),
        ("leads", "6", "restore"),
        ("contacts", "7", "add"),
        ("companies", "8", "update"),
        ("companies", "9", "delete"),
        ("tasks", "10", "add"),
    ]
    assert (expanded.account_id, expanded.ignored) == ("31000001", 0)


def test_a_note_is_of_what_it_hangs_on() -> None:
    """2.6: notes come under `leads` or `contacts`; element_type says 1 contact, 2 lead, 3 company."""
    body = (
        "leads[note][0][note][id]=1&leads[note][0][note][element_type]=2&contacts[note][0][note][id]=2"
        "&contacts[note][0][note][element_type]=1&contacts[note][1][note][id]=3&contacts[note][1][note][element_type]=3"
        "&leads[note][1][note][id]=4"
    )

    found = [(mark.entity, mark.external_id) for mark in expand_body(body, None).marks]

    assert found == [("leads_notes", "1"), ("leads_notes", "4"), ("contacts_notes", "2"), ("companies_notes", "3")]


def test_the_hint_is_when_the_row_changed_and_words_are_none() -> None:
    """2.6: text dates have no zone, prefer the epoch fields."""
    body = (
        "leads[update][0][id]=1&leads[update][0][updated_at]=1790000000"
        "&leads[update][1][id]=2&leads[update][1][last_modified]=1790000000"
        "&task[update][0][id]=3&task[update][0][date_create]=2025-06-15 15:06:40"
        "&leads[delete][0][id]=4&leads[update][2][id]=5&leads[update][2][updated_at]=99999999999"
    )

    hints = {mark.external_id: mark.hinted_at for mark in expand_body(body, None).marks}

    assert hints == {"1": AT, "2": AT, "3": None, "4": None, "5": None}


@pytest.mark.parametrize(
    ("body", "ignored"),
    [
        ("message[add][0][id]=u-u-i-d&message[add][0][text]=hello", 1),
        ("unsorted[add][0][uid]=1&unsorted[delete][0][uid]=2", 2),
        ("outgoing_message[add][0][id]=a&outgoing_message[add][0][text]=b", 1),
        ("talk[update][0][talk_id]=1&catalogs[update][0][id]=2", 2),
    ],
)
def test_what_has_no_stream_is_counted_and_marks_nothing(body: str, ignored: int) -> None:
    assert expand_body(body, None) == Expanded((), ignored, None)


def test_unknown_keys_and_ids_that_are_none_are_passed_over() -> None:
    body = "leads[update][0][id]=5&leads[update][1][id]=1;drop&leads[update][2][name]=x&weather[add][0][id]=6&leads=7"

    assert keys(expand_body(body, None)) == [("leads", "5", "update")]


def test_the_platforms_own_shapes_mark_the_same() -> None:
    """1.4: nested JSON, lists instead of actions, or the fields with their brackets."""
    nested = {"leads": {"update": [{"id": 5, "updated_at": 1_790_000_000}]}, "account": {"id": 31}}
    brackets = {"leads[update][0][id]": "5", "leads[update][0][updated_at]": "1790000000", "account[id]": "31"}
    mark = Mark("leads", "5", "update", AT)

    assert expand(tree_of(nested)) == expand(tree_of(brackets)) == Expanded((mark,), 0, "31")
    assert keys(expand(tree_of({"leads": [{"id": 5}]}))) == [("leads", "5", "update")]
    assert keys(expand(tree_of({"tasks": {"add": {"id": 5}}}))) == [("tasks", "5", "add")]


@pytest.mark.parametrize("entity", ["leads", "contacts", "companies", "tasks"])
@pytest.mark.parametrize("action", ["add", "update", "delete", "restore", "responsible"])
def test_every_body_of_the_sandbox_marks_its_row(entity: str, action: str) -> None:
    account = World(contacts=5, leads=5).accounts[0]
    if entity == "tasks":
        fields = {"text": "Call", "complete_till": 1_750_000_000, "entity_id": 20_000_001, "entity_type": "leads"}
        row = account.add("tasks", fields)
    else:
        row = next(iter(account.truth(entity, after=0)))

    expanded = expand_body(body_of(account, [Change(entity, action, row, row)]).decode(), FORM)

    said = action if action in {"add", "delete", "restore"} else "update"
    assert keys(expanded) == [(entity, str(row["id"]), said)]
    assert expanded.account_id == str(account.id)
    assert entity in ENTITIES


def test_a_body_that_names_nothing_is_refused() -> None:
    with pytest.raises(UnreadableHook, match="names no lead, contact, company, task or note"):
        expand_body("leads[update][0][name]=x", FORM)
