"""Which answer has which path? Kommo's API v4, as far as the sandbox knows it; anything else is a 404."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from oxcart_sandbox.account import CARDS, Account
from oxcart_sandbox.faults import HAL, ODD, problem
from oxcart_sandbox.hooks import subscribe
from oxcart_sandbox.listing import BadQuery
from oxcart_sandbox.oauth import Authority, Grant, Refusal
from oxcart_sandbox.reading import Reads, webhook_item
from oxcart_sandbox.rows import Row
from oxcart_sandbox.seed import FIRST_IDS
from oxcart_sandbox.world import World
from oxcart_sandbox.writing import MOST_COMPLEX, Invalid, Writes

_TABLES = (*CARDS, "tasks", "customers")


class NotThere(Exception):  # noqa: N818 - an answer, not a failure
    """There is nothing at this path: 404, or with `allowed` 405."""

    def __init__(self, *, allowed: bool = False) -> None:
        self.allowed = allowed
        super().__init__()


def answer_api(world: World, account: Account, grant: Grant, request: Request, body: bytes) -> Response:
    """What follows /api/v4, for a caller whose token is good."""
    is_admin = grant.user_id == FIRST_IDS["users"]
    path = request.url.path.removeprefix("/api/v4").strip("/")
    pairs = request.query_params.multi_items()
    try:
        if request.method == "GET":
            found = _read(world, account, grant, path, pairs, is_admin=is_admin)
            return _json(found, bom=world.scenario.bom)
        given = _decoded(body) if body or request.method in {"POST", "PATCH"} else None
        return _json(_write(world, grant, request.method, path, given, is_admin=is_admin))
    except NotThere as missing:
        status, title = (405, "Method Not Allowed") if missing.allowed else (404, "Not Found")
        return problem(status, title, f"{request.method} /{path}")
    except PermissionError:
        return problem(403, "Forbidden", "Only an administrator of the account may do this")
    except BadQuery as bad:
        return problem(422, "Unprocessable Entity", str(bad))
    except Invalid as invalid:
        more: Row = {"validation-errors": invalid.rows} if invalid.rows else {}
        return problem(400, "Bad Request", invalid.detail, **more)


def _read(
    world: World, account: Account, grant: Grant, path: str, pairs: list[tuple[str, str]], *, is_admin: bool
) -> Row | None:
    reads = Reads(account, world.scenario, world.clock)
    parts = path.split("/")
    if parts[0] in {"users", "roles", "webhooks"} and not is_admin:
        raise PermissionError
    match parts:
        case ["leads", "pipelines", *rest]:
            return _read_pipelines(reads, rest)
        case ["account"]:
            return reads.account(pairs) | {"current_user_id": grant.user_id}
        case ["users"]:
            return reads.users(pairs)
        case ["users", number]:
            return next((user for user in account.users if str(user["id"]) == number), None)
        case ["webhooks"]:
            return reads.webhooks(pairs)
        case ["events"]:
            return reads.events(pairs)
        case [entity] if entity in _TABLES:
            return reads.rows(entity, f"/{path}", pairs)
        case [entity, number] if entity in _TABLES and number.isdecimal():
            return reads.row(entity, int(number), pairs)
    return reads.small(path, pairs) if path in account.lists else _read_what_belongs_to_a_card(reads, parts, pairs)


def _read_pipelines(reads: Reads, rest: list[str]) -> Row | None:
    match rest:
        case []:
            return reads.pipelines()
        case [number]:
            return reads.pipeline(_whole(number))
        case [number, "statuses"]:
            found = reads.pipeline(_whole(number))
            return found and {"_total_items": len(found["_embedded"]["statuses"]), "_embedded": found["_embedded"]}
    raise NotThere


def _read_what_belongs_to_a_card(reads: Reads, parts: list[str], pairs: list[tuple[str, str]]) -> Row | None:
    of, path = parts[0], f"/{'/'.join(parts)}"
    if of not in CARDS:
        raise NotThere
    match parts[1:]:
        case ["custom_fields"]:
            return reads.custom_fields(of, pairs)
        case ["tags"]:
            return reads.tags(of, pairs)
        case ["notes"]:
            return reads.rows(f"{of}_notes", path, pairs)
        case [number, "notes"]:
            return reads.rows(f"{of}_notes", path, pairs, of=_whole(number))
        case ["notes", number] | [_, "notes", number]:
            return reads.row(f"{of}_notes", _whole(number), pairs)
    raise NotThere


def _write(world: World, grant: Grant, method: str, path: str, body: Any, *, is_admin: bool) -> Row | list[Row] | None:
    account = grant.account
    writes = Writes(account, grant.user_id, touch_parent=world.scenario.notes_touch_parent)
    parts = path.split("/")
    if parts == ["webhooks"]:
        if not is_admin:
            raise PermissionError
        return _write_webhook(world, account, method, body)
    if method == "POST":
        return _post(writes, account, parts, body)
    if method != "PATCH":
        raise NotThere(allowed=parts[0] in _TABLES)
    match parts:
        case [of, "notes"] if of in CARDS:
            return _embedded(account, path, "notes", writes.edit(f"{of}_notes", body))
        case [of, "notes", number] | [of, _, "notes", number] if of in CARDS:
            return writes.edit(f"{of}_notes", body, row_id=_whole(number))[0]
        case [entity] if entity in _TABLES:
            return _embedded(account, path, entity, writes.edit(entity, body))
        case [entity, number] if entity in _TABLES:
            return writes.edit(entity, body, row_id=_whole(number))[0]
    raise NotThere


def _post(writes: Writes, account: Account, parts: list[str], body: Any) -> Row | list[Row]:
    path = "/".join(parts)
    match parts:
        case ["leads", "complex"]:
            if isinstance(body, list) and len(body) > MOST_COMPLEX:
                raise Invalid(f"Not more than {MOST_COMPLEX} rows are allowed")
            return writes.add_complex(body)
        case [of, "tags"] if of in CARDS:
            return _embedded(account, path, "tags", writes.add_tags(body))
        case [of, "notes"] if of in CARDS:
            return _embedded(account, path, "notes", writes.add(f"{of}_notes", body))
        case [of, number, "notes"] if of in CARDS:
            return _embedded(account, path, "notes", writes.add(f"{of}_notes", body, of=_whole(number)))
        case [entity] if entity in _TABLES:
            return _embedded(account, path, entity, writes.add(entity, body))
    raise NotThere


def _write_webhook(world: World, account: Account, method: str, body: Any) -> Row | None:
    destination = body.get("destination") if isinstance(body, dict) else None
    if not isinstance(destination, str) or not destination.startswith(("http://", "https://")):
        raise Invalid("destination: a URL is expected")
    if method == "DELETE":
        account.subscriptions = [one for one in account.subscriptions if one.destination != destination]
        return None
    settings = body.get("settings")
    if not isinstance(settings, list) or not all(isinstance(name, str) for name in settings) or not settings:
        raise Invalid("settings: a list of names is expected")
    made = subscribe(account, destination, settings, int(body.get("sort") or 1), world.clock.seconds())
    return webhook_item(account, made)


# ------------------------------------------------------------------------------------------------ OAuth
def answer_oauth(world: World, account: Account | None, request: Request, body: bytes) -> Response:
    """The token endpoint, the lookup of a moved account, and the page where a user grants access."""
    path = request.url.path
    if path == "/oauth2/access_token" and request.method == "POST":
        if account is None:
            return problem(404, "Not Found", "There is no account at this address")
        return _token(world.authority, account, request, body)
    if path == "/oauth2/account/current/subdomain" and request.method == "GET":
        found = world.authority.account_of_refresh(request.headers.get("x-refresh-token", ""))
        if found is None:
            return problem(401, "Unauthorized", "Token has been revoked")
        top = found.top_domain.rpartition(".")[2]
        item = {"id": found.id, "subdomain": found.subdomain, "domain": found.domain, "top_level_domain": top}
        return _json(item)
    if path == "/oauth" and request.method == "GET":
        return _grant_page(world, request)
    return problem(404, "Not Found", f"{request.method} {path}")


def _token(authority: Authority, account: Account, request: Request, body: bytes) -> Response:
    """JSON as documented, or a form as the PHP library sends it."""
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form: Any = dict(parse_qsl(body.decode("utf-8", "replace")))
    else:
        form = _or_none(body)
    if not isinstance(form, dict):
        return problem(400, "Bad Request", "A JSON object or a form is expected", hint="Check the body")
    try:
        return _json(authority.exchange(form, account), media_type="application/json")
    except Refusal as refusal:
        return problem(refusal.status, refusal.title, "The request is refused", hint=refusal.hint)


def _grant_page(world: World, request: Request) -> Response:
    """Nobody is asked: the first account's administrator grants, or refuses where the scenario says so."""
    integration = world.authority.integration
    query = request.query_params
    if query.get("client_id") != integration.client_id:
        return problem(400, "Bad Request", "No integration has this client_id")
    account = world.find(query.get("account", "")) or world.accounts[0]
    given = {"state": query.get("state", ""), "client_id": integration.client_id}
    if world.scenario.deny_access:
        given["error"] = "access_denied"
    else:
        given |= {"code": world.authority.code(account), "referer": account.domain}
    joint = "&" if "?" in integration.redirect_uri else "?"
    return Response(status_code=302, headers={"Location": f"{integration.redirect_uri}{joint}{urlencode(given)}"})


# ------------------------------------------------------------------------------------------------ small things
def _embedded(account: Account, path: str, key: str, items: list[Row]) -> Row:
    return {
        "_links": {"self": {"href": f"https://{account.domain}/api/v4/{path}"}},
        "_embedded": {key: items},
    }


def _json(value: Any, media_type: str = HAL, *, bom: bool = False) -> Response:
    return Response(status_code=204) if value is None else Response(as_json(value, bom=bom), media_type=media_type)


def as_json(value: Any, *, bom: bool = False) -> bytes:
    body = msgspec.json.encode(value)
    for text, odd in ODD.items() if b'"odd:' in body else ():
        body = body.replace(text, odd)
    return b"\xef\xbb\xbf" + body if bom else body


def _decoded(body: bytes) -> Any:
    decoded = _or_none(body)
    if decoded is None:
        raise Invalid("JSON is expected")
    return decoded


def _or_none(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise NotThere
    return int(text)
