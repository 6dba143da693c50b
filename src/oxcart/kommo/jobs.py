"""What do the CRM's jobs do? One function for each name, from the job's data to what bull-board shows as its result.

Names and payloads are the platform's own; builtin.py says which function serves which name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from oxcart import clock
from oxcart.errors import Discard, InvalidInput
from oxcart.job import Job
from oxcart.kommo.account import Account
from oxcart.kommo.crm import ServedCrm
from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.platform_status import telling_the_platform
from oxcart.kommo.schedules import remove_schedules, wake_for_hooks
from oxcart.kommo.store.connections import KOMMO, StoredConnection
from oxcart.kommo.sync.marks import AGAIN_SECONDS
from oxcart.kommo.sync.progress import Progress
from oxcart.kommo.sync.run import Outcome, sync_account
from oxcart.kommo.upkeep import look_after
from oxcart.kommo.ways import is_scheduled, patiently
from oxcart.kommo.webhooks.drain import Drained, drain_hooks
from oxcart.kommo.webhooks.platform_hooks import Handled, handle_platform_hook, retry_platform_event
from oxcart.queue.producer import Queue
from oxcart.queue.schedules import OWN_QUEUE

if TYPE_CHECKING:
    from oxcart.kommo.push.drafts import NewNote, NewTask

Result = TypeVar("Result")


async def run_sync(crm: ServedCrm, job: Job[Any]) -> dict[str, Any]:
    """`kommo:sync` {connectionId | domain, entities?: […], full?: bool}: what hooks have told, then every stream."""
    stored = await _found(crm, job)
    names = _names(job.data)

    async def work() -> dict[str, Any]:
        account = crm.account(stored)
        if names is None:
            await _drained(crm, account, quiet_seconds=0)
        return summed_up(await _synced(account, job, names, full=_flag(job.data, "full")))

    return await patiently(job, work)


async def run_sweep(crm: ServedCrm, job: Job[Any]) -> dict[str, Any]:
    """`kommo:sweep` {connectionId | domain, entities?: […]}: find what vanished without a word, forget what is old."""
    from oxcart.kommo.retention import forget_old
    from oxcart.kommo.store.retelling import retell
    from oxcart.kommo.sync.sweep import sweep_account

    stored = await _found(crm, job)
    names = _names(job.data)

    async def work() -> dict[str, Any]:
        swept = await sweep_account(crm.account(stored), names, on_progress=_reporter(job))
        await retell(crm.database)  # rows of an earlier version, where somebody has migrated by hand
        settings = crm.settings
        await forget_old(
            crm.database,
            hook_days=settings.kommo_keep_hooks_days,
            tombstone_days=settings.kommo_keep_deleted_days,
            now=clock.now_utc(),
        )
        return {"entities": [one.as_json() for one in swept]}

    return await patiently(job, work)


async def run_hooks(crm: ServedCrm, job: Job[Any]) -> dict[str, Any]:
    """`kommo:hooks` {connectionId}: read what stored webhooks say has changed."""
    stored = await _found(crm, job)

    async def work() -> dict[str, Any]:
        return (await _drained(crm, crm.account(stored))).as_json()

    return await patiently(job, work)


async def _drained(crm: ServedCrm, account: Account, **how: Any) -> Drained:
    """A row that a webhook tells of and that does not come is asked for again within a minute."""
    drained = await drain_hooks(account, **how)
    if drained.waiting:
        async with Queue(OWN_QUEUE, prefix=crm.settings.worker.prefix, server=crm.server) as queue:
            await wake_for_hooks(queue, account.connection_id, delay_seconds=AGAIN_SECONDS)
    return drained


async def run_refresh_tokens(crm: ServedCrm, job: Job[Any]) -> dict[str, Any]:  # noqa: ARG001 - it is about all accounts
    """`kommo:refresh-tokens`: every account's tokens, webhook subscription and schedules."""
    connected = [stored for stored in await crm.connections() if stored.is_connected]
    return {"accounts": [(await look_after(crm, stored)).as_json() for stored in connected]}


async def run_platform_pipelines(crm: ServedCrm, job: Job[Any]) -> dict[str, Any]:
    """`crm:sync-pipelines`, `kommo:sync-pipelines` {provider?, orgId, connectionId?, baseDomain?}."""
    return await _platform_sync(crm, job, "pipelines")


async def run_platform_contacts(crm: ServedCrm, job: Job[Any]) -> dict[str, Any]:
    """`crm:sync-contacts`, as above."""
    return await _platform_sync(crm, job, "contacts")


async def run_platform_hook(crm: ServedCrm, job: Job[Any]) -> dict[str, Any]:
    """`kommo:webhook` {orgId, provider, payload, signature?, rawBody?}."""
    secret = crm.settings.kommo_webhook_secret
    return await _handled(crm, await handle_platform_hook(crm, _object(job), job_id=_key(job), webhook_secret=secret))


async def run_platform_retry(crm: ServedCrm, job: Job[Any]) -> dict[str, Any]:
    """`webhook:retry` {eventId, retryCount}."""
    return await _handled(crm, await retry_platform_event(crm, _object(job)))


async def run_send_message(crm: ServedCrm, job: Job[Any]) -> dict[str, Any]:
    """`kommo:send-message` {orgId, dealId, channel, message}."""
    from oxcart.kommo.push.messages import send_message

    return await send_message(crm, _object(job), key=_key(job))


async def run_note(crm: ServedCrm, job: Job[Any]) -> dict[str, Any]:
    """`kommo:note` {connectionId | domain, entityType, entityId, text}: a note on a lead, contact or company, once."""
    from oxcart.kommo.push.drafts import NewNote

    data = _object(job)
    return await _pushed(
        crm, job, NewNote(data.get("entityType", "leads"), _whole(data, "entityId"), data.get("text", ""))
    )


async def run_task(crm: ServedCrm, job: Job[Any]) -> dict[str, Any]:
    """`kommo:task`, the same with completeTill (epoch seconds), taskTypeId?, responsibleUserId?."""
    from oxcart.kommo.push.drafts import NewTask

    data = _object(job)
    due = datetime.fromtimestamp(_whole(data, "completeTill"), UTC)
    to = (data.get("entityType", "leads"), _whole(data, "entityId"), data.get("text", ""))
    responsible = _whole(data, "responsibleUserId") if data.get("responsibleUserId") is not None else None
    task = NewTask(*to, due, _whole(data, "taskTypeId", otherwise=1), responsible)
    return await _pushed(crm, job, task)


async def _pushed(crm: ServedCrm, job: Job[Any], new: NewNote | NewTask) -> dict[str, Any]:
    from oxcart.kommo.push.pushing import push_as_job

    account = crm.account(await _found(crm, job), interactive=True)
    return {"ok": True, "id": await push_as_job(account, _key(job), new)}


async def _handled(crm: ServedCrm, handled: Handled) -> dict[str, Any]:
    if handled.connection_id is not None:
        async with Queue(OWN_QUEUE, prefix=crm.settings.worker.prefix, server=crm.server) as queue:
            await wake_for_hooks(queue, handled.connection_id)
    return handled.as_json()


async def _platform_sync(crm: ServedCrm, job: Job[Any], entity: str) -> dict[str, Any]:
    data = _object(job)
    provider = data.get("provider", KOMMO)
    if not isinstance(provider, str) or provider.strip().lower() != KOMMO:
        raise Discard(f'{job.name}: the provider is {str(provider)[:40]!r}, and only "{KOMMO}" is served here.')
    stored = await _found(crm, job)

    async def work() -> dict[str, Any]:
        async with telling_the_platform(crm.database, stored, entity) as told:
            outcomes = await _synced(crm.account(stored, interactive=True), job, [entity], full=False)
            told.failed = next((one.error for one in outcomes if one.error), None)
        return summed_up(outcomes)

    return await patiently(job, work)


async def _synced(account: Account, job: Job[Any], names: list[str] | None, *, full: bool) -> list[Outcome]:
    return await sync_account(account, names, full=full, on_progress=_reporter(job))


def _reporter(job: Job[Any]) -> Callable[[Progress], Awaitable[None]]:
    async def report(progress: Progress) -> None:
        await job.progress(progress.as_json())

    return report


def summed_up(outcomes: list[Outcome]) -> dict[str, Any]:
    """What a sync did, as its job returns it."""
    return {
        "rows": sum(one.rows for one in outcomes),
        "changed": sum(one.changed for one in outcomes),
        "requests": sum(one.requests for one in outcomes),
        "errors": {one.entity: one.error for one in outcomes if one.error},
        "entities": [one.as_json() for one in outcomes],
    }


# ---------------------------------------------------------------------------------------------- what the data says
async def _found(crm: ServedCrm, job: Job[Any]) -> StoredConnection:
    """Ours say connectionId or domain, the platform's connectionId or baseDomain, with the organisation."""
    data = _object(job)
    try:
        return await crm.find(
            connection_id=_text(job, data, "connectionId"),
            domain=_text(job, data, "domain") or _text(job, data, "baseDomain"),
            org_id=_text(job, data, "orgId"),
        )
    except InvalidInput as error:
        if is_scheduled(job) and isinstance(data.get("connectionId"), str):
            async with Queue(OWN_QUEUE, prefix=crm.settings.worker.prefix, server=crm.server) as queue:
                await remove_schedules(queue, data["connectionId"])  # of an account that somebody else has removed
        raise Discard(f"{job.name}: {error}") from error


def _object(job: Job[Any]) -> dict[str, Any]:
    if not isinstance(job.data, dict):
        raise Discard(f"{job.name}: its data is no JSON object. Send one, as docs/kommo.md shows.")
    return job.data


def _text(job: Job[Any], data: dict[str, Any], name: str) -> str | None:
    value = data.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Discard(f"{job.name}: {name} is no text. Send it in quotes.")
    return value


def _whole(data: dict[str, Any], name: str, *, otherwise: int | None = None) -> int:
    """Raises Discard for what is no number of at most 10 digits."""
    value = data.get(name, otherwise)
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**10:
        raise Discard(f"{name} is no whole number. docs/kommo.md shows what the job's data are.")
    return value


def _flag(data: Any, name: str) -> bool:
    return data.get(name) is True


def _names(data: dict[str, Any]) -> list[str] | None:
    """Raises Discard for what is no stream."""
    given = data.get("entities")
    if given is None:
        return None
    unknown = [name for name in given if name not in ENTITIES] if isinstance(given, list) else [given]
    if unknown:
        raise Discard(f"There is no stream {str(unknown[0])[:40]!r}; there are {', '.join(ENTITIES)}.")
    return list(given)


def _key(job: Job[Any]) -> str:
    """The same for every attempt of a job, and for no other job."""
    return f"{job.queue_name}:{job.id}"
