"""Is it seen what keeps an account from being synchronised, and what to do? Each way is broken on the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from sqlalchemy import insert, update
from support.ports import closed_port
from support.sandbox import Sandbox
from support.server import PrivateServer

from kommo.doctor.conftest import Look
from kommo.stored import add_account, change_account
from oxcart import Queue
from oxcart.checks import State
from oxcart.kommo.checks import CHECKS
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.held_tokens import read_held
from oxcart.kommo.store.connections import mark_refused
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.own_tables import crm_cursors
from oxcart.kommo.webhook_checks import RECEIVER_SAYS
from oxcart.queue.repeats import Repeat
from oxcart_sandbox.hooks import subscribe

SECRET = "a-secret-of-the-path-a-secret"
IDS = [check.id for check in CHECKS]


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest) -> str:
    """What Kommo answers has nothing to do with the database."""
    url = request.getfixturevalue("sqlite_url")
    assert isinstance(url, str)
    return url


# ------------------------------------------------------------------------------------------------ well
async def test_an_account_that_is_well_passes_every_check(look: Look, sandbox: Sandbox, connection_id: str) -> None:
    seen = await look()

    assert [seen[check_id].finding.state for check_id in IDS] == [State.OK] * len(IDS), seen.text
    assert "demo.kommo.com" in seen["crm-database"].finding.evidence
    assert len(sandbox.world.seen) == 2, "the account and the users"


async def test_two_accounts_are_looked_at_and_the_worse_decides(
    look: Look, sandbox: Sandbox, database: Database, connection_id: str
) -> None:
    second = sandbox.world.accounts[1]
    second.unpaid = True
    known = {"base_domain": second.domain, "access_token": sandbox.world.token_of(second), "refresh_token": None}
    await add_account(database, client_secret=None, ends_in_seconds=None, **known)

    seen = await look()

    assert seen.verdict == "KOMMO_UNPAID"
    finding = seen["kommo-access"].finding
    assert finding.evidence.startswith("second.amocrm.com: 402; demo.kommo.com: accepted")


async def test_a_report_names_no_account(look: Look, sandbox: Sandbox, database: Database) -> None:
    second = sandbox.world.accounts[1]
    await add_account(database, base_domain="secretcustomer.amocrm.ru", access_token=sandbox.world.token_of(second))

    seen = await look()

    table = [line for line in seen.text.splitlines() if line.startswith("| crm-database")]
    assert table
    assert "secretcustomer" not in table[0]
    assert "| DATABASE; " in table[0]


# ------------------------------------------------------------------------------------------------ tokens
async def test_a_revoked_long_lived_token_is_the_verdict(look: Look, sandbox: Sandbox, connection_id: str) -> None:
    sandbox.world.authority.revoke(sandbox.demo)

    seen = await look()

    assert seen.verdict == "KOMMO_TOKEN"
    assert "oxcart kommo connect demo.kommo.com" in seen.action


async def test_tokens_that_are_known_as_refused_are_not_tried_again(
    look: Look, sandbox: Sandbox, database: Database, connection_id: str
) -> None:
    held = await read_held(database, Keyring(), connection_id)
    async with database.writing("Arranging") as connection:
        at = datetime.now(UTC)
        await mark_refused(
            connection, connection_id, reason="Token has been revoked", fingerprint=held.fingerprint, at=at
        )

    seen = await look()

    assert seen.verdict == "KOMMO_TOKEN"
    assert "Token has been revoked" in seen.text
    assert not sandbox.world.seen


async def test_a_refused_token_of_another_account_is_told_apart(
    look: Look, sandbox: Sandbox, database: Database, connection_id: str
) -> None:
    """The token says itself whose it is, and nobody looks at the account's number by hand."""
    sandbox.world.authority.revoke(sandbox.demo)
    await change_account(database, connection_id, account_id="4711")

    seen = await look()

    assert seen.verdict == "KOMMO_TOKEN_OTHER"
    assert "this account has the number 4711" in seen.text


async def test_an_access_token_that_the_worker_will_replace_is_a_warning(
    look: Look, sandbox: Sandbox, database: Database, connection_id: str
) -> None:
    await change_account(database, connection_id, refresh_token="refresh-0")
    sandbox.world.authority.revoke(sandbox.demo)

    seen = await look()

    assert seen["kommo-access"].finding.code == "KOMMO_TOKEN_OLD"
    assert sandbox.world.authority.exchanges == 0


async def test_a_long_lived_token_that_ends_soon_is_a_warning(
    look: Look, sandbox: Sandbox, database: Database, connection_id: str
) -> None:
    soon = sandbox.world.authority.long_lived(sandbox.demo, seconds=5 * 86_400)
    await change_account(database, connection_id, access_token=soon)

    seen = await look()

    assert seen["kommo-access"].finding.code == "KOMMO_TOKEN_ENDS"
    assert f"{datetime.now(UTC) + timedelta(days=5):%Y-%m-%d}" in seen.text
    assert soon not in seen.text


@pytest.mark.parametrize(("domain", "code"), [("gone.kommo.com", "KOMMO_GONE"), ("evil.example.com", "KOMMO_GONE")])
async def test_an_address_without_an_account_is_told(
    look: Look, database: Database, connection_id: str, domain: str, code: str
) -> None:
    await change_account(database, connection_id, base_domain=domain)

    assert (await look()).verdict == code


async def test_kommo_out_of_reach_may_pass(look: Look, connection_id: str) -> None:
    seen = await look(OXCART_KOMMO_BASE_URL=f"http://127.0.0.1:{closed_port()}")

    assert seen.verdict == "KOMMO_AWAY"
    assert seen.diagnosis.verdict is not None
    assert seen.diagnosis.verdict.retryable
    assert seen.diagnosis.exit_code == 69


# ------------------------------------------------------------------------------------------------ rights, pace, clock
async def test_a_token_without_an_administrator_s_rights_is_a_warning(
    look: Look, sandbox: Sandbox, database: Database, connection_id: str
) -> None:
    token = sandbox.world.authority.long_lived(sandbox.demo, admin=False)
    await change_account(database, connection_id, access_token=token)

    seen = await look(OXCART_PUBLIC_URL="https://worker.example.com")

    assert seen["kommo-admin"].finding.code == "KOMMO_RIGHTS"
    assert seen["kommo-hooks"].finding.state is State.SKIPPED
    assert seen.diagnosis.ok


async def test_a_block_is_the_verdict_and_nothing_is_asked(
    look: Look, sandbox: Sandbox, server: PrivateServer, connection_id: str
) -> None:
    sandbox.world.faults.plan({"kind": "blocked"})
    await look()
    asked = len(sandbox.world.seen)

    seen = await look()

    assert seen.verdict == "KOMMO_BLOCKED"
    assert len(sandbox.world.seen) == asked


async def test_a_429_is_a_warning_that_shows_the_pace(look: Look, sandbox: Sandbox, connection_id: str) -> None:
    sandbox.world.faults.plan({"kind": "429"})
    await look()

    finding = (await look())["kommo-pace"].finding

    assert (finding.code, finding.state) == ("KOMMO_RATE", State.WARNING)
    assert "1 times 429" in finding.evidence


@pytest.mark.parametrize(("seconds", "word"), [(-300, "ahead of"), (300, "behind")])
async def test_a_clock_that_is_wrong_is_a_warning(
    look: Look, sandbox: Sandbox, connection_id: str, seconds: int, word: str
) -> None:
    sandbox.world.clock.advance(seconds)

    finding = (await look())["kommo-time"].finding

    assert finding.code == "KOMMO_CLOCK"
    assert word in finding.summary


# ------------------------------------------------------------------------------------------------ webhooks
@pytest.fixture
async def receiver() -> AsyncIterator[str]:
    """Answers at the address of a webhook as the worker does; the URL before its path."""

    async def answer(request: web.Request) -> web.Response:
        if request.match_info["secret"] != SECRET:
            return web.json_response({"error": "no such webhook"}, status=404)
        return web.json_response({"status": "ok", "message": f"{RECEIVER_SAYS} to this address, by POST."})

    app = web.Application()
    app.router.add_get("/webhooks/kommo/{connection}/{secret}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def destination(public_url: str, connection_id: str, secret: str = SECRET) -> str:
    return f"{public_url}/webhooks/kommo/{connection_id}/{secret}"


async def test_a_webhook_whose_address_answers_is_well(
    look: Look, sandbox: Sandbox, connection_id: str, receiver: str
) -> None:
    subscribe(sandbox.demo, destination(receiver, connection_id), ["add_lead"], 10, 0)

    seen = await look(OXCART_PUBLIC_URL=receiver)

    assert seen["kommo-hooks"].finding.state is State.OK
    assert SECRET not in seen.text


async def test_an_account_without_our_webhook_is_a_warning(
    look: Look, sandbox: Sandbox, connection_id: str, receiver: str
) -> None:
    subscribe(sandbox.demo, f"{receiver}/webhooks/kommo/another/{SECRET}", ["add_lead"], 10, 0)

    seen = await look(OXCART_PUBLIC_URL=receiver)

    assert seen["kommo-hooks"].finding.code == "KOMMO_WEBHOOK"


async def test_a_webhook_that_kommo_disabled_is_a_warning(
    look: Look, sandbox: Sandbox, connection_id: str, receiver: str
) -> None:
    subscribe(sandbox.demo, destination(receiver, connection_id), ["add_lead"], 10, 0)
    sandbox.demo.subscriptions[0].disabled = True

    seen = await look(OXCART_PUBLIC_URL=receiver)

    assert seen["kommo-hooks"].finding.code == "KOMMO_WEBHOOK_OFF"


async def test_an_address_that_leads_elsewhere_is_a_warning_without_its_secret(
    look: Look, sandbox: Sandbox, connection_id: str, receiver: str
) -> None:
    other = "another-secret-of-the-path"
    subscribe(sandbox.demo, destination(receiver, connection_id, other), ["add_lead"], 10, 0)
    wrong = await look(OXCART_PUBLIC_URL=receiver)
    sandbox.demo.subscriptions.clear()
    nobody = f"http://127.0.0.1:{closed_port()}"
    subscribe(sandbox.demo, destination(nobody, connection_id, other), ["add_lead"], 10, 0)
    away = await look(OXCART_PUBLIC_URL=nobody)

    assert wrong["kommo-hooks"].finding.code == away["kommo-hooks"].finding.code == "KOMMO_WEBHOOK_ANSWER"
    assert "HTTP 404" in wrong["kommo-hooks"].finding.evidence
    assert other not in wrong.text + away.text


# ------------------------------------------------------------------------------------------------ the mirror
@pytest.fixture
async def polled(server: PrivateServer, queue_name: str, connection_id: str) -> None:
    async with Queue("oxcart", server.url, prefix=queue_name) as queue:
        repeat = Repeat(every_seconds=300)
        await queue.upsert_schedule("kommo-poll", repeat, name="kommo:sync", data={"connectionId": connection_id})


async def note_run(database: Database, connection_id: str, entity: str, *, minutes_ago: float) -> None:
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    async with database.writing("Arranging") as connection:
        await connection.execute(insert(crm_cursors).values(connection_id=connection_id, entity=entity, last_run_at=at))


@pytest.mark.usefixtures("polled")
async def test_a_stream_that_was_not_read_for_long_is_named(look: Look, database: Database, connection_id: str) -> None:
    await note_run(database, connection_id, "leads", minutes_ago=2)
    assert (await look())["crm-current"].finding.state is State.OK
    await note_run(database, connection_id, "contacts", minutes_ago=47)

    finding = (await look())["crm-current"].finding

    assert (finding.code, finding.state) == ("KOMMO_STALE", State.WARNING)
    assert "contacts was read 47 min ago" in finding.evidence


@pytest.mark.usefixtures("polled")
async def test_a_run_that_failed_is_named(look: Look, database: Database, connection_id: str) -> None:
    await note_run(database, connection_id, "leads", minutes_ago=2)
    async with database.writing("Arranging") as connection:
        await connection.execute(update(crm_cursors).values(last_error="Kommo has trouble of its own"))

    finding = (await look())["crm-current"].finding

    assert finding.code == "KOMMO_STALE"
    assert "leads: Kommo has trouble of its own" in finding.evidence


@pytest.mark.usefixtures("polled")
async def test_before_the_first_synchronisation_nothing_is_stale(look: Look) -> None:
    assert (await look())["crm-current"].finding.quiet
