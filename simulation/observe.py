"""What did the server execute? Each request and its reply as facts: claims, ends, renewals, stalls, adds.

It is seen where it is executed, so also what no client hears of. Our scripts and BullMQ's are known by their SHA-1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, Protocol

import msgpack

from oxcart.protocol.exchange import read_reply
from oxcart.protocol.scripts import adding, carefully, ours, upstream

unpack: Callable[..., Any] = msgpack.unpackb  # type: ignore[attr-defined]


class Note(Protocol):
    def __call__(self, actor: str, what: str, **facts: Any) -> None: ...


@cache
def _names() -> dict[bytes, str]:
    """Script names by SHA-1."""
    names: dict[bytes, str] = {}
    folder = files("oxcart.protocol")
    for entry in folder.joinpath("lua").iterdir():
        if entry.name.endswith(".lua"):
            name = entry.name[:-4]
            names[ours(name).sha.encode()] = name
    for entry in folder.joinpath("upstream").iterdir():
        if entry.name.endswith(".lua"):
            name = entry.name.rpartition("-")[0]
            for script in (upstream(name), carefully(name), adding(name)):
                names[script.sha.encode()] = name
    return names


def _name(command: list[Any]) -> str:
    sha = command[1] if command[0].upper() == b"EVALSHA" else _sha(command[1])
    return _names().get(sha, "?")


@cache
def _sha(source: bytes) -> bytes:
    return hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _queue(base: Any) -> str:
    return _text(base).split(":")[1]


def observe(note: Note, actor: str, command: list[Any], reply: Any) -> None:
    """Notes what one executed command did."""
    kind = command[0].upper()
    if kind in {b"HSET", b"HDEL"} and command[1].endswith(b":meta") and not isinstance(reply, Exception):
        names = command[2::2] if kind == b"HSET" else command[2:]
        values = command[3::2] if kind == b"HSET" else [None] * len(names)
        for name_, value in zip(names, values, strict=True):
            if name_ in {b"concurrency", b"max", b"duration"}:
                note(actor, "limited", queue=_queue(command[1]), name=_text(name_), value=int(value) if value else None)
    if kind not in {b"EVALSHA", b"EVAL"}:
        return
    count = int(command[2])
    keys, args = command[3 : 3 + count], command[3 + count :]
    name = _name(command)
    if isinstance(reply, Exception):
        if not str(reply).startswith("NOSCRIPT"):
            note(actor, "refused", script=name, error=str(reply)[:80])
        return
    reader = _READERS.get(name)
    if reader is not None:
        reader(note, actor, keys, args, reply)
    else:
        note(actor, "did", script=name, queue=_queue(keys[0]), reply=_short(reply))


def _short(reply: Any) -> Any:
    return reply if isinstance(reply, int) else None


def _exchange(note: Note, actor: str, _keys: list[Any], args: list[Any], answer: Any) -> None:
    base, _, token, lock_ms, room = unpack(args[0])[:5]
    queue = _queue(base)
    reply = read_reply(answer)
    at = 0
    for run in unpack(args[1], raw=False, unicode_errors="replace"):
        claimed_by, ats, kind, b, jobs = run[0], run[1], run[5], run[7], run[9]
        for job_id, value in zip(jobs[::2], jobs[1::2], strict=True):
            status = reply.statuses[at] if reply.statuses else 0
            at += 1
            note(
                actor, "settled", queue=queue, job=_text(job_id), token=_text(claimed_by), ats=ats,
                kind="s" if kind == "d" and b == "1" else kind,
                status=status if isinstance(status, int) else _text(status)[:60],
                value=_text(value)[:60] if kind in "cf" else None,
            )  # fmt: skip
    for claims in reply.runs:
        for job_id in claims.job_ids:
            note(
                actor, "claimed", queue=queue, job=_text(job_id), token=_text(token), ats=claims.ats,
                name=_text(claims.name), lock=lock_ms, atm=int(claims.atm or 0),
            )  # fmt: skip
    if room:
        note(actor, "looked", queue=queue, left=reply.left, blocked=reply.blocked, limit=reply.limit_ms > 0)


def _renew(note: Note, actor: str, _keys: list[Any], args: list[Any], reply: Any) -> None:
    for lock, status in zip(unpack(args[2]), reply, strict=True):
        note(
            actor, "renewed", queue=_queue(args[0]), job=_text(lock[0]), token=_text(lock[1]), lock=int(args[1]),
            status=status if isinstance(status, int) else _text(status)[:60],
        )  # fmt: skip


def _stalled(note: Note, actor: str, _keys: list[Any], args: list[Any], reply: Any) -> None:
    stalled = reply[0] if len(reply) == 3 and isinstance(reply[0], list) else reply
    if stalled:
        note(actor, "stalled", queue=_queue(args[1]), jobs=[_text(job_id) for job_id in stalled])


def _add_many(note: Note, actor: str, _keys: list[Any], args: list[Any], reply: Any) -> None:
    values = unpack(args[1])
    for position, status in enumerate(reply):
        if status == 1:
            job_id, name, _, _, _, delay, priority, lifo = values[position * 8 : position * 8 + 8]
            plain = not (delay or priority or lifo)
            note(actor, "added", queue=_queue(args[0]), job=_text(job_id), name=_text(name), plain=plain)


def _add_one(note: Note, actor: str, _keys: list[Any], args: list[Any], reply: Any) -> None:
    base, job_id, _, _, parent_key = unpack(args[0])[:5]
    if isinstance(reply, list):  # ours says, too, whether the job was there
        reply = reply[0]
    if isinstance(reply, bytes):
        parent = _text(parent_key).rpartition(":")[2] if parent_key else None  # flows stay within one queue here
        note(actor, "added", queue=_queue(base), job=_text(reply), asked=_text(job_id), parent=parent)


def _move_to_active(note: Note, actor: str, _keys: list[Any], args: list[Any], reply: Any) -> None:
    _claimed_by_node(note, actor, args[0], unpack(args[2]), reply)


def _claimed_by_node(note: Note, actor: str, base: Any, options: dict[str, Any], reply: Any) -> None:
    if isinstance(reply, list) and reply[0]:
        fields = dict(zip(reply[0][::2], reply[0][1::2], strict=True))
        note(
            actor, "claimed", queue=_queue(base), job=_text(reply[1]), token=_text(options["token"]),
            ats=int(fields.get(b"ats", 0)), name=_text(fields.get(b"name", b"")), lock=int(options["lockDuration"]),
            atm=int(fields.get(b"atm", 0)),
        )  # fmt: skip


def _move_to_finished(note: Note, actor: str, _keys: list[Any], args: list[Any], reply: Any) -> None:
    options = unpack(args[7])
    note(
        actor, "settled", queue=_queue(args[6]), job=_text(args[0]), token=_text(options["token"]), ats=None,
        kind="c" if args[4] == b"completed" else "f", status=reply if isinstance(reply, int) and reply < 0 else 0,
        value=_text(args[3])[:60],
    )  # fmt: skip
    _claimed_by_node(note, actor, args[6], options, reply)


def _retry_job(note: Note, actor: str, _keys: list[Any], args: list[Any], reply: Any) -> None:
    note(
        actor, "settled", queue=_queue(args[0]), job=_text(args[3]), token=_text(args[4]), ats=None, kind="r",
        status=reply, value=None,
    )  # fmt: skip


def _move_to_delayed(note: Note, actor: str, _keys: list[Any], args: list[Any], reply: Any) -> None:
    note(
        actor, "settled", queue=_queue(args[0]), job=_text(args[2]), token=_text(args[3]), ats=None,
        kind="s" if args[5] == b"1" else "d", status=reply, value=None,
    )  # fmt: skip


def _extend_locks(note: Note, actor: str, _keys: list[Any], args: list[Any], reply: Any) -> None:
    failed = {_text(job_id) for job_id in reply}
    for token, job_id in zip(unpack(args[1]), unpack(args[2]), strict=True):
        note(
            actor, "renewed", queue=_queue(args[0]), job=_text(job_id), token=_text(token), lock=int(args[3]),
            status=-6 if _text(job_id) in failed else 0,
        )  # fmt: skip


def _removed(note: Note, actor: str, _keys: list[Any], args: list[Any], reply: Any) -> None:
    if reply == 1:
        note(actor, "removed", queue=_queue(args[2]), job=_text(args[0]), children=args[1] == b"1")


def _retried(note: Note, actor: str, keys: list[Any], args: list[Any], reply: Any) -> None:
    if isinstance(reply, int) and reply >= 0:
        note(actor, "retried", queue=_queue(keys[0]), job=_text(args[0]))


def _nothing(*_values: Any) -> None:
    """A look: it changes nothing that a promise is about."""


_READERS: dict[str, Any] = {
    "exchange": _exchange,
    "renew": _renew,
    "check_stalled": _stalled,
    "moveStalledJobsToWait": _stalled,
    "add_many": _add_many,
    "addStandardJob": _add_one,
    "addDelayedJob": _add_one,
    "addPrioritizedJob": _add_one,
    "addParentJob": _add_one,
    "moveToActive": _move_to_active,
    "moveToFinished": _move_to_finished,
    "retryJob": _retry_job,
    "moveToDelayed": _move_to_delayed,
    "extendLocks": _extend_locks,
    "removeJob": _removed,
    "reprocessJob": _retried,
    "find_added": _nothing,
    "follow_pause": _nothing,
    "count_names": _nothing,
    "getStateV2": _nothing,
    "isFinished": _nothing,
    "getCounts": _nothing,
}
