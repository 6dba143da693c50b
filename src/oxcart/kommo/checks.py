"""Does Kommo let us work, and is what we have of it current? The doctor's checks of every connected account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from oxcart.checks import UNREACHABLE, Check, Finding, NotApplicable, Unanswerable, failed, ok, warning
from oxcart.errors import InvalidInput
from oxcart.kommo import database_checks
from oxcart.kommo.database_checks import GROUP
from oxcart.kommo.failures import (
    Blocked,
    Gone,
    KommoError,
    NoRights,
    Refused,
    TooManyRequests,
    Unauthorized,
    Unpaid,
)
from oxcart.kommo.visit import CrmVisit, age_of, of_each

if TYPE_CHECKING:
    from oxcart.kommo.held_tokens import HeldTokens
    from oxcart.kommo.store.connections import StoredConnection

CLOCK_SECONDS = 60.0
STALE_SECONDS = 15 * 60.0
ENDS_SOON = timedelta(days=14)
RECEIVER_SAYS = "Kommo sends its webhooks"
"""The beginning of what GET answers at a webhook's address; http/webhooks.py says it."""

_OWN_QUEUE = "oxcart"
_POLL = "kommo:sync"
_ANSWER_BYTES = 4096
_CONNECT_AGAIN = "Connect the account again: oxcart kommo connect {domain}."


async def rate(visit: CrmVisit) -> Finding:
    visit.accounts()
    state = await visit.limiter().state()
    if state.blocked_seconds:
        return failed(
            "KOMMO_BLOCKED",
            f"Kommo has blocked this address; nothing is sent for another {state.blocked_seconds / 60:.0f} min.",
            "Ask Kommo's support to lift the block, and find what else calls Kommo from this address. A probe goes on "
            "by itself when the time is up.",
            evidence=f"blocked for another {state.blocked_seconds:.0f} s",
            retryable=True,
        )
    if state.paused_seconds or state.refusals_in_a_row:
        evidence = f"{state.refusals_in_a_row} times 429 in a row, now {state.requests_per_second:g} requests a second"
        evidence += f", none for another {state.paused_seconds:.0f} s" if state.paused_seconds else ""
        return warning(
            "KOMMO_RATE",
            "Kommo has had too many requests from this address or account, and requests are slowed down.",
            "It passes by itself. If it comes again and again, find what else uses the account's API.",
            evidence=evidence,
        )
    return ok(f"{state.requests_per_second:g} requests a second at most, none refused")


async def token(visit: CrmVisit) -> Finding:
    async def look(stored: StoredConnection) -> Finding:
        held = visit.held(stored)
        if held.is_refused:
            return failed(
                "KOMMO_TOKEN",
                f"Kommo refuses the tokens of {stored.domain} ({stored.reauth_reason}); its jobs wait.",
                _CONNECT_AGAIN.format(domain=stored.domain),
                evidence=f"refused: {stored.reauth_reason}",
            )
        try:
            await visit.ask_account(stored)
        except KommoError as error:
            return _of_error(error, stored, held)
        except InvalidInput as error:
            return failed("KOMMO_GONE", str(error), _CONNECT_AGAIN.format(domain="DOMAIN"), evidence=str(error))
        return _of_end(stored, held)

    return await of_each(visit.accounts(), look)


def _of_error(error: KommoError, stored: StoredConnection, held: HeldTokens) -> Finding:
    match error:
        case Unauthorized() if held.refresh is not None:
            return warning(
                "KOMMO_TOKEN_OLD",
                f"The access token of {stored.domain} has ended; the worker replaces it with its next request.",
                f"Nothing, while the worker runs. If this stays so: {_CONNECT_AGAIN.format(domain=stored.domain)}",
                evidence="401, with a refresh token to replace it",
            )
        case Unauthorized():
            code, happened, hint = "KOMMO_TOKEN", "Kommo refuses the token", _CONNECT_AGAIN
        case Unpaid():
            code, happened = "KOMMO_UNPAID", "The account is not paid"
            hint = "Its owner must renew the subscription at Kommo; jobs wait meanwhile, and nothing is lost."
        case NoRights():
            code, happened = "KOMMO_RIGHTS", "The token's user may not read the account"
            hint = "Have an administrator of the account connect it: oxcart kommo connect {domain}."
        case Gone():
            code, happened = "KOMMO_GONE", "There is no account at this address"
            hint = "If it has moved, connect it under its new address: oxcart kommo connect DOMAIN."
        case Blocked() | TooManyRequests():
            raise Unanswerable("Kommo takes no request at the moment")
        case _:
            code, happened = "KOMMO_AWAY", "Kommo did not answer as it should"
            hint = "See whether the account opens in a browser, and whether this machine may connect to port 443."
    return failed(
        code,
        f"{happened}: {stored.domain}.",
        hint.format(domain=stored.domain),
        evidence=str(error.status) if error.status else "no answer",
        retryable=code == "KOMMO_AWAY",
        raw=str(error),
    )


def _of_end(stored: StoredConnection, held: HeldTokens) -> Finding:
    from oxcart.kommo.token_claims import read_claims

    ends = stored.expires_at or read_claims(held.access.secret).expires_at
    if held.refresh is not None:
        return ok("accepted, replaced before it ends")
    if ends is None:
        return ok("accepted; nobody knows when it ends")
    if ends - datetime.now(UTC) < ENDS_SOON:
        return warning(
            "KOMMO_TOKEN_ENDS",
            f"The long-lived token of {stored.domain} ends on {ends:%Y-%m-%d}, and nothing can replace it but you.",
            "Make a new one in the integration's settings at Kommo, and connect the account again with it.",
            evidence=f"accepted, ends {ends:%Y-%m-%d}",
        )
    return ok(f"accepted, ends {ends:%Y-%m-%d}")


async def rights(visit: CrmVisit) -> Finding:
    async def look(stored: StoredConnection) -> Finding:
        try:
            await (await visit.client(stored)).get("/users", [("limit", 1)])
        except NoRights:
            return warning(
                "KOMMO_RIGHTS",
                f"The user who connected {stored.domain} is no administrator: no users, no webhook, no sweeps.",
                f"Have an administrator of the account connect it: oxcart kommo connect {stored.domain}.",
                evidence="no administrator",
            )
        except KommoError as error:
            raise Unanswerable("Kommo did not answer this question") from error
        return ok("an administrator's")

    return await of_each([stored for stored, _ in visit.answered()], look)


async def clock(visit: CrmVisit) -> Finding:
    """The Date has whole seconds, and was written between our question and the answer."""
    offsets = []
    for _, seen in visit.answered():
        theirs = seen.answer.server_time
        if theirs is not None:
            offsets.append(max(seen.asked_at - theirs - 1, 0.0) or min(seen.answered_at - theirs, 0.0))
    if not offsets:
        raise Unanswerable("Kommo's answers have no date")
    offset = max(offsets, key=abs)
    if abs(offset) <= CLOCK_SECONDS:
        return ok(f"{abs(offset):.0f} s apart")
    return warning(
        "KOMMO_CLOCK",
        f"The clock of this machine is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} Kommo's.",
        "Have the machine's time set by NTP; in a container it is the host's.",
        evidence=f"{offset:+.0f} s",
    )


async def webhook(visit: CrmVisit) -> Finding:
    public_url = visit.settings.http.public_url
    answered = [stored for stored, _ in visit.answered()]
    if public_url is None:
        return ok("no public address (OXCART_PUBLIC_URL): changes arrive by polling alone")

    async def look(stored: StoredConnection) -> Finding:
        return await _look_at_webhook(visit, stored, public_url)

    return await of_each(answered, look)


@dataclass(frozen=True, slots=True)
class _Hook:
    """A webhook of ours as Kommo lists it. Its address has a secret in it, and is never shown."""

    address: str
    is_disabled: bool


async def _look_at_webhook(visit: CrmVisit, stored: StoredConnection, public_url: str) -> Finding:
    try:
        answer = await (await visit.client(stored)).get("/webhooks")
    except (NoRights, Refused, Gone) as error:
        raise Unanswerable("webhooks are not open to this token or plan; changes arrive by polling") from error
    except KommoError as error:
        raise Unanswerable("Kommo did not answer this question") from error
    ours = _ours(answer.body, public_url, stored.id)
    subscribe = f"Run oxcart kommo connect {stored.domain} again, or wait: the worker renews it once a day."
    if not ours:
        return warning(
            "KOMMO_WEBHOOK",
            f"{stored.domain} sends no webhooks to {public_url}: changes arrive by polling alone.",
            subscribe,
            evidence="not subscribed",
        )
    if all(hook.is_disabled for hook in ours):
        return warning(
            "KOMMO_WEBHOOK_OFF",
            f"Kommo has disabled the webhook of {stored.domain}, as it does after many answers that were none.",
            f"See that the worker can be reached at {public_url}. {subscribe}",
            evidence="subscribed, and disabled",
        )
    said = await _ask_ourselves(next(hook.address for hook in ours if not hook.is_disabled))
    if said is not None:
        return warning(
            "KOMMO_WEBHOOK_ANSWER",
            f"The address that {stored.domain} sends webhooks to does not answer as the worker does ({said}).",
            f"See that {public_url} leads to the worker, and that the worker has the database of these settings.",
            evidence=f"subscribed; the address: {said}",
        )
    return ok("subscribed, and the address answers; that Kommo reaches it cannot be seen from here")


def _ours(body: Any, public_url: str, connection_id: str) -> list[_Hook]:
    from oxcart.kommo.pages import rows_of

    beginning = f"{public_url}/webhooks/kommo/{connection_id}/"
    found = [(str(row.get("destination")), bool(row.get("disabled"))) for row in rows_of(body, "webhooks")]
    return [_Hook(address, is_disabled) for address, is_disabled in found if address.startswith(beginning)]


async def _ask_ourselves(address: str) -> str | None:
    """None if the worker answers there, else what did instead, without the address."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=5)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(address, allow_redirects=False) as answer,
        ):
            text = (await answer.content.read(_ANSWER_BYTES)).decode(errors="replace")
            if answer.status == 200 and RECEIVER_SAYS in text:
                return None
            return f"HTTP {answer.status}"
    except TimeoutError:
        return "no answer within 5 s"
    except (aiohttp.ClientError, OSError) as error:
        return f"{urlsplit(address).hostname}: {type(error).__name__}"


async def fresh(visit: CrmVisit) -> Finding:
    accounts = visit.accounts()
    polled = await _polled(visit)
    if not polled:
        return ok("no schedule polls: synchronised when asked")

    async def look(stored: StoredConnection) -> Finding:
        if stored.id not in polled and None not in polled:
            return ok("no schedule polls it")
        return await _look_at_cursors(visit, stored)

    return await of_each(accounts, look)


async def _polled(visit: CrmVisit) -> set[str | None]:
    """The connections that a schedule of ours polls; None among them stands for all."""
    import json

    from oxcart.queue.producer import Queue

    prefix = visit.settings.worker.prefix
    async with Queue(_OWN_QUEUE, prefix=prefix, server=visit.known_server()) as queue:
        schedules = [schedule for schedule in await queue.schedules() if schedule.name == _POLL]
    data = [json.loads(schedule.data) if schedule.data else {} for schedule in schedules]
    return {item.get("connectionId") if isinstance(item, Mapping) else None for item in data}


async def _look_at_cursors(visit: CrmVisit, stored: StoredConnection) -> Finding:
    from sqlalchemy import select

    from oxcart.kommo.store.own_tables import crm_cursors

    async with visit.known_database().reading("Reading the cursors") as connection:
        rows = (await connection.execute(select(crm_cursors).where(crm_cursors.c.connection_id == stored.id))).all()
    runs = [(row.last_run_at, row.entity) for row in rows if row.last_run_at is not None]
    if not runs:
        raise NotApplicable("nothing has been synchronised yet")
    oldest, entity = min(runs)
    errors = [f"{row.entity}: {row.last_error}" for row in rows if row.last_error]
    seen = f"{entity} was read {age_of(oldest)} ago" + (f"; {errors[0]}" if errors else "")
    if errors:
        summary = f"The last run of {errors[0].partition(':')[0]} of {stored.domain} failed; its rows are older."
    elif (datetime.now(UTC) - oldest).total_seconds() > STALE_SECONDS:
        summary = f"{entity} of {stored.domain} was last read {age_of(oldest)} ago, though a schedule polls it."
    else:
        return ok(seen)
    hint = "See that a worker runs, and what oxcart kommo status says of the last run."
    return warning("KOMMO_STALE", summary, hint, evidence=seen)


_TOKEN = ("kommo-access",)

CHECKS: tuple[Check[CrmVisit], ...] = (
    *database_checks.CHECKS,
    Check(
        "kommo-pace",
        GROUP,
        "requests to Kommo may leave",
        rate,
        "Whoever goes on after a 429 is blocked, with everything else at this address.",
        needs=("crm-database", "ping"),
    ),
    Check(
        "kommo-access",
        GROUP,
        "Kommo accepts the tokens",
        token,
        "Without a token nothing is synchronised, and nothing sent.",
        needs=("crm-key", "kommo-pace"),
        deadline_seconds=40,
        exit_code=UNREACHABLE,
    ),
    Check(
        "kommo-admin",
        GROUP,
        "an administrator connected the account",
        rights,
        "Users, webhooks and the sweep that finds deleted rows need an administrator's token.",
        needs=_TOKEN,
        deadline_seconds=30,
    ),
    Check(
        "kommo-time",
        GROUP,
        "our clock and Kommo's agree",
        clock,
        "Tokens end by Kommo's clock, and logs are compared with what its pages show.",
        needs=_TOKEN,
    ),
    Check(
        "kommo-hooks",
        GROUP,
        "Kommo tells us of changes",
        webhook,
        "Without webhooks a change arrives with the next poll, minutes later.",
        needs=_TOKEN,
        deadline_seconds=30,
    ),
    Check(
        "crm-current",
        GROUP,
        "the mirror is current",
        fresh,
        "Whoever reads the tables takes what they say for the present.",
        needs=("crm-database", "ping"),
    ),
)
