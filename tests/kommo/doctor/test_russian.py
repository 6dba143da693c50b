"""Does a Russian operator read Russian, whatever is wrong with Kommo or its database, and a program the same codes?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, update
from support.examined import Examined
from support.ports import closed_port
from support.russian import english_in, lines_without_russian, not_russian
from support.sandbox import Sandbox
from support.server import PrivateServer

from kommo.doctor.conftest import Look
from kommo.stored import change_account
from oxcart import Queue
from oxcart.checks import State
from oxcart.doctor.report import Lines, conclusion
from oxcart.errors import SettingsError
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.held_tokens import read_held
from oxcart.kommo.store.connections import mark_refused
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.own_tables import crm_cursors
from oxcart.language import speaking
from oxcart.queue.repeats import Repeat
from oxcart.secret import Secret
from oxcart_sandbox.hooks import subscribe

SEALED = "00" * 16 + ":" + "11" * 20 + ":" + "22" * 16

Break = Callable[[Sandbox, Database, str], Awaitable[dict[str, str]]]


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest) -> str:
    """What is told has nothing to do with the database's kind."""
    url = request.getfixturevalue("sqlite_url")
    assert isinstance(url, str)
    return url


def told(seen: Examined) -> str:
    """What a person reads; an id, a number or a name may stand in quotation marks, or alone."""
    lines = Lines(verbose=True)
    text = [line.text for result in seen.diagnosis.results for line in lines.add(result)]
    return "\n".join([*text, *(line.text for line in conclusion(seen.diagnosis))])


def assert_russian(seen: Examined) -> None:
    text = told(seen)
    assert list(not_russian(seen.as_json)) == []
    assert english_in(text) == []
    assert [line for line in lines_without_russian(text) if "oxcart explain" not in line] == []


# ------------------------------------------------------------------------------------------------ each way to break it
async def revoked(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    sandbox.world.authority.revoke(sandbox.demo)
    return {}


async def revoked_beside_a_refresh_token(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    await change_account(database, connection_id, refresh_token="refresh-0")
    return await revoked(sandbox, database, connection_id)


async def parked(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    held = await read_held(database, Keyring(), connection_id)
    async with database.writing("Arranging") as connection:
        reason, at = "the long-lived token has ended or was revoked", datetime.now(UTC)
        await mark_refused(connection, connection_id, reason=reason, fingerprint=held.fingerprint, at=at)
    return {}


async def ends_soon(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    soon = sandbox.world.authority.long_lived(sandbox.demo, seconds=5 * 86_400)
    await change_account(database, connection_id, access_token=soon)
    return {}


async def unpaid(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    sandbox.demo.unpaid = True
    return {}


async def no_administrator(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    token = sandbox.world.authority.long_lived(sandbox.demo, admin=False)
    await change_account(database, connection_id, access_token=token)
    return {"OXCART_PUBLIC_URL": "https://worker.example.com"}


async def moved(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    await change_account(database, connection_id, base_domain="gone.kommo.com")
    return {}


async def of_others(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    await change_account(database, connection_id, base_domain="evil.example.com")
    return {}


async def away(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    return {"OXCART_KOMMO_BASE_URL": f"http://127.0.0.1:{closed_port()}"}


async def fast_clock(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    sandbox.world.clock.advance(-300)
    return {}


async def slow_clock(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    sandbox.world.clock.advance(300)
    return {}


async def sealed(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    await change_account(database, connection_id, access_token=SEALED)
    return {"ENCRYPTION_KEY": "33" * 32}


async def sealed_without_a_key(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    await change_account(database, connection_id, access_token=SEALED)
    return {}


async def unsubscribed(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    return {"OXCART_PUBLIC_URL": "https://worker.example.com"}


async def disabled(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    url = f"http://127.0.0.1:{closed_port()}"
    subscribe(sandbox.demo, f"{url}/webhooks/kommo/{connection_id}/a-secret-of-the-path", ["add_lead"], 10, 0)
    sandbox.demo.subscriptions[0].disabled = True
    return {"OXCART_PUBLIC_URL": url}


async def unanswered(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    changes = await disabled(sandbox, database, connection_id)
    sandbox.demo.subscriptions[0].disabled = False
    return changes


async def no_url(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    return {"DATABASE_URL": "postgresql://u:p@127.0.0.1:5432,127.0.0.2:5432/db"}


async def no_database_on_railway(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    return {"DATABASE_URL": "", "RAILWAY_ENVIRONMENT_ID": "e", "PORT": "3001"}


async def unreachable(sandbox: Sandbox, database: Database, connection_id: str) -> dict[str, str]:
    return {"DATABASE_URL": f"postgresql://u:p@127.0.0.1:{closed_port()}/db"}


WAYS: dict[Break, str] = {
    revoked: "KOMMO_TOKEN",
    revoked_beside_a_refresh_token: "KOMMO_TOKEN_OLD",
    parked: "KOMMO_TOKEN",
    ends_soon: "KOMMO_TOKEN_ENDS",
    unpaid: "KOMMO_UNPAID",
    no_administrator: "KOMMO_RIGHTS",
    moved: "KOMMO_GONE",
    of_others: "KOMMO_GONE",
    away: "KOMMO_AWAY",
    fast_clock: "KOMMO_CLOCK",
    slow_clock: "KOMMO_CLOCK",
    sealed: "KOMMO_KEY",
    sealed_without_a_key: "KOMMO_KEY",
    unsubscribed: "KOMMO_WEBHOOK",
    disabled: "KOMMO_WEBHOOK_OFF",
    unanswered: "KOMMO_WEBHOOK_ANSWER",
    no_url: "SETTINGS_PROBLEM",
    no_database_on_railway: "SETTINGS_PROBLEM",
    unreachable: "DB_UNREACHABLE",
}


@pytest.mark.parametrize(("break_it", "code"), WAYS.items(), ids=[way.__name__ for way in WAYS])
async def test_whatever_is_wrong(
    look: Look, sandbox: Sandbox, database: Database, connection_id: str, break_it: Break, code: str
) -> None:
    changes = await break_it(sandbox, database, connection_id)

    english = await look(**changes)
    with speaking("ru"):
        russian = await look(**changes)
        assert_russian(russian)

    assert code in {result.finding.code for result in russian.diagnosis.results}
    assert codes(russian) == codes(english)


def codes(seen: Examined) -> list[tuple[str, State, str]]:
    return [(result.check.id, result.finding.state, result.finding.code) for result in seen.diagnosis.results]


async def test_an_account_that_is_well(look: Look, connection_id: str) -> None:
    with speaking("ru"):
        seen = await look()
        assert_russian(seen)
        assert "✓ Kommo принимает токены" in told(seen)

    assert seen.verdict is None


@pytest.mark.parametrize(("kind", "code"), [("429", "KOMMO_RATE"), ("blocked", "KOMMO_BLOCKED")])
async def test_a_pause_and_a_block(look: Look, sandbox: Sandbox, connection_id: str, kind: str, code: str) -> None:
    sandbox.world.faults.plan({"kind": kind})
    with speaking("ru"):
        first = await look()
        then = await look()
        assert_russian(first)
        assert_russian(then)

    assert then["kommo-pace"].finding.code == code


@pytest.mark.parametrize("error", [None, 'Kommo has trouble of its own (500), and the trace is "abc"'])
async def test_a_mirror_that_is_old(
    look: Look, database: Database, server: PrivateServer, queue_name: str, connection_id: str, error: str | None
) -> None:
    """An error of the worker's last run is quoted as it was written."""
    async with Queue("oxcart", server.url, prefix=queue_name) as queue:
        data = {"connectionId": connection_id}
        await queue.upsert_schedule("kommo-poll", Repeat(every_seconds=300), name="kommo:sync", data=data)
    async with database.writing("Arranging") as connection:
        at = datetime.now(UTC) - timedelta(minutes=47)
        await connection.execute(
            insert(crm_cursors).values(connection_id=connection_id, entity="leads", last_run_at=at)
        )
        await connection.execute(update(crm_cursors).values(last_error=error))

    with speaking("ru"):
        seen = await look()
        assert_russian(seen)

    assert seen["crm-current"].finding.code == "KOMMO_STALE"
    assert "47 мин назад" in seen["crm-current"].finding.evidence


async def test_a_file_that_is_no_database(look: Look, tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"this is no database, and long enough to be looked at" * 100)

    with speaking("ru"):
        seen = await look(DATABASE_URL=f"sqlite:///{tmp_path / 'broken.db'}")
        assert_russian(seen)

    assert seen.verdict == "DB_FILE"


@pytest.mark.parametrize(
    "url",
    [
        "geheim",
        "mysql://u:geheim@h/db",
        "postgresql+psycopg2://u:geheim@h/db",
        "sqlite://file.db",
        "sqlite:///:memory:",
        "postgresql://postgres.ref:[YOUR-PASSWORD]@h:5432/postgres",
        "postgresql://u:geheim@h:port/db",
        "postgresql://u:geheim@h/db?sslmode=on",
        "postgresql://u:geheim@h/db?sslmode=verify-ca&sslrootcert=/no/such.pem",
        "postgresql://u:geheim@h/db?sslmod=require",
        "postgresql://u:geheim@h/db?connect_timeout=soon",
        "postgresql://u:geheim@[::1/db",
    ],
)
def test_a_mistake_in_the_database_s_url(url: str) -> None:
    with speaking("ru"), pytest.raises(SettingsError) as caught:
        parse_database_url(Secret(url))

    (problem,) = caught.value.problems
    assert problem.startswith("DATABASE_URL ")
    assert english_in(problem) == []
    assert all(any("а" <= letter <= "я" for letter in part) for part in problem.split(". ") if part), problem
