"""How does a test, or a person with curl, play fate in the sandbox? JSON routes below /sandbox, counted by no limit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oxcart.errors import InvalidInput
from oxcart_sandbox.account import Account, Change
from oxcart_sandbox.faults import problem
from oxcart_sandbox.rows import Row
from oxcart_sandbox.scenario import change_scenario, find_scenario
from oxcart_sandbox.seed import FIRST_IDS, mix
from oxcart_sandbox.world import World
from oxcart_sandbox.writing import Invalid, Writes

_SHOWN_ROWS = 1000

Handler = Callable[[World, Request, Any], Any]


def control_routes(world: World) -> list[Route]:
    return [
        Route(path, _endpoint(world, handler), methods=[method])
        for method, path, handler in (
            ("GET", "/", _overview),
            ("GET", "/requests", _requests),
            ("PATCH", "/scenario", _change_scenario),
            ("POST", "/clock", _move_clock),
            ("POST", "/faults", _plan_fault),
            ("DELETE", "/faults", _forget_faults),
            ("POST", "/block", _block),
            ("DELETE", "/block", _lift_block),
            ("GET", "/hooks", _hooks),
            ("POST", "/hooks/release", _release_hooks),
            ("POST", "/accounts/{account}/move", _move_account),
            ("POST", "/accounts/{account}/paid", _set_paid),
            ("POST", "/accounts/{account}/revoke", _revoke),
            ("POST", "/accounts/{account}/code", _new_code),
            ("POST", "/accounts/{account}/token", _new_token),
            ("POST", "/accounts/{account}/message", _send_message),
            ("PUT", "/accounts/{account}/pipelines/{id:int}", _put_pipeline),
            ("DELETE", "/accounts/{account}/pipelines/{id:int}", _delete_pipeline),
            ("GET", "/accounts/{account}/{entity}", _truth),
            ("POST", "/accounts/{account}/{entity}", _add),
            ("PATCH", "/accounts/{account}/{entity}/{id:int}", _edit),
            ("DELETE", "/accounts/{account}/{entity}/{id:int}", _delete),
            ("POST", "/accounts/{account}/{entity}/{id:int}/restore", _restore),
            ("POST", "/accounts/{account}/{entity}/{id:int}/hide", _hide),
            ("POST", "/accounts/{account}/{entity}/{id:int}/show", _show),
            ("POST", "/accounts/{account}/contacts/{id:int}/merge", _merge),
        )
    ]


def _endpoint(world: World, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        body = await request.body()
        try:
            given = msgspec.json.decode(body) if body.strip() else {}
            answer = handler(world, request, given)
        except (InvalidInput, msgspec.DecodeError) as error:
            return problem(400, "Bad Request", str(error))
        except (KeyError, TypeError, ValueError) as error:
            return problem(400, "Bad Request", f"The body lacks something, or has it in another form: {error}")
        except Invalid as invalid:
            return problem(400, "Bad Request", invalid.detail, **{"validation-errors": invalid.rows})
        return Response(msgspec.json.encode(answer), media_type="application/json")

    return endpoint


# ------------------------------------------------------------------------------------------------ the whole sandbox
def _overview(world: World, _request: Request, _given: Any) -> Row:
    """With the tokens: they open nothing but this sandbox."""
    accounts = [
        {
            "id": one.id,
            "domain": one.domain,
            "paid": not one.unpaid,
            "token": world.token_of(one),
            "webhooks": [asdict(hook) | {"invalid": len(hook.invalid)} for hook in one.subscriptions],
        }
        for one in world.accounts
    ]
    return {
        "accounts": accounts,
        "integration": asdict(world.authority.integration),
        "scenario": asdict(world.scenario),
        "now": world.clock.now(),
        "tokenExchanges": world.authority.exchanges,
        "faults": [asdict(fault) for fault in world.faults.planned],
    }


def _requests(world: World, request: Request, _given: Any) -> Row:
    """`at` is of a monotonic clock: for differences."""
    since = float(request.query_params.get("since", "-inf"))
    return {
        "total": sum(world.statuses.values()),
        "statuses": {str(status): count for status, count in sorted(world.statuses.items())},
        "requests": [asdict(one) for one in world.seen if one.at > since],
    }


def _change_scenario(world: World, _request: Request, given: Any) -> Row:
    """`name` starts from a named scenario; the rest are switches."""
    changes = dict(given)
    name = changes.pop("name", None)
    world.scenario = change_scenario(world.scenario if name is None else find_scenario(name), changes)
    return asdict(world.scenario)


def _move_clock(world: World, _request: Request, given: Any) -> Row:
    if "speed" in given:
        world.clock.set_speed(float(given["speed"]))
    world.clock.advance(float(given.get("advance_seconds", 0)))
    return {"now": world.clock.now()}


def _plan_fault(world: World, _request: Request, given: Any) -> Row:
    return asdict(world.faults.plan(given))


def _forget_faults(world: World, _request: Request, _given: Any) -> Row:
    world.faults.planned.clear()
    return {}


def _block(world: World, request: Request, given: Any) -> Row:
    """Of an address; without one, of the caller's own."""
    world.limits.block(given.get("address") or (request.client.host if request.client else ""))
    return {}


def _lift_block(world: World, _request: Request, _given: Any) -> Row:
    world.limits.lift()
    return {}


def _hooks(world: World, _request: Request, _given: Any) -> Row:
    deliveries = [
        {
            "id": one.id,
            "destination": one.subscription.destination,
            "changes": [f"{change.entity} {change.action} {change.row['id']}" for change in one.changes],
            "codes": one.codes,
            "isOver": one.is_over,
        }
        for one in world.hooks.log
    ]
    return {"pending": world.hooks.pending, "dropped": world.hooks.dropped, "deliveries": deliveries}


def _release_hooks(world: World, _request: Request, _given: Any) -> Row:
    return {"released": world.hooks.release()}


# ------------------------------------------------------------------------------------------------ one account
def _account(world: World, request: Request) -> Account:
    return world.account(request.path_params["account"])


def _move_account(world: World, request: Request, given: Any) -> Row:
    """The old address is gone at once."""
    account = _account(world, request)
    account.subdomain = str(given["subdomain"])
    return {"domain": account.domain}


def _set_paid(world: World, request: Request, given: Any) -> Row:
    _account(world, request).unpaid = not given["paid"]
    return {"paid": given["paid"]}


def _revoke(world: World, request: Request, _given: Any) -> Row:
    """Answers with the query of the signed notice that Kommo sends the integration."""
    account = _account(world, request)
    world.authority.revoke(account)
    return {
        "client_uuid": world.authority.integration.client_id,
        "account_id": str(account.id),
        "signature": world.authority.signature(account),
    }


def _new_code(world: World, request: Request, given: Any) -> Row:
    return {"code": world.authority.code(_account(world, request), admin=given.get("admin", True))}


def _new_token(world: World, request: Request, given: Any) -> Row:
    known: Mapping[str, Any] = {"seconds": float(given["seconds"])} if "seconds" in given else {}
    admin = given.get("admin", True)
    return {"token": world.authority.long_lived(_account(world, request), admin=admin, **known)}


def _send_message(world: World, request: Request, given: Any) -> Row:
    """Someone writes in a chat: there is a webhook and nothing else; lists know no messages."""
    account = _account(world, request)
    now = world.clock.seconds()
    contact = account.find("contacts", int(given["contact_id"]))
    number = mix(account.id, now, len(account.events), int(contact["id"]))
    row: Row = {
        "id": f"{number:016x}-message",
        "chat_id": f"{contact['id']:016x}-chat",
        "talk_id": int(contact["id"]) % 10_000,
        "contact_id": contact["id"],
        "text": str(given["text"]),
        "created_at": now,
        "type": "incoming",
        "author": {"id": f"{contact['id']:016x}-author", "type": "external", "name": contact["name"]},
        "origin": "sandbox",
    }
    world.hooks.tell(account, Change("message", "add", row, None))
    return row


def _put_pipeline(world: World, request: Request, given: Any) -> Row:
    """Change or make one: its own fields, and `statuses` as the whole list if given."""
    account, pipeline_id = _account(world, request), request.path_params["id"]
    known = next((one for one in account.pipelines if one["id"] == pipeline_id), None)
    fields = {name: value for name, value in given.items() if name in {"name", "sort", "is_archive", "is_main"}}
    if known is None:
        known = {**account.pipelines[0], "id": pipeline_id, "is_main": False, "_statuses": []}
        account.pipelines.append(known)
    known |= fields
    if "statuses" in given:
        plain = {"sort": 10, "is_editable": True, "color": "#99ccff", "type": 0, "account_id": account.id}
        known["_statuses"] = [{**plain, **one, "pipeline_id": pipeline_id} for one in given["statuses"]]
    return {**known, "statuses": known["_statuses"]}


def _delete_pipeline(world: World, request: Request, _given: Any) -> Row:
    account = _account(world, request)
    account.pipelines = [one for one in account.pipelines if one["id"] != request.path_params["id"]]
    return {}


# ------------------------------------------------------------------------------------------------ rows
def _truth(world: World, request: Request, _given: Any) -> Row:
    """Rows as they are, past filters, lateness and paging of the API: what a mirror should have. `after` is an id."""
    after = int(request.query_params.get("after", "0"))
    limit = min(int(request.query_params.get("limit", str(_SHOWN_ROWS))), _SHOWN_ROWS)
    rows = _account(world, request).truth(request.path_params["entity"], after=after)
    return {"rows": list(islice(rows, limit))}


def _writes(world: World, request: Request) -> Writes:
    user = FIRST_IDS["users"]
    return Writes(_account(world, request), user, touch_parent=world.scenario.notes_touch_parent)


def _add(world: World, request: Request, given: Any) -> Row:
    return _writes(world, request).add(request.path_params["entity"], [given])[0]


def _edit(world: World, request: Request, given: Any) -> Row:
    return _writes(world, request).edit(request.path_params["entity"], given, row_id=request.path_params["id"])[0]


def _delete(world: World, request: Request, _given: Any) -> Row:
    return _account(world, request).delete(request.path_params["entity"], request.path_params["id"])


def _restore(world: World, request: Request, _given: Any) -> Row:
    return _account(world, request).restore(request.path_params["entity"], request.path_params["id"])


def _merge(world: World, request: Request, given: Any) -> Row:
    return _account(world, request).merge(request.path_params["id"], [int(one) for one in given["ids"]])


def _hide(world: World, request: Request, _given: Any) -> Row:
    """The token's user may no longer see it: the API has no such row, and nothing says that it was deleted."""
    _account(world, request).hidden.add((request.path_params["entity"], request.path_params["id"]))
    return {}


def _show(world: World, request: Request, _given: Any) -> Row:
    _account(world, request).hidden.discard((request.path_params["entity"], request.path_params["id"]))
    return {}
