"""Does a worker that has no database for the CRM leave its jobs to one that has, and say what it lacks?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from oxcart import Job, Oxcart
from oxcart.builtin import CRM_JOBS, TEST_JOB
from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.crm_side import CrmSide
from oxcart.errors import SettingsError
from oxcart.handlers import Handlers
from oxcart.kommo.store.database_url import database_of
from oxcart.kommo.store.migrate import migrate
from oxcart.kommo.store.opening import reach_database
from oxcart.names import names_to_claim
from oxcart.serving import with_built_ins
from oxcart.settings import load
from oxcart.telemetry.events import Event, WarningRaised
from oxcart.testing import wait_until

ON_RAILWAY = {"RAILWAY_ENVIRONMENT_NAME": "production"}


def crm_side(environ: dict[str, str], events: list[Event], *, leaves_jobs: bool = True) -> CrmSide:
    """Its Redis is not there: nothing here needs one."""
    server = Server(parse_redis_url("redis://127.0.0.1:1"), events.append)
    return CrmSide(load(environ), server, events.append, leaves_jobs=leaves_jobs, look_again_seconds=0.05)


@asynccontextmanager
async def closing(crm: CrmSide) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await crm.close()


def handlers_of(crm: CrmSide) -> Handlers:
    return with_built_ins(None, crm).handlers


async def test_without_a_database_url_on_a_platform_the_crm_s_jobs_are_left() -> None:
    handlers = handlers_of(crm_side(ON_RAILWAY, []))

    claimed = names_to_claim(handlers.available, unknown="leave")

    assert claimed is not None
    assert claimed.names == {TEST_JOB}
    assert handlers.unavailable == dict.fromkeys(CRM_JOBS, "no DATABASE_URL")


async def test_a_database_url_that_cannot_be_used_says_why() -> None:
    handlers = handlers_of(crm_side({"DATABASE_URL": "postgresql://u:hunter2@host:port/d"}, []))

    assert handlers.unavailable.keys() == CRM_JOBS.keys()
    assert "DATABASE_URL" in handlers.unavailable["crm:sync-contacts"]
    assert "hunter2" not in handlers.unavailable["crm:sync-contacts"]


async def test_a_program_s_own_handler_of_such_a_name_is_available() -> None:
    app = Oxcart()

    @app.job("crm:sync-contacts")
    async def ours(job: Job) -> None:
        pass

    handlers = with_built_ins(app, crm_side(ON_RAILWAY, [])).handlers

    assert "crm:sync-contacts" in handlers.available
    assert "crm:sync-pipelines" in handlers.unavailable


async def test_without_a_platform_our_own_file_will_do() -> None:
    handlers = handlers_of(crm_side({}, []))

    assert handlers.unavailable == {}
    assert handlers.available == {TEST_JOB, *CRM_JOBS}


async def test_missing_tables_are_known_after_the_first_look_and_until_someone_makes_them(postgres_url: str) -> None:
    """Told once, with the command that makes them."""
    events: list[Event] = []
    crm = crm_side({"DATABASE_URL": postgres_url}, events)
    handlers = handlers_of(crm)

    async with closing(crm):
        before = handlers.unavailable
        for _ in range(2):
            with pytest.raises(SettingsError):
                await crm.get()
        lacking = handlers.unavailable
        async with reach_database(database_of(load({"DATABASE_URL": postgres_url}))) as database:
            await migrate(database)
        await wait_until(lambda: not handlers.unavailable, describe="the CRM's jobs are possible again")

        assert before == {}
        assert set(lacking) == set(CRM_JOBS)
        assert "oxcart kommo migrate" in lacking["kommo:sync"]
    (told,) = [event for event in events if isinstance(event, WarningRaised)]
    assert "such jobs are left to other workers" in told.message
