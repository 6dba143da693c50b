"""What do programs get? The same views and actions as people, as JSON, by a Bearer token; described by OpenAPI."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from oxcart.board import changes
from oxcart.board.actions import VERBS, verb_of
from oxcart.board.batches import Batch
from oxcart.board.core import Ask
from oxcart.board.examining import start_examination
from oxcart.board.job_view import as_plain
from oxcart.board.pages import LOAD_SECONDS, Site, fields_of, read_body, status_of
from oxcart.board.verbs import Verb
from oxcart.board.views import VIEWS
from oxcart.doctor.report import to_json
from oxcart.errors import InvalidInput, JobNotFound, OxcartError
from oxcart.http.answers import json_answer, refusal
from oxcart.protocol import codec

Endpoint = Callable[[Site, Request, bool], Awaitable[Response]]


async def answered(site: Site, request: Request, endpoint: Any, *, may_change: bool) -> Response:
    try:
        async with asyncio.timeout(None if request.method == "POST" else LOAD_SECONDS):
            response: Response = await endpoint(site, request, may_change)
    except TimeoutError:
        return refusal(503, "Redis did not answer in time. Try again, or see /health.")
    except OxcartError as error:
        return refusal(status_of(error), str(error))
    return response


async def index(_: Site, __: Request, ___: bool) -> Response:
    return json_answer({"views": [f"/api/{view}" for view in VIEWS], "openapi": "/api/openapi.json"})


async def view(site: Site, request: Request, may_change: bool) -> Response:
    """Secrets in payloads are veiled; `unveil=true` shows them to those who may change things."""
    name = request.path_params["view"]
    if name not in VIEWS:
        raise JobNotFound(f"There is no such view; there are {', '.join(VIEWS)}.")
    given = fields_of(request.url.query)
    sees = not site.board.plan.veil or (may_change and given.get("unveil") == "true")
    ask = Ask(given.fields, may_change, sees, given.lists)
    return json_answer(as_plain(await VIEWS[name].load(site.board, ask)))


async def act(site: Site, request: Request, _: bool) -> Response:
    """A JSON object of the action's fields; `ids` for several jobs, `all` for all of a queue's state."""
    verb = verb_of(request.path_params["verb"])
    ask = await _body_as_ask(request)
    by = f"api from {request.client.host if request.client is not None else '?'}"
    if ask.get("scope") == "all" or len(ask.many("id")) > 1:
        total = await changes.total_of(site, ask) if ask.get("scope") == "all" else None
        return json_answer(batch_as_json(changes.begin(site, verb, ask, by=by, total=total)), 202)
    done = await changes.perform(site, verb, ask, by=by)
    undo = None if done.undo is None else {"verb": done.undo.verb, **done.undo.fields}
    return json_answer({"done": done.text, "undo": undo})


async def _body_as_ask(request: Request) -> Ask:
    """Only JSON: a form of another site cannot send that. Numbers and true are taken as a form has them."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise InvalidInput("Send the action's fields as one JSON object, with Content-Type: application/json.")
    content = codec.decode(bytes(await read_body(request)) or b"{}", "the request")
    if not isinstance(content, dict):
        raise InvalidInput("Send the action's fields as one JSON object.")
    return ask_from(content)


def ask_from(content: Mapping[str, Any]) -> Ask:
    """An Ask of an action from plain JSON, as programs give it."""
    fields: dict[str, str] = {}
    ids: tuple[str, ...] = ()
    for name, value in content.items():
        if name == "ids" and isinstance(value, list):
            ids = tuple(str(each) for each in value)
        elif name == "all":
            fields["scope"] = "all" if value is True else "picked"
        elif name == "data":
            fields["data"] = codec.encode(value).decode("utf-8", "surrogatepass")
        elif value is not None and value is not False:
            fields[name] = "true" if value is True else str(value)
    if ids and "id" not in fields:
        fields["id"] = ids[0]
    return Ask(fields, may_change=True, unveiled=False, lists={"id": ids} if ids else {})


async def batch(site: Site, request: Request, _: bool) -> Response:
    return json_answer(batch_as_json(site.batches.get(request.path_params["batch"])))


async def stop(site: Site, request: Request, _: bool) -> Response:
    return json_answer(batch_as_json(site.batches.stop(request.path_params["batch"])))


async def examine(site: Site, _: Request, __: bool) -> Response:
    await start_examination(site.board)
    assert site.board.diagnosis is not None
    return json_answer(to_json(site.board.diagnosis[1]))


def batch_as_json(found: Batch) -> dict[str, Any]:
    about = {"batch": found.id, "action": found.verb.id, "what": found.what, "state": found.state}
    return {**about, "total": found.total, "done": found.done, "refused": found.refused, "problems": found.problems}


# ------------------------------------------------------------------------------------------------ OpenAPI
async def openapi(site: Site, _: Request, __: bool) -> Response:
    return json_answer(describe(site.board.plan.version))


def describe(version: str) -> dict[str, Any]:
    """The whole of /api, made from the same tables that answer it."""
    error = {"description": "why not, in one sentence", "content": _content({"error": {"type": "string"}})}
    paths: dict[str, Any] = {}
    for name, each in VIEWS.items():
        given = [_parameter(field) for field in (*each.fields, "unveil")]
        paths[f"/api/{name}"] = {"get": _operation(f"get_{name}", each.summary, parameters=given, errors=error)}
    for verb in VERBS.values():
        body = {"required": True, "content": _content(_fields_of(verb))}
        paths[f"/api/actions/{verb.id}"] = {
            "post": _operation(f"do_{verb.id}", f"{verb.label}: {verb.question}", requestBody=body, errors=error)
        }
    about = {"title": "Oxcart", "version": version}
    security = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
    return {"openapi": "3.1.0", "info": about, "paths": paths, "components": security, "security": [{"token": []}]}


def _operation(name: str, summary: str, *, errors: Any, **more: Any) -> dict[str, Any]:
    answers = {"200": {"description": "done", "content": _content({})}}
    refusals = dict.fromkeys(("400", "401", "403", "404", "409", "503"), errors)
    return {"operationId": name.replace("-", "_"), "summary": summary, "responses": answers | refusals, **more}


def _parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "string"}}


def _content(properties: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": {"type": "object", "properties": properties}}}


def _fields_of(verb: Verb) -> dict[str, Any]:
    text = {"type": "string"}
    place = {"queue": text} if verb.target == "queue" else {"queue": text, "id": text}
    several = {"ids": {"type": "array", "items": text}, "all": {"type": "boolean"}, "state": text}
    kinds: dict[str, Any] = {"number": {"type": "integer"}, "check": {"type": "boolean"}, "json": {}}
    own = {field.name: {**kinds.get(field.kind, text), "description": field.label} for field in verb.fields}
    return {**place, **(several if verb.target == "job" and verb.many else {}), **own}
