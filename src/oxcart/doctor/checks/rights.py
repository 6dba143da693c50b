"""May this user do what a worker does? Every command of ours and of BullMQ's scripts, really sent once."""

from __future__ import annotations

import secrets
from typing import Any

from redis.exceptions import ResponseError

from oxcart.checks import Check, Finding, failed_by, ok
from oxcart.connection.failures import classify
from oxcart.connection.greeting import Command
from oxcart.doctor.checks.login import GROUP
from oxcart.doctor.run import raw_text
from oxcart.doctor.visit import CONNECT_SECONDS, Visit
from oxcart.errors import ServerRefused
from oxcart.language import tr
from oxcart.queue.inspect import text

_LIFE_MS = 10_000
_UNKNOWN_SCRIPT = "0" * 40
_MAY_FAIL = frozenset({"EVALSHA", "LSET", "RENAME", "XINFO"})
"""Sent at a script or key that is not there: an answer of any kind means that they are allowed."""

_MOST_NAMES = 12


def probes(base: str) -> list[Command]:
    """Every kind of key has one of its own, so that a write which is refused makes no other command fail."""
    a_string, a_hash, a_list, a_set, scores, stream, gone = (
        f"{base}:{kind}" for kind in ("string", "hash", "list", "set", "zset", "stream", "gone")
    )
    made = (a_string, a_hash, a_list, a_set, scores, stream)
    return [
        *_of_strings(a_string, gone),
        *_of_hashes(a_hash),
        *_of_lists(a_list, gone),
        *(("SADD", a_set, "a"), ("SISMEMBER", a_set, "a"), ("SCARD", a_set), ("SMEMBERS", a_set), ("SSCAN", a_set, 0)),
        ("SREM", a_set, "b"),
        *_of_sorted_sets(scores),
        *_of_streams(stream),
        *(("EVAL", "return 1", 0), ("EVALSHA", _UNKNOWN_SCRIPT, 0), ("TIME",), ("MULTI",), ("EXEC",)),
        *(("PEXPIRE", key, _LIFE_MS) for key in made),
        ("DEL", *made),
    ]


def _of_strings(key: str, gone: str) -> list[Command]:
    return [
        ("SET", key, "1", "PX", _LIFE_MS),
        *(
            ("GET", key),
            ("MGET", key),
            ("EXISTS", key),
            ("TYPE", key),
            ("PTTL", key),
            ("INCR", key),
            ("INCRBY", key, 1),
        ),
        *(("PERSIST", gone), ("RENAME", gone, gone)),
    ]


def _of_hashes(key: str) -> list[Command]:
    return [
        *(("HSET", key, "a", "1"), ("HMSET", key, "a", "1"), ("HSETNX", key, "a", "1"), ("HINCRBY", key, "a", 1)),
        *(("HGET", key, "a"), ("HMGET", key, "a"), ("HGETALL", key), ("HKEYS", key), ("HEXISTS", key, "a")),
        *(("HLEN", key), ("HSTRLEN", key, "a"), ("HDEL", key, "b")),
    ]


def _of_lists(key: str, gone: str) -> list[Command]:
    return [
        *(("LPUSH", key, "a"), ("RPUSH", key, "a"), ("LLEN", key), ("LRANGE", key, 0, 0), ("LINDEX", key, 0)),
        *(("LPOS", key, "a"), ("LREM", key, 1, "b"), ("LTRIM", key, 0, 9), ("LSET", gone, 0, "a")),
        *(("LPOP", gone), ("RPOP", gone), ("RPOPLPUSH", gone, gone), ("LMOVE", gone, gone, "LEFT", "RIGHT")),
    ]


def _of_sorted_sets(key: str) -> list[Command]:
    return [
        *(("ZADD", key, 1, "a"), ("ZCARD", key), ("ZSCORE", key, "a"), ("ZMSCORE", key, "a"), ("ZCOUNT", key, 0, 1)),
        *(("ZRANGE", key, 0, 0), ("ZREVRANGE", key, 0, 0), ("ZRANGEBYSCORE", key, 0, 1), ("ZREVRANK", key, "a")),
        *(("ZREVRANGEBYSCORE", key, 1, 0), ("ZREM", key, "b"), ("ZREMRANGEBYRANK", key, 5, 6)),
        *(("ZREMRANGEBYSCORE", key, 5, 6), ("BZPOPMIN", key, 1), ("ZPOPMIN", key)),
    ]


def _of_streams(key: str) -> list[Command]:
    return [
        *(("XADD", key, "*", "a", "1"), ("XREAD", "COUNT", 1, "STREAMS", key, "0-0"), ("XRANGE", key, "-", "+")),
        *(("XREVRANGE", key, "+", "-"), ("XDEL", key, "1-1"), ("XTRIM", key, "MAXLEN", 1), ("XINFO", "STREAM", key)),
    ]


async def permissions(visit: Visit) -> Finding:
    base = f"{visit.settings.worker.prefix}:oxcart-doctor-{secrets.token_hex(6)}"
    commands = probes(base)
    replies = await visit.known_link.requests(commands, deadline_seconds=CONNECT_SECONDS)
    failures = {
        str(command[0]): (classify(reply, target=visit.target), reply)
        for command, reply in zip(commands, replies, strict=True)
        if isinstance(reply, ResponseError)
    }
    refused = {
        name: (failure, reply)
        for name, (failure, reply) in failures.items()
        if failure.code == "PERM" or name not in _MAY_FAIL
    }
    user = await _user(visit)
    if not refused:
        return ok(tr("user {user} may read, write, run scripts and wait", user=user))
    # A write that is refused for want of memory, by a replica: the first says why.
    name, (failure, first) = next(iter(refused.items()))
    visit.connection_failure = failure
    names = [name for name, (each, _) in refused.items() if each.code == "PERM"]
    shown = ", ".join([*names[:_MOST_NAMES], *(["…"] if len(names) > _MOST_NAMES else [])])
    evidence = (
        tr("user {user} refused: {names}", user=user, names=shown)
        if failure.code == "PERM"
        else f"{name}: {failure.summary}"
    )
    return failed_by(failure, evidence=evidence, raw=raw_text(first, visit.target))


async def _user(visit: Visit) -> str:
    try:
        reply: Any = await visit.known_link.request("ACL", "WHOAMI", deadline_seconds=CONNECT_SECONDS)
    except ServerRefused:
        return visit.known_target.username or "default"
    return text(reply)


CHECKS: tuple[Check[Visit], ...] = (
    Check(
        "permissions",
        GROUP,
        "this user may do what a worker does",
        permissions,
        "A worker that may not write can claim no job and finish none.",
        needs=("ping", "settings", "role"),
    ),
)
