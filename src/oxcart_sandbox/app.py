"""How does a request pass through the sandbox? Limit, fault, account, token, answer: in the order Kommo has them."""

from __future__ import annotations

import asyncio
import email.utils

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from oxcart import clock
from oxcart_sandbox.api import answer_api, answer_oauth
from oxcart_sandbox.control import control_routes
from oxcart_sandbox.faults import BLOCKED_PAGE, problem, too_many
from oxcart_sandbox.limits import Judgement
from oxcart_sandbox.world import Seen, World


def create_app(world: World) -> Starlette:
    """The sandbox as an ASGI app: the API, OAuth, and below /sandbox the control API."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        """As a bare ASGI app: any method, and an answer that may break off."""
        request = Request(scope, receive, send)
        response = await _answer(world, request)
        response.headers["Date"] = email.utils.formatdate(world.clock.now(), usegmt=True)
        await response(scope, receive, send)

    return Starlette(routes=[Mount("/sandbox", routes=control_routes(world)), Mount("/", app=answer)])


async def _answer(world: World, request: Request) -> Response:
    address = request.client.host if request.client else ""
    host, url = request.headers.get("host", ""), request.url
    seen = Seen(clock.monotonic(), address, host, request.method, url.path, url.query)
    world.seen.append(seen)
    response = await _judge(world, request, address)
    world.note_answer(seen, response.status_code)
    return response


async def _judge(world: World, request: Request, address: str) -> Response:
    judgement = world.limits.judge(address)
    if judgement is Judgement.BLOCKED:
        return Response(BLOCKED_PAGE, 403, media_type="text/html")
    if judgement is Judgement.TOO_MANY:
        return too_many(world.scenario)
    if world.scenario.latency_real_seconds:
        await asyncio.sleep(world.scenario.latency_real_seconds)
    line = len(request.url.path) + len(request.url.query)
    if line > world.scenario.url_limit:
        return Response(b"<html>414 Request-URI Too Large</html>", 414, media_type="text/html")
    body = await request.body()
    fault = world.faults.choose(request)
    if fault is not None and world.faults.is_before(fault):
        return await world.faults.answer(request, fault, None)
    done = _dispatch(world, request, body)
    return done if fault is None else await world.faults.answer(request, fault, done)


def _dispatch(world: World, request: Request, body: bytes) -> Response:
    account = world.find(request.headers.get("host", ""))
    path = request.url.path
    if path.startswith("/oauth"):
        return answer_oauth(world, account, request, body)
    if not path.startswith("/api/v4/"):
        return problem(404, "Not Found", path)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    grant = world.authority.use(token.strip()) if scheme.lower() == "bearer" else None
    if account is None and _names_an_account(request.headers.get("host", "")):
        return problem(404, "Not Found", "There is no account at this address")
    if grant is None or (account is not None and grant.account is not account):
        return problem(401, "Unauthorized", "The token is not valid, or no longer", hint="Token has expired")
    if grant.account.unpaid:
        return problem(402, "Payment Required", "The account is not paid")
    grant.account.settle()
    return answer_api(world, grant.account, grant, request, body)


def _names_an_account(host: str) -> bool:
    """A request to the sandbox's own address names none: then the token does."""
    return host.partition(":")[0].endswith((".kommo.com", ".amocrm.ru", ".amocrm.com"))
