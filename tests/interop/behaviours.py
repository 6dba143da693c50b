"""What do the Oxcart handlers of these tests do? What the job's data asks for, as the handlers of driver.mjs do."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from oxcart import Job, Oxcart, RateLimited, Snooze, UnrecoverableError

JobData = dict[str, Any]


def behaving_app(*names: str) -> Oxcart:
    """An app whose handlers, one per name, obey `do` in their data. Without names: "job" and "child"."""
    app = Oxcart()
    started: set[str] = set()

    async def handle(job: Job[JobData]) -> Any:
        data = job.data or {}
        result = data.get("value", {"ran": job.id})
        first_start = job.id not in started
        started.add(job.id)
        match data.get("do", "ok"):
            case "ok":
                return result
            case "slow":
                await asyncio.sleep(data["ms"] / 1000)
                return result
            case "fail":
                for line in data.get("lines", []):
                    await job.log(line)
                if job.attempts_made < data["times"]:
                    raise RuntimeError(data.get("message", f"failure {job.attempts_made + 1}"))
                return result
            case "unrecoverable":
                raise UnrecoverableError(data.get("message", "no use in trying again"))
            case "delayed":
                if first_start:
                    raise Snooze(data["ms"] / 1000)
                return result
            case "rate-limit":
                if first_start:
                    raise RateLimited(data["ms"] / 1000)
                return result
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "progress":
                for step in data["steps"]:
                    await job.progress(step)
                for line in data.get("lines", []):
                    await job.log(line)
                return result
            case "children":
                return await job.children_values()
        raise AssertionError(f"No behaviour is called {data['do']!r}.")

    for name in names or ("job", "child"):
        app.job(name)(handle)
    return app
