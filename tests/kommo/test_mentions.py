"""Is a contact recognised in every shape in which it is named, and a number that only looks the same not?"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oxcart.kommo.mentions import mentions_contact

ID = "30000011"


def form(**fields: Any) -> str:
    return urlencode({name.replace("__", "]").replace("_o_", "["): value for name, value in fields.items()})


NAMED = [
    {"contacts[update][0][id]": ID, "contacts[update][0][type]": "contact"},
    {"contacts[delete][0][id]": ID},
    {"contacts[note][0][note][element_id]": ID, "contacts[note][0][note][element_type]": "1"},
    {"task[add][0][element_id]": ID, "task[add][0][element_type]": "1"},
    {"message[add][0][contact_id]": ID, "message[add][0][text]": "hello"},
    {"talk[update][0][contact_id]": ID},
    {"message[add][0][entity_id]": ID, "message[add][0][entity_type]": "contact"},
    {"leads[update][0][id]": "7", "contacts[update][3][id]": ID},
]
NOT_NAMED = [
    {"leads[update][0][id]": ID},
    {"contacts[update][0][id]": ID, "contacts[update][0][type]": "company"},
    {"contacts[update][0][id]": f"{ID}9"},
    {"contacts[update][0][linked_leads_id][5][ID]": ID},
    {"task[add][0][element_id]": ID, "task[add][0][element_type]": "2"},
    {"contacts[update][0][id]": "7", "contacts[update][0][responsible_user_id]": ID},
    {"contacts[update][0][id]": "7", "contacts[update][0][custom_fields][0][id]": ID},
    {"account[id]": ID},
]


@pytest.mark.parametrize("fields", NAMED)
def test_a_form_that_names_it(fields: dict[str, str]) -> None:
    assert mentions_contact(urlencode(fields), ID)
    assert mentions_contact({"rawBody": urlencode(fields)}, ID)
    assert mentions_contact(json.dumps({"rawBody": urlencode(fields)}), ID)
    assert mentions_contact(fields, ID)


@pytest.mark.parametrize("fields", NOT_NAMED)
def test_a_form_with_the_same_number_elsewhere(fields: dict[str, str]) -> None:
    assert not mentions_contact(urlencode(fields), ID)
    assert not mentions_contact(fields, ID)


@pytest.mark.parametrize(
    "value",
    [
        {"contacts": {"add": [{"id": int(ID), "name": "x"}]}},
        {"payload": {"contacts": {"update": {"0": {"id": ID}}}}},
        {"contactId": ID},
        {"lead": {"main_contact_id": int(ID)}},
        {"_embedded": {"contacts": [{"id": 1}, {"id": int(ID)}]}},
        {"entityType": "contacts", "entityId": ID},
        {"deep": json.dumps({"contact": {"id": int(ID)}})},
        [{"contacts": [{"id": ID}]}],
    ],
)
def test_json_that_names_it(value: Any) -> None:
    assert mentions_contact(value, ID)
    assert mentions_contact(json.dumps(value), ID)
    assert not mentions_contact(value, ID[:-1])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_no_value_is_too_odd_to_look_into(value: Any) -> None:
    assert not mentions_contact(value, "999999999999999999")


@given(st.text())
def test_no_text_is_too_odd_to_look_into(text: str) -> None:
    assert not mentions_contact(f"[={text}", "999999999999999999")


def test_a_bottomless_value_ends() -> None:
    value: Any = ID
    for _ in range(200):
        value = [value]

    assert not mentions_contact(value, ID)
    assert not mentions_contact("[" * 100_000, ID)
