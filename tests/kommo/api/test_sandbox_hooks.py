"""Does the sandbox send webhooks as Kommo does?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import web
from support.sandbox import Sandbox
from support.waiting import wait_until

from oxcart_sandbox import change_scenario

ALL_LEADS = [f"{action}_lead" for action in ("add", "update", "delete", "restore", "status", "responsible", "note")]


@dataclass
class Receiver:
    """Keeps what it is sent, and answers with the next of `answers`, in the end with 200."""

    url: str = ""
    bodies: list[dict[str, str]] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        text = await request.text()
        self.headers.append(request.headers.copy())
        self.bodies.append(dict(parse_qsl(text, keep_blank_values=True)))
        status = self.answers.pop(0) if self.answers else 200
        if status == 499:
            await self.release.wait()
        return web.Response(status=status)

    def subjects(self) -> list[str]:
        """The first id in each body: "leads update 20000001"."""
        found = []
        for body in self.bodies:
            name, value = next((name, value) for name, value in body.items() if name.endswith("[0][id]"))
            key, action = name.replace("]", "").split("[")[:2]
            found.append(f"{key} {action} {value}")
        return found


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    receiver.release.set()
    await runner.cleanup()


def switch(sandbox: Sandbox, **switches: object) -> None:
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"hook_at_once": 1, **switches})


async def subscribe(sandbox: Sandbox, receiver: Receiver, *settings: str) -> dict[str, Any]:
    body = {"destination": receiver.url, "settings": list(settings or ALL_LEADS), "sort": 10}
    answer = await sandbox.ask("POST", "/api/v4/webhooks", body)
    assert answer.status == 200, answer.text
    hook: dict[str, Any] = answer.body
    return hook


async def received(receiver: Receiver, count: int) -> None:
    await wait_until(lambda: len(receiver.bodies) >= count, describe=f"{count} webhooks have come")


async def test_a_webhook_is_a_form_with_brackets_and_texts(sandbox: Sandbox, receiver: Receiver) -> None:
    """2.6: form-urlencoded PHP bracket keys, all values strings; account[…]; the captured headers; no signature."""
    await subscribe(sandbox, receiver)
    sandbox.demo.edit("leads", 20_000_001, {"name": "Ñandú & Co", "price": 12})

    await received(receiver, 1)

    body, headers = receiver.bodies[0], receiver.headers[0]
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert headers["User-Agent"] == "amoCRM-Webhooks/3.0"
    assert headers["x-amocrm-requestid"]
    assert not [name for name in headers if "signature" in name.lower()]
    assert body["leads[update][0][name]"] == "Ñandú & Co"
    assert body["leads[update][0][updated_at]"] == "1790000000"
    assert (body["account[subdomain]"], body["account[id]"]) == ("demo", "31000001")
    assert body["account[_links][self]"] == "https://demo.kommo.com"


async def test_each_action_has_its_key(sandbox: Sandbox, receiver: Receiver) -> None:
    """2.6: leads[add|update|delete|restore|status|responsible]; delete has only id, status_id, pipeline_id."""
    switch(sandbox)
    await subscribe(sandbox, receiver)
    demo, lead = sandbox.demo, 20_000_007
    made = demo.add("leads", {"name": "x"})
    demo.edit("leads", lead, {"status_id": 143})
    demo.edit("leads", lead, {"responsible_user_id": 8_000_005})
    demo.delete("leads", lead)
    demo.restore("leads", lead)

    await received(receiver, 5)

    actions = ["add", "status", "responsible", "delete", "restore"]
    ids = [made["id"], lead, lead, lead, lead]
    assert receiver.subjects() == [f"leads {action} {row}" for action, row in zip(actions, ids, strict=True)]
    assert "leads[status][0][old_status_id]" in receiver.bodies[1]
    deleted = [name for name in receiver.bodies[3] if name.startswith("leads")]
    assert sorted(deleted) == [f"leads[delete][0][{name}]" for name in ("id", "pipeline_id", "status_id")]


async def test_companies_come_under_contacts(sandbox: Sandbox, receiver: Receiver) -> None:
    """2.6: companies arrive under `contacts` with type=company; a responsible change as update."""
    switch(sandbox)
    await subscribe(sandbox, receiver, "responsible_company", "update_contact", "delete_contact")
    sandbox.demo.edit("companies", 40_000_001, {"responsible_user_id": 8_000_004})
    sandbox.demo.edit("contacts", 30_000_001, {"name": "Z"})
    sandbox.demo.delete("contacts", 30_000_002)

    await received(receiver, 3)

    company, contact, deleted = receiver.bodies
    assert company["contacts[update][0][type]"] == "company"
    assert "contacts[update][0][old_responsible_user_id]" in company
    assert contact["contacts[update][0][type]"] == "contact"
    lead = sandbox.demo.leads_of(30_000_001)[0]
    assert contact[f"contacts[update][0][linked_leads_id][{lead}][ID]"] == str(lead)
    assert deleted["contacts[delete][0][type]"] == "contact"


async def test_values_have_three_shapes(sandbox: Sandbox, receiver: Receiver) -> None:
    """2.6: custom_fields[i][values]: a list of objects, a list of strings (dates), a single object (radio button)."""
    await subscribe(sandbox, receiver)
    fields = [
        {"field_id": 1_016_236, "values": [{"value": "New", "enum_id": 867_968}]},
        {"field_id": 1_016_240, "values": [{"value": 1_750_000_000}]},
        {"field_id": 1_016_244, "values": [{"value": "Fair", "enum_id": 566_642}]},
    ]
    lead = sandbox.demo.add("leads", {})
    await sandbox.control("PATCH", f"/accounts/demo/leads/{lead['id']}", {"custom_fields_values": fields})

    await received(receiver, 2)

    body = receiver.bodies[-1]
    prefix = "leads[update][0][custom_fields]"
    assert body[f"{prefix}[0][values][0][value]"] == "New"
    assert body[f"{prefix}[1][values][0]"] == "2025-06-15 15:06:40"
    assert body[f"{prefix}[2][values][value]"] == "Fair"
    assert body[f"{prefix}[2][values][enum]"] == "566642"


async def test_tasks_notes_and_messages(sandbox: Sandbox, receiver: Receiver) -> None:
    """2.6: task[..] with element_type 1, 2, 3 and dates without a zone; leads[note]; message[add] with a text id."""
    switch(sandbox)
    await subscribe(sandbox, receiver, "add_task", "note_lead", "add_message")
    task = {"text": "Call", "complete_till": 1_750_000_000, "entity_id": 20_000_001, "entity_type": "leads"}
    await sandbox.control("POST", "/accounts/demo/tasks", task)
    await sandbox.control("POST", "/accounts/demo/leads_notes", {"entity_id": 20_000_001, "params": {"text": "hi"}})
    await sandbox.control("POST", "/accounts/demo/message", {"contact_id": 30_000_001, "text": "hello"})

    await received(receiver, 3)

    task_body, note_body, message_body = receiver.bodies
    assert (task_body["task[add][0][element_type]"], task_body["task[add][0][status]"]) == ("2", "0")
    assert task_body["task[add][0][complete_till]"] == "2025-06-15 15:06:40"
    assert (note_body["leads[note][0][note][text]"], note_body["leads[note][0][note][note_type]"]) == ("hi", "4")
    assert message_body["message[add][0][text]"] == "hello"
    assert not message_body["message[add][0][id]"].isdecimal()


async def test_only_what_was_subscribed_to_is_sent(sandbox: Sandbox, receiver: Receiver) -> None:
    """2.6: subscribe names; webhooks need an administrator; DELETE takes the destination."""
    hook = await subscribe(sandbox, receiver, "delete_lead")
    sandbox.demo.edit("leads", 20_000_001, {"name": "x"})
    sandbox.demo.delete("leads", 20_000_001)
    await received(receiver, 1)
    plain = (await sandbox.control("POST", "/accounts/demo/token", {"admin": False}))["token"]

    assert receiver.subjects() == ["leads delete 20000001"]
    assert (hook["settings"], hook["disabled"]) == (["delete_lead"], False)
    assert [one["destination"] for one in await sandbox.rows("/webhooks", "webhooks")] == [receiver.url]
    assert (await sandbox.get("/webhooks", token=plain)).status == 403

    removed = await sandbox.ask("DELETE", "/api/v4/webhooks", {"destination": receiver.url})

    assert removed.status == 204
    assert (await sandbox.get("/webhooks")).status == 204


@pytest.mark.parametrize(
    ("code", "waits", "attempts"),
    [(404, [300, 900], 3), (500, [300, 900, 900, 3600], 5), (499, [300, 900, 900, 3600], 5)],
)
async def test_an_invalid_answer_is_repeated_on_the_ladder(
    sandbox: Sandbox, receiver: Receiver, code: int, waits: list[int], attempts: int
) -> None:
    """2.6: 5 and 15 min; for 499 and 500-599 also 15 min and 1 h; no answer within 2 s is invalid."""
    switch(sandbox, hook_timeout_real_seconds=0.1)
    await subscribe(sandbox, receiver)
    receiver.answers = [code] * 9
    sandbox.demo.edit("leads", 20_000_001, {"name": "x"})
    hooks = sandbox.world.hooks
    await wait_until(lambda: bool(hooks.log) and len(hooks.log[0].codes) == 1, describe="the first attempt was made")

    for number, wait in enumerate(waits, 2):
        sandbox.world.clock.advance(wait - 1)
        assert len(hooks.log[0].codes) == number - 1
        sandbox.world.clock.advance(1)
        await wait_until(lambda n=number: len(hooks.log[0].codes) == n, describe=f"attempt {number} was made")  # type: ignore[misc]

    await wait_until(lambda: hooks.log[0].is_over, describe="it was given up")
    assert hooks.log[0].codes == [code] * attempts
    assert len({headers["x-amocrm-requestid"] for headers in receiver.headers}) == 1
    assert len({tuple(body.items()) for body in receiver.bodies}) == 1


async def test_too_many_invalid_answers_disable_the_webhook(sandbox: Sandbox, receiver: Receiver) -> None:
    """2.6: disabled when > 100 invalid answers in 2 h; re-enabled by saving it."""
    switch(sandbox, hook_disable_after=3)
    await subscribe(sandbox, receiver)
    receiver.answers = [400] * 4
    for number in range(5):
        sandbox.demo.edit("leads", 20_000_001 + number, {"name": "x"})
    await wait_until(lambda: sandbox.demo.subscriptions[0].disabled, describe="the webhook is disabled")

    (shown,) = await sandbox.rows("/webhooks", "webhooks")
    sandbox.demo.edit("leads", 20_000_001, {"name": "y"})
    assert shown["disabled"] is True
    assert len(receiver.bodies) == 4

    await subscribe(sandbox, receiver)
    sandbox.demo.edit("leads", 20_000_001, {"name": "z"})

    await received(receiver, 5)


async def test_webhooks_can_be_dropped_doubled_and_disordered(sandbox: Sandbox, receiver: Receiver) -> None:
    """6: duplicates, reordering; 2.6: nobody promised one hook per change."""
    switch(sandbox, hooks_held=True, hook_drop=0.3, hook_duplicate=0.3, hook_reorder=0.5)
    await subscribe(sandbox, receiver)
    for number in range(60):
        sandbox.demo.edit("leads", 20_000_001 + number, {"name": "x"})
    released = (await sandbox.control("POST", "/hooks/release"))["released"]
    await received(receiver, released)

    ids = [subject.rpartition(" ")[2] for subject in receiver.subjects()]
    dropped = (await sandbox.control("GET", "/hooks"))["dropped"]
    assert 5 < dropped < 40
    assert len(set(ids)) == 60 - dropped
    assert len(ids) > len(set(ids))
    assert list(dict.fromkeys(ids)) != sorted(set(ids))


async def test_one_body_may_mix_entities_and_actions(sandbox: Sandbox, receiver: Receiver) -> None:
    """2.6: one body can mix entities and actions."""
    switch(sandbox, hook_mix=1.0, hooks_held=True)
    await subscribe(sandbox, receiver, "update_lead", "delete_lead", "update_contact")
    sandbox.demo.edit("leads", 20_000_001, {"name": "x"})
    sandbox.demo.edit("contacts", 30_000_001, {"name": "x"})
    sandbox.demo.delete("leads", 20_000_001)
    await sandbox.control("POST", "/hooks/release")

    await received(receiver, 1)

    names = receiver.bodies[0]
    assert "leads[update][0][id]" in names
    assert "leads[delete][0][id]" in names
    assert "contacts[update][0][id]" in names


async def test_a_receiver_that_is_away_is_an_invalid_answer(sandbox: Sandbox) -> None:
    """2.6: codes 0-99."""
    await sandbox.ask(
        "POST", "/api/v4/webhooks", {"destination": "http://127.0.0.1:9/none", "settings": ALL_LEADS, "sort": 1}
    )
    sandbox.demo.edit("leads", 20_000_001, {"name": "x"})

    await wait_until(lambda: bool(sandbox.world.hooks.log[0].codes), describe="the attempt was made")

    assert sandbox.world.hooks.log[0].codes == [0]
