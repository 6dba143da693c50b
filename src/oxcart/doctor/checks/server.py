"""Is the server fit for queues? Version, eviction, memory, clients, persistence, clock, scripts, waiting."""

from __future__ import annotations

import secrets
import time

from oxcart.checks import Check, Finding, Unanswerable, failed, failed_by, ok, warning
from oxcart.connection.failures import failure_for
from oxcart.connection.providers import Provider
from oxcart.doctor.visit import CONNECT_SECONDS, Visit
from oxcart.errors import ServerRefused, Unavailable
from oxcart.language import tr
from oxcart.queue.inspect import pairs, text

GROUP = "server"

_OLDEST = (6, 2)  # BullMQ's own recommendation; below it scripts and BZPOPMIN differ
_NEARLY_FULL = 0.9
_NEARLY_TAKEN = 0.8
_SKEW_SECONDS = 1.0
_BLOCK_SECONDS = 0.25

NOEVICTION = {
    Provider.UPSTASH: "Switch eviction off for this database in the Upstash console (Configuration).",
    Provider.REDIS_CLOUD: 'Set "Data eviction policy" of the database to noeviction in the Redis Cloud console; its '
    "default is volatile-lru.",
    Provider.ELASTICACHE: "Give the cache a parameter group with maxmemory-policy noeviction; the default group has "
    "volatile-lru and cannot be changed.",
    Provider.HEROKU: "Run: heroku redis:maxmemory NAME --policy noeviction",
    Provider.AZURE: "Set maxmemory-policy to noeviction under Advanced settings of the cache.",
    Provider.RENDER: "Set the Maxmemory Policy of the Key Value instance to noeviction in the Render dashboard.",
}
SET_NOEVICTION = "Run on the server: CONFIG SET maxmemory-policy noeviction; and put it into its configuration file."


async def version(visit: Visit) -> Finding:
    info = await visit.info()
    compatible = info.get("redis_version")
    if compatible is None:
        raise Unanswerable(tr("this server does not show its version"))
    valkey = info.get("valkey_version")
    shown = (
        tr("Valkey {valkey}, speaks Redis {compatible}", valkey=valkey, compatible=compatible)
        if valkey
        else tr("Redis {compatible}", compatible=compatible)
    )
    if info.get("redis_mode") == "cluster" or info.get("cluster_enabled") == "1":
        shown += tr(", cluster mode")
    numbers = tuple(int(part) for part in compatible.split(".")[:2] if part.isdigit())
    if numbers < _OLDEST:
        return failed(
            "VERSION_OLD",
            tr("The server is Redis {compatible}; BullMQ's scripts need 6.2.", compatible=compatible),
            tr("Update the server to Redis 6.2 or Valkey 7.2, or later."),
            evidence=shown,
        )
    return ok(shown)


async def eviction(visit: Visit) -> Finding:
    policy = (await visit.info()).get("maxmemory_policy")
    cure = tr(NOEVICTION.get(visit.provider, SET_NOEVICTION))
    if not policy:
        raise Unanswerable(tr("this server does not show its policy. {cure}", cure=cure))
    if policy == "noeviction":
        return ok(tr("noeviction: a full server refuses writes, and forgets no job"))
    return failed(
        "EVICTION_ON",
        tr(
            "The server may delete keys when its memory is full (maxmemory-policy {policy}), locks and jobs among "
            "them.",
            policy=policy,
        ),
        cure,
        evidence=policy,
    )


async def memory(visit: Visit) -> Finding:
    used, most = await visit.number("used_memory"), await visit.number("maxmemory")
    if not most:
        return ok(tr("{used} used, no limit set", used=_mebibytes(used)))
    evidence = tr(
        "{used} of {most} used ({share:.0%})", used=_mebibytes(used), most=_mebibytes(most), share=used / most
    )
    if used > _NEARLY_FULL * most:
        return warning(
            "MEMORY_NEAR",
            tr("The server's memory is nearly full: {evidence}.", evidence=evidence),
            tr(
                "Remove finished jobs (oxcart clean), keep fewer of them (OXCART_KEEP_COMPLETED, OXCART_KEEP_FAILED), "
                "or add memory: at the limit no job can be added or finished."
            ),
            evidence=evidence,
        )
    return ok(evidence)


def _mebibytes(count: int) -> str:
    return tr("{size:.1f} MiB", size=count / (1 << 20))


async def clients(visit: Visit) -> Finding:
    now, most = await visit.number("connected_clients"), await visit.number("maxclients")
    evidence = tr("{now} of {most}", now=now, most=most)
    if now > _NEARLY_TAKEN * most:
        return warning(
            "CLIENTS_NEAR",
            tr("The server has {now} connections, and accepts {most}.", now=now, most=most),
            tr(
                "CLIENT LIST shows who holds them; run fewer processes, or lower other clients' pools. A worker needs "
                "5."
            ),
            evidence=evidence,
        )
    return ok(evidence)


async def persistence(visit: Visit) -> Finding:
    info = await visit.info()
    if "aof_enabled" not in info:
        raise Unanswerable(tr("this server does not show it"))
    if info["aof_enabled"] == "1":
        if info.get("aof_last_write_status", "ok") != "ok":
            return failed_by(failure_for("MISCONF", visit.target), evidence=tr("the last write of the AOF failed"))
        return ok(tr("append-only file"))
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        return failed_by(failure_for("MISCONF", visit.target), evidence=tr("the last snapshot failed"))
    try:
        reply = await visit.known_link.request("CONFIG", "GET", "save", deadline_seconds=CONNECT_SECONDS)
    except ServerRefused as error:
        raise Unanswerable(tr("this server does not show whether it takes snapshots")) from error
    if pairs(reply).get("save"):
        return ok(tr("snapshots: what happened since the last one is lost in a crash"))
    return warning(
        "NO_PERSISTENCE",
        tr("The server keeps its data in memory only."),
        tr("Switch the append-only file on (appendonly yes) if jobs must survive a restart of the server."),
        evidence=tr("neither append-only file nor snapshots"),
    )


async def clock(visit: Visit) -> Finding:
    """Half a round trip is taken off; what is left is the difference of the two clocks."""
    began = time.time()
    seconds, micros = await visit.known_link.request("TIME", deadline_seconds=CONNECT_SECONDS)
    ended = time.time()
    skew = int(seconds) + int(micros) / 1e6 - (began + ended) / 2
    margin = (ended - began) / 2
    if abs(skew) > _SKEW_SECONDS + margin:
        return warning(
            "CLOCK_SKEW",
            tr("The server's clock is {seconds:.1f} s ahead of this machine's.", seconds=skew)
            if skew > 0
            else tr("The server's clock is {seconds:.1f} s behind this machine's.", seconds=-skew),
            tr(
                "Synchronise both clocks (NTP): our worker goes by the server's clock, but producers set their times "
                "by their own, and so do logs."
            ),
            evidence=tr("{seconds:+.3f} s", seconds=skew),
        )
    return ok(tr("{milliseconds:.0f} ms apart", milliseconds=abs(skew) * 1000))


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
            tr("The server's Lua is not what BullMQ's scripts need: cmsgpack or cjson answers something else."),
            tr("Use Redis 6.2, Valkey 7.2 or later, or a provider that has both libraries."),
            evidence=str(reply)[:100],
        )
    return ok(
        tr("scripts with cmsgpack and cjson, {milliseconds:.1f} ms", milliseconds=(time.perf_counter() - began) * 1000)
    )


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
            tr("The server did not answer a BZPOPMIN whose waiting time was over."),
            tr(
                "Take proxies between worker and server out of the way; on DigitalOcean and the like, update the "
                "server."
            ),
            evidence=error.failure.summary,
        )
    finally:
        link.close()
    evidence = tr("asked for {asked:.0f} ms, waited {waited:.0f} ms", asked=_BLOCK_SECONDS * 1000, waited=waited * 1000)
    if waited < _BLOCK_SECONDS * 0.8:
        return warning(
            "BLOCK_SHORT",
            tr("The server answers a BZPOPMIN before its time: an idle worker asks far more often than it should."),
            tr("Take proxies between worker and server out of the way."),
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
