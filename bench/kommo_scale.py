"""What does a first synchronisation of a large account cost: requests, memory, time? Run: bench/kommo-scale.

The sandbox and the synchronising process are processes of their own; Redis and the limiter are real. Both the limiter
and the sandbox's limit are set out of the way: at Kommo itself a run takes as long as its requests at 5 a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from lab.server import BenchServer
from lab.tables import markdown, number

DOMAIN = "demo.kommo.com"
START_SECONDS = 120
MOST_OVERHEAD = 0.10
MOST_MIB = 150


def main() -> int:
    wanted = _arguments()
    if wanted.walk is not None:
        asyncio.run(_walk(*wanted.walk))
        return 0
    with tempfile.TemporaryDirectory(prefix="oxcart-scale-") as folder, BenchServer() as redis:
        database = wanted.database or f"sqlite:///{Path(folder) / 'crm.db'}"
        sandbox = _start_sandbox(wanted.contacts, wanted.leads)
        try:
            results = [_measure(sandbox, database, redis.url, name) for name in ("first", "again, nothing changed")]
            fewest = _fewest(sandbox)
        finally:
            sandbox["process"].terminate()
            sandbox["process"].wait()
    return _report(results, fewest, wanted)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--leads", type=int, default=50_000)
    parser.add_argument("--database", help="an empty PostgreSQL as DATABASE_URL has it; else SQLite")
    parser.add_argument("--walk", nargs=4, help=argparse.SUPPRESS)  # the process that synchronises
    return parser.parse_args()


def _start_sandbox(contacts: int, leads: int) -> dict[str, Any]:
    program = [str(Path(sys.executable).parent / "oxcart"), "kommo", "sandbox", "--port", "0", "--json"]
    sizes = ["--contacts", str(contacts), "--leads", str(leads)]
    process = subprocess.Popen([*program, *sizes], stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    _ask(f"{told['control']}scenario", {"requests_per_second": 1_000_000}, "PATCH")
    return {"process": process, "contacts": contacts, "leads": leads, **told}


def _measure(sandbox: dict[str, Any], database: str, redis_url: str, name: str) -> dict[str, Any]:
    token = next(one["token"] for one in sandbox["accounts"] if one["domain"] == DOMAIN)
    before = _requests(sandbox)
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "--walk", database, sandbox["url"], redis_url, token],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"Synchronising: it ended with {done.returncode}.\n{done.stderr[-3000:]}")
    seconds = time.perf_counter() - began
    return {**json.loads(done.stdout), "name": name, "requests": _requests(sandbox) - before, "seconds": seconds}


def _requests(sandbox: dict[str, Any]) -> int:
    answer = _ask(f"{sandbox['control']}requests?since=1e18")
    return int(answer["total"])


def _fewest(sandbox: dict[str, Any]) -> int:
    """One for each stream, and of its pages all but the first."""
    from oxcart.kommo.entities import ENTITIES
    from oxcart_sandbox.seed import Seed

    counts = Seed(1, 0, sandbox["contacts"], sandbox["leads"]).counts
    pages = (-(-counts.get(entity.name, 0) // entity.limit) for entity in ENTITIES.values())
    return sum(max(count, 1) for count in pages)


def _ask(url: str, body: Any = None, method: str = "GET") -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


async def _walk(database_url: str, sandbox_url: str, redis_url: str, token: str) -> None:
    """One run, as a worker's job does it. Prints what it read, and its own memory and CPU."""
    from oxcart.connection.server import Server
    from oxcart.connection.target import parse_redis_url
    from oxcart.kommo.account import Account
    from oxcart.kommo.client import Kommo, LongLivedToken
    from oxcart.kommo.limiter import Caller, Limiter, Pace
    from oxcart.kommo.store.connections import SealedTokens, add_connection, connection_of_domain, org_of_domain
    from oxcart.kommo.store.database_url import parse_database_url
    from oxcart.kommo.store.migrate import migrate
    from oxcart.kommo.store.opening import open_database, reach_database
    from oxcart.kommo.sync.run import sync_account
    from oxcart.secret import Secret

    target = parse_database_url(Secret(database_url))
    async with reach_database(target) as bare:
        await migrate(bare)
    server = Server(parse_redis_url(redis_url, {}))
    limiter = Limiter(server, pace=Pace(requests_per_second=1e6))
    async with open_database(target) as database, Kommo(limiter, base_url=sandbox_url) as kommo:
        client = kommo.client(DOMAIN, LongLivedToken(Secret(token)), Caller("scale"))
        async with database.writing("Connecting") as connection:
            known = await connection_of_domain(connection, DOMAIN)
            sealed = SealedTokens(token, None, None, DOMAIN, None)
            known = known or await add_connection(connection, org_of_domain(DOMAIN), sealed)
        account = Account(known, org_of_domain(DOMAIN), DOMAIN, database, client, lambda _: None)
        outcomes = await sync_account(account)
    await server.close()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "rows": sum(one.rows for one in outcomes),
                "errors": [one.error for one in outcomes if one.error is not None],
                "cpu": used.ru_utime + used.ru_stime,
                "peak_mib": _peak_mib(),
            }
        )
    )


def _peak_mib() -> float:
    """Linux's own word; getrusage would count what the parent had when it forked."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def _report(results: list[dict[str, Any]], fewest: int, wanted: argparse.Namespace) -> int:
    head = ("run", "requests", "rows", "seconds", "rows/s", "CPU s", "peak MiB", "at Kommo, 5/s")
    rows = [
        (
            one["name"],
            str(one["requests"]),
            str(one["rows"]),
            number(one["seconds"]),
            number(one["rows"] / one["seconds"]),
            number(one["cpu"]),
            number(one["peak_mib"]),
            f"{one['requests'] / 5 / 60:.1f} min",
        )
        for one in results
    ]
    first = results[0]
    overhead = first["requests"] / fewest - 1
    print(f"{wanted.contacts} contacts, {wanted.leads} leads and what hangs on them:\n")
    print(markdown(head, rows))
    print(f"\nFewest possible requests of the first run: {fewest}; {overhead:+.1%}.")
    problems = [error for one in results for error in one["errors"]]
    if overhead > MOST_OVERHEAD:
        problems.append(f"more than {MOST_OVERHEAD:.0%} above the fewest requests")
    if max(one["peak_mib"] for one in results) >= MOST_MIB:
        problems.append(f"more than {MOST_MIB} MiB of memory")
    for problem in problems:
        print(f"MISSED: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
