"""How does an operator steer a running worker? POST /worker/pause, /worker/resume, /worker/concurrency?slots=N."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from oxcart.errors import OxcartError
from oxcart.http.answers import json_answer, refusal
from oxcart.http.site import Site
from oxcart.worker.controls import Command


async def steer(site: Site, request: Request) -> Response:
    """202: it is passed on to the job loop, of each process; /health shows what has become of it."""
    text = f"{request.path_params['change']} {request.query_params.get('slots', '')}".strip()
    try:
        site.steer(Command.parse(text))
    except ValueError as error:
        return refusal(422, str(error))
    except OxcartError as error:
        return refusal(503, str(error))
    return json_answer({"accepted": text}, 202)
