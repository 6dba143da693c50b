"""What does one edition of Oxcart do on a shared queue and database? Run with the edition's source on PYTHONPATH.

    python -m support.edition worker            serves JOB_QUEUE_NAME until SIGTERM
    python -m support.edition add NUMBER        adds NUMBER jobs of each kind; prints their ids by kind
    python -m support.edition counts            prints how many jobs are in each state
    python -m support.edition schedule          makes the schedule "beat"
    python -m support.edition unschedule        removes it; prints whether it was there
    python -m support.edition connect DOMAIN    stores an account with sealed tokens "access of …", "refresh of …"
    python -m support.edition accounts          prints the tokens of all stored accounts

Only what both editions have is used. Effects go to the list `effects:<queue>`: "started <job id> <edition>".
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from redis import Redis

import oxcart
from oxcart import Job, Oxcart, Queue
from oxcart.queue.repeats import Repeat
from oxcart.serving import plan, run
from oxcart.telemetry.bus import Bus
from oxcart.telemetry.logs import configure_logging

EDITION = os.environ["EDITION"]
QUEUE = os.environ.get("JOB_QUEUE_NAME", "")
BEAT_SECONDS = 0.5

app = Oxcart()
_effects: Any = Redis.from_url(os.environ["EFFECTS_URL"], protocol=2)


def note(what: str, job: Job[Any]) -> None:
    _effects.rpush(f"effects:{job.queue_name}", f"{what} {job.id} {EDITION}")


@app.job("plain")
async def plain(job: Job) -> str:
    note("started", job)
    await asyncio.sleep(0.005)
    note("done", job)
    return job.id


@app.job("flaky")
async def flaky(job: Job) -> str:
    note("started", job)
    if _effects.incr(f"tries:{job.queue_name}:{job.id}") == 1:
        raise RuntimeError("the first attempt fails")
    note("done", job)
    return job.id


@app.job("bad")
async def bad(job: Job) -> None:
    note("started", job)
    raise RuntimeError("every attempt fails")


@app.job("page")
async def page(job: Job) -> int:
    note("started", job)
    note("done", job)
    return int(job.data["page"])


@app.job("report")
async def report(job: Job) -> int:
    note("started", job)
    values = await job.children_values()
    note("done", job)
    return sum(values.values())


@app.job("beat")
async def beat(job: Job) -> None:
    note("started", job)
    note("done", job)


def worker() -> int:
    planned = plan(os.environ)
    bus = Bus()
    log = configure_logging(level=planned.settings.log.level, format="json")
    bus.subscribe(log)
    return run(app, planned, bus, before_exit=log.close, loopback_only=True)


async def add(number: int) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = {kind: [] for kind in ("plain", "delayed", "prioritized", "flaky", "bad", "report")}
    async with Queue(QUEUE) as queue:
        added = await queue.add_many([("plain", {"n": n}) for n in range(number)])
        ids["plain"] = [job.id for job in added]
        for n in range(number):
            ids["delayed"].append((await queue.add("plain", {"n": n}, delay_seconds=0.05 * (n % 40))).id)
            ids["prioritized"].append((await queue.add("plain", {"n": n}, priority=1 + n % 3)).id)
            ids["flaky"].append((await queue.add("flaky", {"n": n}, attempts=3, backoff="fixed:100ms")).id)
            ids["bad"].append((await queue.add("bad", {"n": n}, attempts=1)).id)
            pages = [{"name": "page", "data": {"page": value}} for value in (1, 2)]
            ids["report"].append((await queue.add_flow({"name": "report", "children": pages})).id)
    return ids


async def counts() -> dict[str, int]:
    async with Queue(QUEUE) as queue:
        return await queue.counts()


async def schedule() -> str | None:
    async with Queue(QUEUE) as queue:
        return await queue.upsert_schedule("beat", Repeat(every_seconds=BEAT_SECONDS))


async def unschedule() -> bool:
    async with Queue(QUEUE) as queue:
        return await queue.remove_schedule("beat")


def _database() -> Any:
    from oxcart.kommo.store.database_url import parse_database_url
    from oxcart.secret import Secret

    return parse_database_url(Secret(os.environ["DATABASE_URL"]))


async def connect(domain: str) -> str:
    from oxcart.kommo.crypto import Keyring
    from oxcart.kommo.store.connections import SealedTokens, add_connection, org_of_domain
    from oxcart.kommo.store.opening import open_database
    from oxcart.secret import Secret
    from oxcart.settings import load

    settings = load(os.environ)
    keys = Keyring(settings.encryption_key)
    access, refresh = (keys.seal(Secret(f"{kind} of {domain}"), keys.usual_shape) for kind in ("access", "refresh"))
    tokens = SealedTokens(access, refresh, None, domain, None)
    async with open_database(_database()) as database:
        return await database.write(
            "Storing an account", lambda connection: add_connection(connection, org_of_domain(domain), tokens)
        )


async def accounts() -> dict[str, list[str]]:
    from oxcart.kommo.crypto import Keyring
    from oxcart.kommo.store.connections import list_connections
    from oxcart.kommo.store.opening import open_database
    from oxcart.settings import load

    settings = load(os.environ)
    keys = Keyring(settings.encryption_key)
    async with open_database(_database()) as database, database.reading("Reading the accounts") as connection:
        found = await list_connections(connection)
    return {
        stored.domain: [
            keys.open(sealed.reveal(), "a token").secret.reveal()
            for sealed in (stored.access_token, stored.refresh_token)
            if sealed is not None
        ]
        for stored in found
    }


def main(command: str, *arguments: str) -> int:
    wanted = Path(os.environ["EDITION_SOURCE"])
    assert Path(oxcart.__file__).is_relative_to(wanted), f"{oxcart.__file__} is not of {wanted}"
    if command == "worker":
        return worker()
    works = {"counts": counts, "schedule": schedule, "unschedule": unschedule, "accounts": accounts}
    if command == "add":
        answer: Any = asyncio.run(add(int(arguments[0])))
    elif command == "connect":
        answer = asyncio.run(connect(arguments[0]))
    else:
        answer = asyncio.run(works[command]())
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
