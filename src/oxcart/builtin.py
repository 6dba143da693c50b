"""Which jobs does every worker know? The platform's own names: a test of the way through, and those of the CRM."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from oxcart import clock
from oxcart.app import Oxcart
from oxcart.errors import Discard, SettingsError, Snooze
from oxcart.handlers import describe
from oxcart.job import Job

if TYPE_CHECKING:
    from oxcart.kommo.crm import ServedCrm

TEST_JOB = "test-job"

CRM_JOBS: Mapping[str, str] = {
    "crm:sync-pipelines": "run_platform_pipelines",
    "crm:sync-contacts": "run_platform_contacts",
    "kommo:sync-pipelines": "run_platform_pipelines",
    "kommo:webhook": "run_platform_hook",
    "webhook:retry": "run_platform_retry",
    "kommo:send-message": "run_send_message",
    "kommo:note": "run_note",
    "kommo:task": "run_task",
    "kommo:sync": "run_sync",
    "kommo:sweep": "run_sweep",
    "kommo:hooks": "run_hooks",
    "kommo:refresh-tokens": "run_refresh_tokens",
}
"""Job name -> function of oxcart.kommo.jobs."""


AGAIN_SECONDS = 60.0  # for a job that was claimed before it was known that it cannot be done here


class CrmSource(Protocol):
    """Where a handler gets the CRM from. `leaves_jobs`: what lacks settings here is left to another worker."""

    @property
    def leaves_jobs(self) -> bool: ...

    def why_not(self) -> str | None:
        """What lacks here, as far as it is known without opening anything."""

    async def get(self) -> ServedCrm:
        """Raises SettingsError where there is no database for it."""


def built_in_app(crm: CrmSource | None = None) -> Oxcart:
    """A new app with the built-in handlers; a program's own handler of the same name wins over these."""
    app = Oxcart()

    @app.job(TEST_JOB, timeout_seconds=30)
    async def test_job(job: Job) -> dict[str, object]:  # any JSON value
        """Prove that a job goes through: the platform and POST /canary send it."""
        return {
            "ok": True,
            "service": "worker",
            "version": version("oxcart"),
            "python": platform.python_version(),
            "jobId": job.id,
            "waitedMs": max(0, round(clock.wall_seconds() * 1000) - job.timestamp_ms),
        }

    for name, function in CRM_JOBS.items():
        spec = describe(name, _crm_handler(function, crm), attempts=3, backoff="exponential:5s")
        app.handlers.add(replace(spec, why_not=crm.why_not) if crm is not None else spec)
    return app


def _crm_handler(function: str, crm: CrmSource | None) -> Callable[[Job[Any]], Coroutine[Any, Any, Any]]:
    """The CRM's modules and their libraries are loaded by the first of its jobs, beside the loop."""

    async def handler(job: Job[Any]) -> Any:
        if crm is None:
            raise Discard(f"{job.name}: this worker runs without the CRM. `oxcart run` has it.")
        try:
            found = await crm.get()
        except SettingsError as error:
            if not crm.leaves_jobs:
                raise
            await job.log(f"{job.name} needs the CRM, which is not set up here: {error}")
            raise Snooze(AGAIN_SECONDS) from error
        jobs = await asyncio.to_thread(import_module, "oxcart.kommo.jobs")
        return await getattr(jobs, function)(found, job)

    return handler
