"""Does Kommo let us work, and is what we have of it current? The doctor's checks of every connected account."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from oxcart import clock
from oxcart.checks import UNREACHABLE, Check, Finding, NotApplicable, Unanswerable, failed, ok, warning
from oxcart.errors import InvalidInput
from oxcart.kommo import database_checks
from oxcart.kommo.database_checks import GROUP
from oxcart.kommo.failures import Blocked, Gone, KommoError, NoRights, TooManyRequests, Unauthorized, Unpaid
from oxcart.kommo.token_claims import read_claims
from oxcart.kommo.visit import CrmVisit, age_of, of_each
from oxcart.kommo.webhook_checks import webhook
from oxcart.language import tr
from oxcart.queue.schedules import OWN_QUEUE

if TYPE_CHECKING:
    from oxcart.kommo.held_tokens import HeldTokens
    from oxcart.kommo.limiter import LimiterState
    from oxcart.kommo.store.connections import StoredConnection

CLOCK_SECONDS = 60.0
STALE_SECONDS = 15 * 60.0
ENDS_SOON = timedelta(days=14)

_POLL = "kommo:sync"


async def rate(visit: CrmVisit) -> Finding:
    visit.accounts()
    state = await visit.limiter().state()
    if state.blocked_seconds:
        return failed(
            "KOMMO_BLOCKED",
            tr(
                "Kommo has blocked this address; nothing is sent for another {minutes:.0f} min.",
                minutes=state.blocked_seconds / 60,
            ),
            tr(
                "Ask Kommo's support to lift the block, and find what else calls Kommo from this address. A probe goes "
                "on by itself when the time is up."
            ),
            evidence=tr("blocked for another {seconds:.0f} s", seconds=state.blocked_seconds),
            retryable=True,
        )
    if state.paused_seconds or state.refusals_in_a_row:
        return warning(
            "KOMMO_RATE",
            tr("Kommo has had too many requests from this address or account, and requests are slowed down."),
            tr("It passes by itself. If it comes again and again, find what else uses the account's API."),
            evidence=_pace_of(state),
        )
    return ok(tr("{pace:g} requests a second at most, none refused", pace=state.requests_per_second))


def _pace_of(state: LimiterState) -> str:
    pause = tr(", none for another {seconds:.0f} s", seconds=state.paused_seconds) if state.paused_seconds else ""
    return tr(
        "{count} times 429 in a row, now {pace:g} requests a second{pause}",
        count=state.refusals_in_a_row,
        pace=state.requests_per_second,
        pause=pause,
    )


async def token(visit: CrmVisit) -> Finding:
    async def look(stored: StoredConnection) -> Finding:
        held = visit.held(stored)
        if held.is_refused:
            return _of_another_account(stored, held) or failed(
                "KOMMO_TOKEN",
                tr("Kommo refuses the tokens of {domain}; its jobs wait.", domain=stored.domain),
                _connect_again(stored.domain),
                evidence=tr('refused: "{reason}"', reason=stored.reauth_reason),
            )
        try:
            await visit.ask_account(stored)
        except KommoError as error:
            other = _of_another_account(stored, held) if isinstance(error, Unauthorized) else None
            return other or _of_error(error, stored, held)
        except InvalidInput as error:
            return failed("KOMMO_GONE", str(error), _connect_again("DOMAIN"), evidence=tr("no account's address"))
        return _of_end(stored, held)

    return await of_each(visit.accounts(), look)


def _of_another_account(stored: StoredConnection, held: HeldTokens) -> Finding | None:
    """A refused token may say itself whose it is: a JWT has the number of its account."""
    said = read_claims(held.access.secret).account_id
    if said is None or stored.account_id is None or said == stored.account_id:
        return None
    domain = stored.domain
    return failed(
        "KOMMO_TOKEN_OTHER",
        tr("The token of {domain} belongs to another account, number {other}.", domain=domain, other=said),
        tr("Copy the token from the integration of this account, then: oxcart kommo connect {domain}.", domain=domain),
        evidence=tr("this account has the number {own}", own=stored.account_id),
    )


def _connect_again(domain: str) -> str:
    return tr("Connect the account again: oxcart kommo connect {domain}.", domain=domain)


def _of_error(error: KommoError, stored: StoredConnection, held: HeldTokens) -> Finding:
    domain = stored.domain
    match error:
        case Unauthorized() if held.refresh is not None:
            return warning(
                "KOMMO_TOKEN_OLD",
                tr(
                    "The access token of {domain} has ended; the worker replaces it with its next request.",
                    domain=domain,
                ),
                tr(
                    "Nothing, while the worker runs. If this stays so, connect the account again: oxcart kommo connect "
                    "{domain}.",
                    domain=domain,
                ),
                evidence=tr("401, with a refresh token to replace it"),
            )
        case Unauthorized():
            code, summary = "KOMMO_TOKEN", tr("Kommo refuses the token: {domain}.", domain=domain)
            hint = _connect_again(domain)
        case Unpaid():
            code, summary = "KOMMO_UNPAID", tr("The account is not paid: {domain}.", domain=domain)
            hint = tr("Its owner must renew the subscription at Kommo; jobs wait meanwhile, and nothing is lost.")
        case NoRights():
            code, summary = "KOMMO_RIGHTS", tr("The token's user may not read the account: {domain}.", domain=domain)
            hint = _ask_an_administrator(domain)
        case Gone():
            code, summary = "KOMMO_GONE", tr("There is no account at this address: {domain}.", domain=domain)
            hint = tr("If it has moved, connect it under its new address: oxcart kommo connect DOMAIN.")
        case Blocked() | TooManyRequests():
            raise Unanswerable(tr("Kommo takes no request at the moment"))
        case _:
            code, summary = "KOMMO_AWAY", tr("Kommo did not answer as it should: {domain}.", domain=domain)
            hint = tr("See whether the account opens in a browser, and whether this machine may connect to port 443.")
    seen = str(error.status) if error.status else tr("no answer")
    return failed(code, summary, hint, evidence=seen, retryable=code == "KOMMO_AWAY", raw=str(error))


def _ask_an_administrator(domain: str) -> str:
    return tr("Have an administrator of the account connect it: oxcart kommo connect {domain}.", domain=domain)


def _of_end(stored: StoredConnection, held: HeldTokens) -> Finding:
    from oxcart.kommo.token_claims import read_claims

    ends = stored.expires_at or read_claims(held.access.secret).expires_at
    if held.refresh is not None:
        return ok(tr("accepted, replaced before it ends"))
    if ends is None:
        return ok(tr("accepted; nobody knows when it ends"))
    seen = tr("accepted, ends {date:%Y-%m-%d}", date=ends)
    if ends - clock.now_utc() >= ENDS_SOON:
        return ok(seen)
    return warning(
        "KOMMO_TOKEN_ENDS",
        tr(
            "The long-lived token of {domain} ends on {date:%Y-%m-%d}, and nothing can replace it but you.",
            domain=stored.domain,
            date=ends,
        ),
        tr("Make a new one in the integration's settings at Kommo, and connect the account again with it."),
        evidence=seen,
    )


async def rights(visit: CrmVisit) -> Finding:
    async def look(stored: StoredConnection) -> Finding:
        try:
            await (await visit.client(stored)).get("/users", [("limit", 1)])
        except NoRights:
            return warning(
                "KOMMO_RIGHTS",
                tr(
                    "The user who connected {domain} is no administrator: no users, no webhook, no sweeps.",
                    domain=stored.domain,
                ),
                _ask_an_administrator(stored.domain),
                evidence=tr("no administrator"),
            )
        except KommoError as error:
            raise Unanswerable(tr("Kommo did not answer this question")) from error
        return ok(tr("an administrator's"))

    return await of_each([stored for stored, _ in visit.answered()], look)


async def clock_agrees(visit: CrmVisit) -> Finding:
    """The Date has whole seconds, and was written between our question and the answer."""
    offsets = []
    for _, seen in visit.answered():
        theirs = seen.answer.server_time
        if theirs is not None:
            offsets.append(max(seen.asked_at - theirs - 1, 0.0) or min(seen.answered_at - theirs, 0.0))
    if not offsets:
        raise Unanswerable(tr("Kommo's answers have no date"))
    offset = max(offsets, key=abs)
    seconds = abs(offset)
    if seconds <= CLOCK_SECONDS:
        return ok(tr("{seconds:.0f} s apart", seconds=seconds))
    return warning(
        "KOMMO_CLOCK",
        tr("The clock of this machine is {seconds:.0f} s ahead of Kommo's.", seconds=seconds)
        if offset > 0
        else tr("The clock of this machine is {seconds:.0f} s behind Kommo's.", seconds=seconds),
        tr("Have the machine's time set by NTP; in a container it is the host's."),
        evidence=tr("{seconds:+.0f} s", seconds=offset),
    )


async def fresh(visit: CrmVisit) -> Finding:
    accounts = visit.accounts()
    polled = await _polled(visit)
    if not polled:
        return ok(tr("no schedule polls: synchronised when asked"))

    async def look(stored: StoredConnection) -> Finding:
        if stored.id not in polled and None not in polled:
            return ok(tr("no schedule polls it"))
        return await _look_at_cursors(visit, stored)

    return await of_each(accounts, look)


async def _polled(visit: CrmVisit) -> set[str | None]:
    """The connections that a schedule of ours polls; None among them stands for all."""
    import json

    from oxcart.queue.producer import Queue

    prefix = visit.settings.worker.prefix
    async with Queue(OWN_QUEUE, prefix=prefix, server=visit.known_server()) as queue:
        schedules = [schedule for schedule in await queue.schedules() if schedule.name == _POLL]
    data = [json.loads(schedule.data) if schedule.data else {} for schedule in schedules]
    return {item.get("connectionId") if isinstance(item, Mapping) else None for item in data}


async def _look_at_cursors(visit: CrmVisit, stored: StoredConnection) -> Finding:
    from sqlalchemy import select

    from oxcart.kommo.store.own_tables import crm_cursors

    async with visit.known_database().reading(tr("Reading the cursors")) as connection:
        rows = (await connection.execute(select(crm_cursors).where(crm_cursors.c.connection_id == stored.id))).all()
    runs = [(row.last_run_at, row.entity) for row in rows if row.last_run_at is not None]
    if not runs:
        raise NotApplicable(tr("nothing has been synchronised yet"))
    oldest, entity = min(runs)
    age = age_of(oldest)
    seen = tr("{entity} was read {age} ago", entity=entity, age=age)
    broken = next((row for row in rows if row.last_error), None)
    if broken is not None:
        seen += tr('; "{entity}: {error}"', entity=broken.entity, error=broken.last_error)
        summary = tr(
            "The last run of {entity} of {domain} failed; its rows are older.",
            entity=broken.entity,
            domain=stored.domain,
        )
    elif (clock.now_utc() - oldest).total_seconds() > STALE_SECONDS:
        summary = tr(
            "{entity} of {domain} was last read {age} ago, though a schedule polls it.",
            entity=entity,
            domain=stored.domain,
            age=age,
        )
    else:
        return ok(seen)
    hint = tr("See that a worker runs, and what oxcart kommo status says of the last run.")
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
        clock_agrees,
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
