"""Is every switch of the sandbox drawn by the histories, and every stream of an account changed by them?"""

from __future__ import annotations

from dataclasses import fields

from kommo.convergence import steps
from kommo.convergence.agreement import LISTS
from oxcart.kommo.entities import ENTITIES
from oxcart_sandbox import Scenario
from oxcart_sandbox.scenario import change_scenario


def test_every_switch_is_drawn_or_it_is_said_why_not() -> None:
    drawn = {*steps.WEATHER, *steps.BEGINNING}

    assert {item.name for item in fields(Scenario)} == drawn | steps.NOT_DRAWN.keys()
    assert not drawn & steps.NOT_DRAWN.keys()


def test_every_value_that_is_drawn_is_one_of_the_switch() -> None:
    for name, values in steps.WEATHER.items():
        assert {getattr(change_scenario(Scenario(), {name: value}), name) for value in values} == set(values)


def test_every_stream_is_changed() -> None:
    settings = {"account", "pipelines", "users"}
    of_cards = {f"{of}_{what}" for of in steps.CARDS for what in ("tags", "custom_fields")}
    follow = {"events", "deleted_leads"}  # of what else happens

    changed = {*steps.TABLES, *LISTS, "catalog_elements", "unsorted", *settings, *of_cards, *follow}

    assert changed == ENTITIES.keys()
    assert set(LISTS.values()) <= set(steps.LISTS)
