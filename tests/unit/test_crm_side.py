"""Are the CRM's jobs claimed only where they can be done, and which of an app's handlers does that concern?"""

from __future__ import annotations

from pathlib import Path

import pytest

from oxcart import Job, Oxcart
from oxcart.builtin import CRM_JOBS
from oxcart.connection.link import Server
from oxcart.connection.target import RedisTarget
from oxcart.crm_side import CrmSide
from oxcart.errors import SettingsError
from oxcart.names import names_to_claim, why_left
from oxcart.serving import with_built_ins
from oxcart.settings import load
from oxcart.telemetry.events import Event, WarningRaised

RAILWAY = {"RAILWAY_ENVIRONMENT_NAME": "production"}


def side(environ: dict[str, str], events: list[Event]) -> CrmSide:
    return CrmSide(load(environ), Server(RedisTarget("localhost")), events.append, leaves_jobs=True)


def claimed(app: Oxcart) -> frozenset[str]:
    found = names_to_claim(app.handlers, load({}).worker)
    assert found is not None
    assert not found.excludes
    return found.names


def test_on_a_platform_without_a_database_the_names_of_the_crm_are_left_to_others() -> None:
    app = with_built_ins(None, side(RAILWAY, []))

    assert claimed(app) == {"test-job"}
    assert why_left("crm:sync-contacts", app.handlers, load({}).worker) == "not possible here: no DATABASE_URL"


def test_a_handler_of_the_program_under_such_a_name_needs_no_database() -> None:
    app = Oxcart()

    @app.job("kommo:webhook")
    async def webhook(job: Job) -> None: ...

    assert claimed(with_built_ins(app, side(RAILWAY, []))) == {"test-job", "kommo:webhook"}


@pytest.mark.parametrize("environ", [{}, RAILWAY | {"DATABASE_URL": "postgresql://u:p@db.example/d"}])
def test_where_a_database_may_be_every_name_is_claimed(environ: dict[str, str]) -> None:
    assert claimed(with_built_ins(None, side(environ, []))) == {"test-job", *CRM_JOBS}


async def test_what_the_first_job_finds_missing_is_told_once_and_ends_when_it_is_there(tmp_path: Path) -> None:
    """The URL names a folder that is no database file; somebody then puts it right."""
    events: list[Event] = []
    path = tmp_path / "kommo.db"
    path.write_bytes(b"no database" * 1000)
    crm = side({"DATABASE_URL": f"sqlite:///{path}"}, events)
    app, changes = with_built_ins(None, crm), []
    crm.on_lack_changed = lambda: changes.append(claimed(app))

    for _ in range(2):
        with pytest.raises(SettingsError):
            await crm.get()
    path.unlink()
    await crm.get()
    await crm.close()

    assert changes == [{"test-job"}, {"test-job", *CRM_JOBS}]
    assert sum(isinstance(event, WarningRaised) for event in events) == 1
