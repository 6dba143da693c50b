"""How current is the mirror, and what is in its way? One block for each account, one line for each entity."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from oxcart.cli.options import json_option
from oxcart.cli.output import duration, local_time, say, say_json, say_pairs, say_table, say_wrapped, utc_time
from oxcart.language import tr

if TYPE_CHECKING:
    from oxcart.kommo.crm import ServedCrm
    from oxcart.kommo.limiter import LimiterState
    from oxcart.kommo.store.connections import StoredConnection
    from oxcart.kommo.sync.status import EntityStatus


@click.command("status")
@json_option
def status(*, as_json: bool) -> None:
    """Show the connected accounts: tokens, webhooks, and of each entity how many rows, how old, what failed."""
    from oxcart.cli.session import run_async

    found = run_async(_status())
    if as_json:
        say_json(found)
        return
    if not found["connections"]:
        say_wrapped(tr("No Kommo account is connected. Connect one: oxcart kommo connect DOMAIN"))
    for one in found["connections"]:
        _say_connection(one)
    _say_limiter(found["limiter"])


async def _status() -> dict[str, Any]:
    from oxcart.cli.session import open_crm
    from oxcart.errors import Unavailable

    async with open_crm() as crm:
        connections = [await _connection(crm, stored) for stored in await crm.connections()]
        try:
            limiter = _limiter(await crm.kommo.limiter.state())
        except Unavailable as error:
            limiter = {"error": str(error)}
        return {"database": crm.database.target.shown, "connections": connections, "limiter": limiter}


async def _connection(crm: ServedCrm, stored: StoredConnection) -> dict[str, Any]:
    from oxcart.kommo.held_tokens import open_held
    from oxcart.kommo.store.account_settings import load_account_settings
    from oxcart.kommo.sync.marks import backlog
    from oxcart.kommo.sync.status import read_status
    from oxcart.kommo.token_claims import read_claims

    async with crm.database.reading("Reading the state of an account") as connection:
        settings = await load_account_settings(connection, stored.id)
        entities = await read_status(connection, stored.id)
        waiting = await backlog(connection, stored.id)
    held = open_held(crm.keyring, stored)
    ends = stored.expires_at or read_claims(held.access.secret).expires_at
    return {
        "id": stored.id,
        "domain": stored.domain,
        "account": settings.get("account_name"),
        "org": stored.org_id,
        "state": "needs_reauth" if held.is_refused else "connected",
        "reason": stored.reauth_reason if held.is_refused else None,
        "isAdmin": settings.get("is_admin"),
        "timezone": settings.get("timezone"),
        "tokenEndsAt": _iso(ends),
        "renewsItself": held.refresh is not None,
        "webhook": settings.get("webhook"),
        "waiting": {entity: found.count for entity, found in waiting.items()},
        "entities": [_entity(one) for one in entities],
    }


def _entity(one: EntityStatus) -> dict[str, Any]:
    age = None if one.cursor_at is None else round((datetime.now(UTC) - one.cursor_at).total_seconds())
    return {
        "entity": one.entity,
        "rows": one.rows,
        "deleted": one.deleted,
        "currentAt": _iso(one.cursor_at),
        "ageSeconds": age,
        "fullWalkAt": _iso(one.full_walk_at),
        "sweptAt": _iso(one.swept_at),
        "lastRunAt": _iso(one.last_run_at),
        "lastError": one.last_error,
        "rowsWritten": one.rows_written,
        "requests": one.requests,
    }


def _limiter(state: LimiterState) -> dict[str, Any]:
    return {
        "requestsPerSecond": state.requests_per_second,
        "pausedSeconds": round(state.paused_seconds),
        "blockedSeconds": round(state.blocked_seconds),
    }


def _say_connection(one: dict[str, Any]) -> None:
    state = one["state"] if one["reason"] is None else tr("must be connected again: {reason}", reason=one["reason"])
    token = "" if one["tokenEndsAt"] is None else tr("ends {moment}", moment=_shown(one["tokenEndsAt"]))
    rights = {True: tr("administrator"), False: tr("no administrator: what is not seen is not buried")}.get(
        one["isAdmin"], ""
    )
    say_pairs(
        [
            (tr("domain"), one["domain"]),
            (tr("account"), one["account"] or ""),
            (tr("state"), state),
            (tr("token"), tr("{token}, renewed in time", token=token) if token and one["renewsItself"] else token),
            (tr("rights"), rights),
            (tr("webhook"), one["webhook"] or ""),
            (tr("waiting"), ", ".join(f"{count} {entity}" for entity, count in one["waiting"].items())),
        ]
    )
    rows = [_row(entity) for entity in one["entities"]]
    say_table((tr("ENTITY"), tr("ROWS"), tr("DELETED"), tr("AGE"), tr("REQUESTS"), tr("LAST RUN"), tr("PROBLEM")), rows)
    say()


def _row(entity: dict[str, Any]) -> tuple[str, ...]:
    age = tr("never read") if entity["ageSeconds"] is None else duration(max(entity["ageSeconds"], 0) * 1000)
    counts = (str(entity["rows"]), str(entity["deleted"]), age, str(entity["requests"]))
    return (entity["entity"], *counts, _shown(entity["lastRunAt"]), entity["lastError"] or "")


def _say_limiter(limiter: dict[str, Any]) -> None:
    if limiter.get("blockedSeconds"):
        say_wrapped(
            tr(
                "Kommo has blocked this address: nothing is sent for {span}.",
                span=duration(limiter["blockedSeconds"] * 1000),
            )
        )
    elif limiter.get("pausedSeconds"):
        say_wrapped(
            tr("Requests to Kommo pause for {span}: it answered 429.", span=duration(limiter["pausedSeconds"] * 1000))
        )


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else utc_time(round(moment.timestamp() * 1000))


def _shown(iso: str | None) -> str:
    """The time here, with its zone."""
    return "" if iso is None else local_time(round(datetime.fromisoformat(iso).timestamp() * 1000))
