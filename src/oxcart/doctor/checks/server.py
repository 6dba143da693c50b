"""Is the server fit for queues? Version, eviction, memory, clients, persistence, clock, scripts, waiting."""

from __future__ import annotations

import secrets
import time

from oxcart.checks import Check, Finding, Unanswerable, failed, failed_by, ok, warning
from oxcart.connection.failures import failure_for
from oxcart.connection.providers import Provider
from oxcart.doctor.visit import CONNECT_SECONDS, Visit
from oxcart.errors import ServerRefused, Unavailable
from oxcart.queue.inspect import pairs, text

GROUP = "server"

_OLDEST = (6, 2)  # BullMQ's own recommendation; below it scripts and BZPOPMIN differ
_NEARLY_FULL = 0.9
_NEARLY_TAKEN = 0.8
_SKEW_SECONDS = 1.0
_BLOCK_SECONDS = 0.25

_NOEVICTION = {
    Provider.UPSTASH: "Switch eviction off for this database in the Upstash console (Configuration).",
    Provider.REDIS_CLOUD: 'Set "Data eviction policy" of the database to noeviction in the Redis Cloud console; its '
    "default is volatile-lru.",
    Provider.ELASTICACHE: "Give the cache a parameter group with maxmemory-policy noeviction; the default group has "
    "volatile-lru and cannot be changed.",
    Provider.HEROKU: "Run: heroku redis:maxmemory NAME --policy noeviction",
    Provider.AZURE: "Set maxmemory-policy to noeviction under Advanced settings of the cache.",
    Provider.RENDER: "Set the Maxmemory Policy of the Key Value instance to noeviction in the Render dashboard.",
}
_SET_NOEVICTION = "Run on the server: CONFIG SET maxmemory-policy noeviction; and put it into its configuration file."


async def version(visit: Visit) -> Finding:
    info = await visit.info()
    compatible = info.get("redis_version")
    if compatible is None:
        raise Unanswerable("this server does not show its version")
    valkey = info.get("valkey_version")
    shown = f"Valkey {valkey}, speaks Redis {compatible}" if valkey else f"Redis {compatible}"
    if info.get("redis_mode") == "cluster" or info.get("cluster_enabled") == "1":
        shown += ", cluster mode"
    numbers = tuple(int(part) for part in compatible.split(".")[:2] if part.isdigit())
    if numbers < _OLDEST:
        return failed(
            "VERSION_OLD",
            f"The server is Redis {compatible}; BullMQ's scripts need 6.2.",
            "Update the server to Redis 6.2 or Valkey 7.2, or later.",
            evidence=shown,
        )
    return ok(shown)


async def eviction(visit: Visit) -> Finding:
    policy = (await visit.info()).get("maxmemory_policy")
    cure = _NOEVICTION.get(visit.provider, _SET_NOEVICTION)
    if not policy:
        raise Unanswerable(f"this server does not show its policy. {cure}")
    if policy == "noeviction":
        return ok("noeviction: a full server refuses writes, and forgets no job")
    return failed(
        "EVICTION_ON",
        f"The server may delete keys when its memory is full (maxmemory-policy {policy}), locks and jobs among them.",
        cure,
        evidence=policy,
    )


async def memory(visit: Visit) -> Finding:
    used, most = await visit.number("used_memory"), await visit.number("maxmemory")
    if not most:
        return ok(f"{_mebibytes(used)} used, no limit set")
    evidence = f"{_mebibytes(used)} of {_mebibytes(most)} used ({used / most:.0%})"
    if used > _NEARLY_FULL * most:
        return warning(
            "MEMORY_NEAR",
            f"The server's memory is nearly full: {evidence}.",
            "Remove finished jobs (oxcart clean), keep fewer of them (OXCART_KEEP_COMPLETED, OXCART_KEEP_FAILED), or "
            "add memory: at the limit no job can be added or finished.",
            evidence=evidence,
        )
    return ok(evidence)


def _mebibytes(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB"


async def clients(visit: Visit) -> Finding:
    now, most = await visit.number("connected_clients"), await visit.number("maxclients")
    evidence = f"{now} of {most}"
    if now > _NEARLY_TAKEN * most:
        return warning(
            "CLIENTS_NEAR",
            f"The server has {now} connections, and accepts {most}.",
            "CLIENT LIST shows who holds them; run fewer processes, or lower other clients' pools. A worker needs 5.",
            evidence=evidence,
        )
    return ok(evidence)


async def persistence(visit: Visit) -> Finding:
    info = await visit.info()
    if "aof_enabled" not in info:
        raise Unanswerable("this server does not show it")
    if info["aof_enabled"] == "1":
        if info.get("aof_last_write_status", "ok") != "ok":
            return failed_by(failure_for("MISCONF", visit.target), evidence="the last write of the AOF failed")
        return ok("append-only file")
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        return failed_by(failure_for("MISCONF", visit.target), evidence="the last snapshot failed")
    try:
        reply = await visit.known_link.request("CONFIG", "GET", "save", deadline_seconds=CONNECT_SECONDS)
    except ServerRefused as error:
        raise Unanswerable("this server does not show whether it takes snapshots") from error
    if pairs(reply).get("save"):
        return ok("snapshots: what happened since the last one is lost in a crash")
    return warning(
        "NO_PERSISTENCE",
        "The server keeps its data in memory only.",
        "Switch the append-only file on (appendonly yes) if jobs must survive a restart of the server.",
        evidence="neither append-only file nor snapshots",
    )


async def clock(visit: Visit) -> Finding:
    """Half a round trip is taken off; what is left is the difference of the two clocks."""
    began = time.time()
    seconds, micros = await visit.known_link.request("TIME", deadline_seconds=CONNECT_SECONDS)
    ended = time.time()
    skew = int(seconds) + int(micros) / 1e6 - (began + ended) / 2
    margin = (ended - began) / 2
    if abs(skew) > _SKEW_SECONDS + margin:
        ahead = "ahead of" if skew > 0 else "behind"
        return warning(
            "CLOCK_SKEW",
            f"The server's clock is {abs(skew):.1f} s {ahead} this machine's.",
            "Synchronise both clocks (NTP): delayed and scheduled jobs run by the worker's clock, and producers set "
            "their times by their own.",
            evidence=f"{skew:+.3f} s",
        )
    return ok(f"{abs(skew) * 1000:.0f} ms apart")


_LUA = """
local packed = cmsgpack.unpack(cmsgpack.pack({'a', 2}))
local object = cjson.decode(cjson.encode({n = 3}))
return {packed[1], packed[2], object.n, redis.call('EXISTS', KEYS[1])}
"""


async def lua(visit: Visit) -> Finding:
    key = f"{visit.settings.worker.prefix}:oxcart-doctor-{secrets.token_hex(6)}:lua"
    began = time.perf_counter()
    reply = await visit.known_link.request("EVAL", _LUA, 1, key, deadline_seconds=CONNECT_SECONDS)
    if [part if isinstance(part, int) else text(part) for part in reply] != ["a", 2, 3, 0]:
        return failed(
            "LUA_ODD",
            "The server's Lua is not what BullMQ's scripts need: cmsgpack or cjson answers something else.",
            "Use Redis 6.2, Valkey 7.2 or later, or a provider that has both libraries.",
            evidence=str(reply)[:100],
        )
    return ok(f"scripts with cmsgpack and cjson, {(time.perf_counter() - began) * 1000:.1f} ms")


async def blocking(visit: Visit) -> Finding:
    """Does BZPOPMIN wait as long as it was told, and a fraction of a second too?"""
    key = f"{visit.settings.worker.prefix}:oxcart-doctor-{secrets.token_hex(6)}:none"
    link = visit.known_server.link("doctor-blocking")
    try:
        await link.open()
        began = time.monotonic()
        await link.request("BZPOPMIN", key, _BLOCK_SECONDS, deadline_seconds=CONNECT_SECONDS)
        waited = time.monotonic() - began
    except Unavailable as error:
        if error.failure.code not in {"READ_TIMEOUT", "TCP_RESET_LATE"}:
            raise
        return failed(
            "BLOCK_BROKEN",
            "The server did not answer a BZPOPMIN whose waiting time was over.",
            "Take proxies between worker and server out of the way; on DigitalOcean and the like, update the server.",
            evidence=error.failure.summary,
        )
    finally:
        link.close()
    evidence = f"asked for {_BLOCK_SECONDS * 1000:.0f} ms, waited {waited * 1000:.0f} ms"
    if waited < _BLOCK_SECONDS * 0.8:
        return warning(
            "BLOCK_SHORT",
            "The server answers a BZPOPMIN before its time: an idle worker asks far more often than it should.",
            "Take proxies between worker and server out of the way.",
            evidence=evidence,
        )
    return ok(evidence)


CHECKS: tuple[Check[Visit], ...] = (
    Check(
        "version",
        GROUP,
        "the version is new enough",
        version,
        "BullMQ's scripts define what happens to a job, and they use what this version has.",
        needs=("ping",),
    ),
    Check(
        "eviction",
        GROUP,
        "no job can be evicted",
        eviction,
        "A job or lock that was evicted is gone without a trace: jobs are lost, or run twice.",
        needs=("ping",),
    ),
    Check(
        "memory",
        GROUP,
        "there is memory left",
        memory,
        "A full server refuses to add and to finish jobs.",
        needs=("ping",),
    ),
    Check(
        "clients",
        GROUP,
        "there are connections left",
        clients,
        "A worker that gets no connection fetches nothing.",
        needs=("ping",),
    ),
    Check(
        "persistence",
        GROUP,
        "jobs survive a restart",
        persistence,
        "Without it every waiting job is gone when the server restarts.",
        needs=("ping",),
    ),
    Check(
        "clock",
        GROUP,
        "the clocks agree",
        clock,
        "Delayed jobs start too early or too late by the difference.",
        needs=("ping",),
    ),
    Check("lua", GROUP, "scripts run", lua, "Every change of a job is a script.", needs=("permissions",)),
    Check(
        "blocking",
        GROUP,
        "waiting for jobs really waits",
        blocking,
        "An idle worker waits in BZPOPMIN; if that does not wait, each idle second costs commands.",
        needs=("permissions",),
    ),
)
