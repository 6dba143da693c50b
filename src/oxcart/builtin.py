"""Which jobs does every worker know? The platform's own names that need nothing but us."""

from __future__ import annotations

import platform
import time
from importlib.metadata import version

from oxcart.app import Oxcart
from oxcart.job import Job

TEST_JOB = "test-job"


def built_in_app() -> Oxcart:
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
            "waitedMs": max(0, round(time.time() * 1000) - job.timestamp_ms),
        }

    return app
