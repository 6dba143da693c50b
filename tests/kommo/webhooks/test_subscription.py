"""Is there exactly one webhook of ours in the account, alive, and is it clear why where there is none?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import update
from support.sandbox import Sandbox
from support.waiting import wait_until

from kommo.stored import account as stored_account
from kommo.stored import change_account
from kommo.webhooks.conftest import ON_SQLITE, RING, Door, hooks_of, path_of
from oxcart.kommo.account import Account
from oxcart.kommo.crm import Crm
from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.failures import ServerTrouble
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.own_tables import crm_connection_states
from oxcart.kommo.webhooks.drain import drain_hooks
from oxcart.kommo.webhooks.subscription import (
    SETTINGS,
    Did,
    Subscription,
    keep_subscription,
    rotate_secret,
    unsubscribe,
)
from oxcart_sandbox import change_scenario

PUBLIC = "https://worker.example.com"
OTHERS = "https://somebody.example.com/hook"


async def keep(account: Account, public_url: str | None = PUBLIC) -> Subscription:
    return await keep_subscription(account, public_url, keyring=RING)


def writes_of(sandbox: Sandbox) -> list[tuple[str, str]]:
    return [(seen.method, seen.path) for seen in sandbox.world.seen if seen.method != "GET"]


async def test_one_webhook_is_made_for_all_that_is_mirrored_and_then_left_alone(
    database: Database, account: Account, sandbox: Sandbox
) -> None:
    made, kept = await keep(account), await keep(account)

    (hook,) = sandbox.demo.subscriptions
    assert (made.did, kept.did, made.is_live) == (Did.MADE, Did.KEPT, True)
    assert hook.destination == PUBLIC + await path_of(database, account.connection_id)
    assert set(hook.settings) == {name for entity in ENTITIES.values() for name in entity.hook_settings}
    assert {"update_lead", "delete_company", "note_contact", "responsible_task"} <= set(SETTINGS)
    assert writes_of(sandbox) == [("POST", "/api/v4/webhooks")]
    assert made.sentence == "Kommo sends the changes of demo.kommo.com to worker.example.com."


@ON_SQLITE
async def test_a_webhook_that_kommo_disabled_or_someone_changed_is_mended(account: Account, sandbox: Sandbox) -> None:
    """2.6: disabled after more than 100 invalid answers in 2 h, and on an IP block; saving it enables it."""
    await keep(account)
    (hook,) = sandbox.demo.subscriptions
    hook.disabled = True
    enabled = await keep(account)
    is_disabled = sandbox.demo.subscriptions[0].disabled
    hook.settings.remove("restore_lead")

    changed = await keep(account)

    assert (enabled.did, is_disabled, changed.did) == (Did.ENABLED, False, Did.CHANGED)
    assert len(sandbox.demo.subscriptions) == 1
    assert "restore_lead" in sandbox.demo.subscriptions[0].settings


@ON_SQLITE
async def test_webhooks_of_others_are_never_touched(account: Account, sandbox: Sandbox) -> None:
    other = f"{PUBLIC}/webhooks/kommo/00000000-0000-0000-0000-000000000000/their-secret"
    for destination in (OTHERS, other):
        body = {"destination": destination, "settings": ["add_lead"], "sort": 1}
        assert (await sandbox.ask("POST", "/api/v4/webhooks", body)).status == 200

    await keep(account)
    await rotate_secret(account, PUBLIC, keyring=RING)
    removed = await unsubscribe(account)

    assert removed == 2
    assert [hook.destination for hook in sandbox.demo.subscriptions] == [OTHERS, other]


async def test_after_a_rotation_both_addresses_stand_for_a_day(
    database: Database, account: Account, sandbox: Sandbox
) -> None:
    await keep(account)
    old = sandbox.demo.subscriptions[0].destination

    rotated = await rotate_secret(account, PUBLIC, keyring=RING)
    new = PUBLIC + await path_of(database, account.connection_id)
    both = {hook.destination for hook in sandbox.demo.subscriptions}
    kept = await keep(account)
    async with database.writing("Letting a day pass") as connection:
        past = datetime(2020, 1, 1, tzinfo=UTC)
        await connection.execute(update(crm_connection_states).values(old_webhook_secret_until=past))
    cleaned = await keep(account)

    assert (rotated.did, kept.did, kept.removed) == (Did.MADE, Did.KEPT, 0)
    assert both == {old, new}
    assert (cleaned.did, cleaned.removed) == (Did.KEPT, 1)
    assert [hook.destination for hook in sandbox.demo.subscriptions] == [new]
    assert (await stored_account(database, account.connection_id))["old_webhook_secret"] is None


@ON_SQLITE
async def test_two_rotations_in_a_day_leave_two_addresses(account: Account, sandbox: Sandbox) -> None:
    await keep(account)
    first = sandbox.demo.subscriptions[0].destination

    await rotate_secret(account, PUBLIC, keyring=RING)
    last = await rotate_secret(account, PUBLIC, keyring=RING)

    assert last.removed == 1
    assert len(sandbox.demo.subscriptions) == 2
    assert first not in [hook.destination for hook in sandbox.demo.subscriptions]


@ON_SQLITE
async def test_the_address_of_another_deployment_is_told_of_and_left(account: Account, sandbox: Sandbox) -> None:
    await keep(account, "https://staging.example.com")

    here = await keep(account)

    assert (here.did, here.removed, here.elsewhere) == (Did.MADE, 0, 1)
    assert len(sandbox.demo.subscriptions) == 2
    assert await unsubscribe(account) == 2
    assert sandbox.demo.subscriptions == []


@ON_SQLITE
async def test_without_a_public_address_there_is_polling_only(account: Account, sandbox: Sandbox) -> None:
    asked = await keep(account, None)
    rotated = await rotate_secret(account, None, keyring=RING)

    assert asked == rotated
    assert not asked.is_live
    assert asked.sentence == (
        "demo.kommo.com is polling only: this worker has no public address; set OXCART_PUBLIC_URL for webhooks."
    )
    assert list(sandbox.world.seen) == []


@ON_SQLITE
async def test_a_token_that_is_no_administrators_means_polling_only(
    database: Database, crm: Crm, account: Account, sandbox: Sandbox
) -> None:
    plain = (await sandbox.control("POST", "/accounts/demo/token", {"admin": False}))["token"]
    await change_account(database, account.connection_id, access_token=plain)
    account = crm.account(await crm.find(connection_id=account.connection_id))

    found = await keep(account)

    assert found.did is Did.POLLING
    assert "administrator" in found.sentence


@ON_SQLITE
@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_plan_without_webhooks_means_polling_only(account: Account, sandbox: Sandbox, status: int) -> None:
    fault = {"kind": str(status), "method": "POST", "path": "/api/v4/webhooks", "times": 5}
    await sandbox.control("POST", "/faults", fault)

    found = await keep(account)

    assert found.did is Did.POLLING
    assert f"Kommo answered {status} to the webhook" in found.sentence


@ON_SQLITE
async def test_an_answer_that_was_lost_leaves_one_webhook(account: Account, sandbox: Sandbox) -> None:
    fault = {"kind": "lost", "method": "POST", "path": "/api/v4/webhooks", "after_doing": True}
    await sandbox.control("POST", "/faults", fault)

    with pytest.raises(ServerTrouble) as raised:
        await keep(account)
    again = await keep(account)

    assert again.did is Did.KEPT
    assert len(sandbox.demo.subscriptions) == 1
    assert sandbox.demo.subscriptions[0].destination.rpartition("/")[2] not in str(raised.value)


async def test_after_unsubscribing_what_still_comes_is_refused(
    database: Database, account: Account, sandbox: Sandbox, door: Door
) -> None:
    await keep(account, door.url)
    path = await path_of(database, account.connection_id)
    await sandbox.control("POST", "/faults", {"kind": "500", "path": "/api/v4/webhooks", "times": 3})

    with pytest.raises(ServerTrouble):
        await unsubscribe(account)
    status, _ = await door.send(path, b"leads[update][0][id]=1")
    await unsubscribe(account)

    assert status == 404
    assert sandbox.demo.subscriptions == []


async def test_through_a_rotation_the_sandboxs_webhooks_all_arrive(
    database: Database, account: Account, sandbox: Sandbox, door: Door
) -> None:
    """Real sender, real receiver: both addresses get each change, and one body is stored."""

    def edit(number: int) -> None:
        sandbox.demo.edit("leads", 20_000_000 + number, {"name": f"Lead {number}"})

    def all_answered() -> bool:
        return sandbox.world.hooks.pending == 0 and all(one.is_over for one in sandbox.world.hooks.log)

    await keep(account, door.url)
    for number in range(1, 6):
        edit(number)
    await rotate_secret(account, door.url, keyring=RING)
    for number in range(6, 11):
        edit(number)
    await wait_until(all_answered, describe="all webhooks were sent")

    drained: Any = await drain_hooks(account, quiet_seconds=0.05)

    codes = [code for one in sandbox.world.hooks.log for code in one.codes]
    assert codes == [200] * 15
    assert len(await hooks_of(database)) == 10
    assert (drained.marks, drained.read, drained.requests) == (10, 10, 1)


@ON_SQLITE
async def test_a_webhook_that_failed_too_often_is_back_after_the_next_poll(
    database: Database, account: Account, sandbox: Sandbox, door: Door
) -> None:
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"hook_disable_after": 3})
    await keep(account, "http://127.0.0.1:9")
    for number in range(1, 6):
        sandbox.demo.edit("leads", 20_000_000 + number, {"name": "x"})
    await wait_until(lambda: sandbox.demo.subscriptions[0].disabled, describe="the webhook is disabled")

    enabled = await keep(account, "http://127.0.0.1:9")
    made = await keep(account, door.url)
    sandbox.demo.edit("leads", 20_000_009, {"name": "y"})

    async def is_stored() -> bool:
        return len(await hooks_of(database)) == 1

    await wait_until(is_stored, describe="the next change has come")
    assert (enabled.did, made.did) == (Did.ENABLED, Did.MADE)
