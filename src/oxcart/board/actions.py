"""What can an operator do? One row a verb: its question, what it asks for, what it does and says, how to undo it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from oxcart.board.core import Ask, Board
from oxcart.board.examining import start_examination
from oxcart.board.veil import restored
from oxcart.board.verbs import Done, Field, Undo, Verb, job_verb
from oxcart.errors import InvalidInput, JobNotFound, StateConflict
from oxcart.handlers import parse_duration_ms
from oxcart.language import tr
from oxcart.protocol import codec
from oxcart.queue import editing, inspect, maintenance, schedules
from oxcart.queue.adding import prepare
from oxcart.queue.channel import DEADLINE_SECONDS, Channel
from oxcart.queue.repeats import Repeat
from oxcart.queue.sending import add_job


# ------------------------------------------------------------------------------------------------ jobs
async def _retry(channel: Channel, job_id: str, ask: Ask) -> None:
    state = await inspect.state_of(channel, job_id)
    await maintenance.retry(channel, job_id, state, reset_attempts=bool(ask.get("reset")))


async def _retry_edited(channel: Channel, job_id: str, ask: Ask) -> None:
    """The data first: an attempt that begins at once reads the new ones."""
    state = await inspect.state_of(channel, job_id)
    if state != "failed":
        raise StateConflict(tr("Job {id} is {state}; only failed jobs are run again.", id=job_id, state=state))
    await editing.edit(channel, job_id, data=await _edited(channel, job_id, ask), has_data=True)
    await maintenance.retry(channel, job_id, state, reset_attempts=True)


async def _edited(channel: Channel, job_id: str, ask: Ask) -> Any:
    data = _json(ask, "data")
    if ask.unveiled:
        return data
    job = await inspect.get(channel, job_id)
    if job is None:
        raise JobNotFound(tr("Job {id} is not there any more.", id=job_id))
    return restored(data, job.data)


async def _duplicated(board: Board, ask: Ask) -> Done:
    channel, job_id = board.channel(ask.needed("queue")), ask.needed("id")
    data = await _edited(channel, job_id, ask) if ask.get("data") else None
    new_id = await editing.duplicate(channel, job_id, data=data)
    undo = Undo("remove", {"queue": channel.keys.name, "id": new_id})
    return Done(tr("Added job {id} to queue {queue}.", id=new_id, queue=channel.keys.name), undo)


async def _promote(channel: Channel, job_id: str, _: Ask) -> None:
    await maintenance.promote(channel, job_id)


async def _delay(channel: Channel, job_id: str, ask: Ask) -> None:
    await editing.edit(channel, job_id, delay_ms=_duration_ms(ask, "delay"))


async def _undo_delay(board: Board, ask: Ask) -> Undo | None:
    channel = board.channel(ask.needed("queue"))
    job = await inspect.get(channel, ask.needed("id"))
    left_ms = 0 if job is None else job.timestamp_ms + job.delay_ms - board.now_ms
    return Undo("delay", {**_place(ask), "delay": f"{max(0, left_ms)}ms"}) if job else None


async def _priority(channel: Channel, job_id: str, ask: Ask) -> None:
    await editing.edit(channel, job_id, priority=ask.number("priority", 0, 0, 2**21))


async def _undo_priority(board: Board, ask: Ask) -> Undo | None:
    job = await inspect.get(board.channel(ask.needed("queue")), ask.needed("id"))
    return None if job is None else Undo("priority", {**_place(ask), "priority": str(job.priority)})


async def _moved(board: Board, ask: Ask) -> Done:
    channel, other = board.channel(ask.needed("queue")), board.channel(ask.needed("to"))
    new_id = await editing.move(channel, other, ask.needed("id"))
    undo = Undo("move", {"queue": other.keys.name, "id": new_id, "to": channel.keys.name})
    return Done(tr("Moved job {id} to queue {queue}.", id=ask.needed("id"), queue=other.keys.name), undo)


async def _cancel(channel: Channel, job_id: str, _: Ask) -> None:
    await maintenance.cancel(channel, job_id, reason=None, retry=False)


async def _remove(channel: Channel, job_id: str, _: Ask) -> None:
    await maintenance.remove(channel, job_id, children=True)


# ------------------------------------------------------------------------------------------------ queues
async def _pause(board: Board, ask: Ask) -> Done:
    name = ask.needed("queue")
    await maintenance.pause(board.channel(name))
    return Done(tr("Queue {queue} is paused. Running jobs go on; new ones wait.", queue=name), _back("resume", name))


async def _resume(board: Board, ask: Ask) -> Done:
    name = ask.needed("queue")
    await maintenance.resume(board.channel(name))
    return Done(tr("Queue {queue} runs.", queue=name), _back("pause", name))


async def _drain(board: Board, ask: Ask) -> Done:
    channel = board.channel(ask.needed("queue"))
    before = sum((await inspect.counts(channel)).values())
    await maintenance.drain(channel, delayed=bool(ask.get("delayed")))
    removed = max(0, before - sum((await inspect.counts(channel)).values()))
    return Done(tr("Removed {count} jobs of queue {queue}.", count=removed, queue=channel.keys.name))


async def _clean(board: Board, ask: Ask) -> Done:
    channel, age_ms = board.channel(ask.needed("queue")), _duration_ms(ask, "older")
    now = board.now_ms
    ids = await maintenance.clean(channel, ask.needed("state"), now, grace_seconds=age_ms / 1000, limit=0)
    return Done(tr("Removed {count} jobs of queue {queue}.", count=len(ids), queue=channel.keys.name))


async def _limit(board: Board, ask: Ask) -> Done:
    channel = board.channel(ask.needed("queue"))
    before = await _limit_defaults(board, ask)
    concurrency, most = ask.number("concurrency", 0, 0, 10**6), ask.number("max", 0, 0, 10**9)
    seconds = _duration_ms(ask, "per", "1s") / 1000
    await maintenance.set_global_concurrency(channel, concurrency or None)
    await maintenance.set_rate_limit(channel, most or None, seconds)
    undo = Undo("limit", {"queue": channel.keys.name, **before})
    return Done(tr("Set the limits of queue {queue}.", queue=channel.keys.name), undo)


async def _limit_defaults(board: Board, ask: Ask) -> Mapping[str, str]:
    limits = await maintenance.limits(board.channel(ask.needed("queue")))
    shown = {name: str(limits[name] or "") for name in ("concurrency", "max")}
    return {**shown, "per": f"{limits['duration']}ms" if limits["duration"] else "1s"}


async def _add(board: Board, ask: Ask) -> Done:
    channel = board.channel(ask.needed("queue"))
    delay_ms = _duration_ms(ask, "delay", "0s")
    options: dict[str, Any] = {"delay_seconds": delay_ms / 1000} if delay_ms else {}
    options |= {"priority": priority} if (priority := ask.number("priority", 0, 0, 2**21)) else {}
    options |= {"attempts": attempts} if (attempts := ask.number("attempts", 0, 0, 10_000)) else {}
    job = prepare(channel.keys, ask.get("name"), _json(ask, "data"), options, board.now_ms)
    job_id = (await add_job(channel, job, DEADLINE_SECONDS)).id
    undo = Undo("remove", {"queue": channel.keys.name, "id": job_id})
    return Done(tr("Added job {id} to queue {queue}.", id=job_id, queue=channel.keys.name), undo)


# ------------------------------------------------------------------------------------------------ schedules
async def _run_now(board: Board, ask: Ask) -> Done:
    channel = board.channel(ask.needed("queue"))
    job = await schedules.job_now(channel, ask.needed("id"), board.now_ms)
    job_id = (await add_job(channel, job, DEADLINE_SECONDS)).id
    undo = Undo("remove", {"queue": channel.keys.name, "id": job_id})
    return Done(tr("Added job {id} to queue {queue}.", id=job_id, queue=channel.keys.name), undo)


async def _stored_schedule(board: Board, ask: Ask) -> schedules.Schedule:
    wanted = ask.needed("id")
    for one in await schedules.find_all(board.channel(ask.needed("queue"))):
        if one.id == wanted:
            return one
    raise JobNotFound(tr("There is no schedule {id} any more.", id=wanted))


async def _schedule_defaults(board: Board, ask: Ask) -> Mapping[str, str]:
    one = await _stored_schedule(board, ask)
    every = f"{one.every_ms}ms" if one.every_ms and not one.cron else ""
    return {"cron": one.cron or "", "every": every, "tz": one.tz or "", "data": ask.json_text(one.data)}


async def _edit_schedule(board: Board, ask: Ask) -> Done:
    """With the template's own options; what was veiled stays as it was."""
    channel, one = board.channel(ask.needed("queue")), await _stored_schedule(board, ask)
    before = await _schedule_defaults(board, ask)
    data = _json(ask, "data")
    data = data if ask.unveiled else restored(data, codec.decode(one.data))
    every_ms = _duration_ms(ask, "every") if ask.get("every") else None
    repeat = Repeat(
        cron=ask.get("cron") or None,
        every_seconds=every_ms / 1000 if every_ms else None,
        tz=ask.get("tz") or None,
        limit=one.limit,
        start_ms=one.start_ms,
        end_ms=one.end_ms,
    )
    record = inspect.pairs(await channel.command("Reading a schedule", "HGETALL", channel.keys.scheduler(one.id)))
    opts = codec.decode(record.get("opts", "{}"), "opts")
    template = schedules.Template(one.name, codec.encode(data), opts if isinstance(opts, dict) else {})
    await schedules.upsert(channel, one.id, repeat, template, board.now_ms)
    undo = Undo("edit-schedule", {**_place(ask), **before}) if ask.unveiled else None
    return Done(tr("Changed schedule {id} of queue {queue}.", id=one.id, queue=channel.keys.name), undo)


async def _remove_schedule(board: Board, ask: Ask) -> Done:
    channel, wanted = board.channel(ask.needed("queue")), ask.needed("id")
    if not await schedules.remove(channel, wanted):
        raise JobNotFound(tr("There is no schedule {id} any more.", id=wanted))
    return Done(tr("Removed schedule {id} of queue {queue}.", id=wanted, queue=channel.keys.name))


async def _examine(board: Board, _: Ask) -> Done:
    start_examination(board)
    return Done(tr("The doctor looks; this page shows what it finds."))


async def _scan(board: Board, _: Ask) -> Done:
    board.sampler.scan_again()
    return Done(tr("Looking for queues that nobody has named."))


# ------------------------------------------------------------------------------------------------ what they share
async def _data_defaults(board: Board, ask: Ask) -> Mapping[str, str]:
    job = await inspect.get(board.channel(ask.needed("queue")), ask.needed("id"))
    return {} if job is None else {"data": ask.json_text(job.fields.get("data", "{}"))}


def _place(ask: Ask) -> dict[str, str]:
    return {"queue": ask.needed("queue"), "id": ask.needed("id")}


def _back(verb: str, queue: str) -> Undo:
    return Undo(verb, {"queue": queue})


def _json(ask: Ask, name: str) -> Any:
    return codec.decode(ask.get(name) or "{}", tr("what you have written"))


def _duration_ms(ask: Ask, name: str, default: str = "") -> int:
    """Also a plain number, of seconds. Raises InvalidInput."""
    text = ask.get(name) or default
    return round(parse_duration_ms(f"{text}s" if text.replace(".", "", 1).isdecimal() else text))


_ENDED = frozenset({"failed", "completed"})
_WAITS = frozenset({"waiting", "delayed", "prioritized", "paused"})
_SAME_EVERYWHERE = {"90s, 10m, 2h, 1d", "1s, 1m, 1h", "Europe/Madrid"}  # hints that show how something is written
_RESET = Field("reset", "Give it all attempts again", "check")
_DATA = Field("data", "Data (JSON)", "json")

VERBS: Mapping[str, Verb] = {
    verb.id: verb
    for verb in (
        job_verb(
            "retry", "Retry", "Run it again?", "Job {id} of queue {queue} waits to be run again.", _retry,
            states=_ENDED, fields=(_RESET,),
        ),
        job_verb(
            "retry-edited", "Edit and retry", "Run it again with other data?",
            "Job {id} of queue {queue} waits to be run again, with the new data.", _retry_edited,
            states=frozenset({"failed"}), fields=(_DATA,), many=False, defaults=_data_defaults,
        ),
        Verb(
            "duplicate", "job", "Duplicate", "Add one more job like it?", _duplicated,
            states=_ENDED | _WAITS | {"active", "unknown"}, fields=(_DATA,), many=False, defaults=_data_defaults,
        ),
        job_verb(
            "promote", "Promote", "Run it now?", "Job {id} of queue {queue} waits for its turn now.", _promote,
            states=frozenset({"delayed"}), undo=None,
        ),
        job_verb(
            "delay", "Change delay", "When shall it run?", "Changed when job {id} of queue {queue} will run.", _delay,
            states=frozenset({"delayed"}), undo=_undo_delay,
            fields=(Field("delay", "From now on", "duration", "10m", "90s, 10m, 2h, 1d"),),
        ),
        job_verb(
            "priority", "Change priority", "Which priority?", "Changed the priority of job {id} of queue {queue}.",
            _priority, states=_WAITS, undo=_undo_priority,
            fields=(Field("priority", "Priority", "number", "0", "1 is the highest, 0 none"),),
        ),
        Verb(
            "move", "job", "Move", "Move it to another queue?", _moved, states=_WAITS | {"failed"},
            fields=(Field("to", "To queue", "queue"),), one=None,
        ),
        job_verb(
            "cancel", "Cancel", "Stop it? It ends as failed within seconds, if an Oxcart worker runs it.",
            "Asked the worker to stop job {id} of queue {queue}.", _cancel, states=frozenset({"active"}), harmful=True,
        ),
        job_verb(
            "remove", "Remove", "Remove it for good, with the children that wait below it?",
            "Removed job {id} of queue {queue}.", _remove,
            states=_WAITS | _ENDED | {"waiting-children", "unknown"}, harmful=True,
        ),
        Verb("pause", "queue", "Pause", "Pause it? Running jobs go on, and no worker begins another.", _pause),
        Verb("resume", "queue", "Resume", "Let its workers go on?", _resume),
        Verb(
            "add", "queue", "Add a job", "Which job?", _add,
            fields=(
                Field("name", "Name"),
                _DATA,
                Field("delay", "Delay", "duration", "", "90s, 10m, 2h, 1d"),
                Field("priority", "Priority", "number", "", "1 is the highest, 0 none"),
                Field("attempts", "Attempts", "number"),
            ),
        ),
        Verb(
            "limit", "queue", "Limits", "What may all its workers do together?", _limit, defaults=_limit_defaults,
            fields=(
                Field("concurrency", "Jobs at once", "number", "", "empty: no limit"),
                Field("max", "Jobs", "number", "", "empty: no limit"),
                Field("per", "per", "duration", "1s", "1s, 1m, 1h"),
            ),
        ),
        Verb(
            "drain", "queue", "Drain", "Remove every job that waits?", _drain, harmful=True,
            fields=(Field("delayed", "Delayed jobs, too", "check"),),
        ),
        Verb(
            "clean", "queue", "Clean", "Remove jobs of one state?", _clean, harmful=True,
            fields=(
                Field("state", "State", "state", "completed"),
                Field("older", "Older than", "duration", "1d", "90s, 10m, 2h, 1d"),
            ),
        ),
        Verb("run-now", "schedule", "Run now", "Add one job of it now? Its own times stay as they are.", _run_now),
        Verb(
            "edit-schedule", "schedule", "Edit", "When shall it run, and with what?", _edit_schedule, many=False,
            defaults=_schedule_defaults,
            fields=(
                Field("cron", "Cron pattern"),
                Field("every", "or every", "duration", "", "90s, 10m, 2h, 1d"),
                Field("tz", "Time zone", "text", "", "Europe/Madrid"),
                _DATA,
            ),
        ),
        Verb(
            "remove-schedule", "schedule", "Remove",
            "Remove it? One that a running worker's app declares comes back with that worker.", _remove_schedule,
            harmful=True,
        ),
        Verb("examine", "board", "Run the doctor", "Let the doctor look at this installation?", _examine),
        Verb("scan", "board", "Look for queues", "Look for queues that nobody has named?", _scan),
    )
}  # fmt: skip


def job_verbs(state: str, *, many: bool = False) -> list[Verb]:
    """What is offered for jobs of a state; with `many`, for several at once."""
    return [
        verb for verb in VERBS.values() if verb.target == "job" and state in verb.states and (verb.many or not many)
    ]


def verb_of(name: str) -> Verb:
    """Raises InvalidInput."""
    if name not in VERBS:
        raise InvalidInput(f"There is no such action; there are {', '.join(VERBS)}.")
    return VERBS[name]


async def do_one(board: Board, verb: Verb, channel: Channel, job_id: str, ask: Ask) -> None:
    """One job of several. Raises what the action raises."""
    if verb.one is not None:
        await verb.one(channel, job_id, ask)
    elif verb.id == "move":
        await editing.move(channel, board.channel(ask.needed("to")), job_id)
    else:
        raise InvalidInput(tr("This is done for one job at a time."))


def declared_texts() -> Iterator[str]:
    """The sentences of the table, for the catalogue."""
    for verb in VERBS.values():
        yield from filter(None, (verb.label, verb.question, verb.said))
        for field in verb.fields:
            yield field.label
            if field.hint and field.hint not in _SAME_EVERYWHERE:
                yield field.hint
