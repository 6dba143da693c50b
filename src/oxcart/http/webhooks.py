"""How do webhooks get in? By an address that carries its own secret; whoever receives them decides, HTTP only carries.

The secret is part of the path: no answer, log or error of ours repeats a path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from oxcart.http.answers import json_answer, refusal
from oxcart.http.routes import Auth, Route
from oxcart.http.site import Site

LARGEST_BODY = 1024 * 1024
"""Kommo's largest are some tens of KiB: a body has the cards that one action changed."""

_BODY_SECONDS = 10.0
_MOST_BYTES = 8 * LARGEST_BODY  # of all bodies in hand: those being read, and those being stored
_AGAIN_SECONDS = 5
_ADDRESS = "/webhooks/kommo/{connection}/{secret}"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class HookReceiver(Protocol):
    """What takes webhooks in. Each answer is an HTTP status and one sentence. Nothing of the request is repeated."""

    async def admit(self, connection_id: str, secret: str) -> tuple[int, str] | None:
        """None if this sender may send; looked at before the body is read."""

    async def store(self, connection_id: str, content_type: str | None, body: bytes) -> tuple[int, str]:
        """200 means that it cannot be lost any more."""

    async def revoke(self, query: Mapping[str, str]) -> tuple[int, str]:
        """Kommo's notice that an account's owner has taken the access away."""


def webhook_routes(receiver: HookReceiver) -> Sequence[Route]:
    left = _Left(_MOST_BYTES)

    async def revoked(_: Site, request: Request) -> Response:
        return _answer(*await receiver.revoke(request.query_params))

    async def receive(_: Site, request: Request) -> Response:
        if request.method not in {"GET", "POST"}:
            return refusal(405, "This address takes webhooks, by POST.", {"Allow": "GET, POST"})
        connection, secret = request.path_params["connection"], request.path_params["secret"]
        refused = await receiver.admit(connection, secret)
        if refused is not None:
            return _answer(*refused)
        if request.method == "GET":
            return json_answer({"status": "ok", "message": "Kommo sends its webhooks to this address, by POST."})
        taken = _Taken(left)
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await _body(request, taken)
            if body is not None:
                return _answer(*await receiver.store(connection, request.headers.get("content-type"), body))
        except _TooMuchInHand:
            return _answer(429, "Too many webhooks are coming in at once. Send this one again later.")
        except TimeoutError:
            return refusal(408, f"The body did not come within {_BODY_SECONDS:.0f} s.", {"Connection": "close"})
        except ClientDisconnect:
            return refusal(400, "The body broke off.")
        finally:
            taken.give_back()
        return refusal(413, f"A webhook has at most {LARGEST_BODY >> 20} MiB.", {"Connection": "close"})

    return (
        Route("/webhooks/kommo/revoked", ("GET",), Auth.OPEN, revoked),
        Route(_ADDRESS, _METHODS, Auth.OPEN, receive),
    )


def _answer(status: int, sentence: str) -> Response:
    if status == 200:
        return json_answer({"status": "ok", "message": sentence})
    return refusal(status, sentence, {"Retry-After": str(_AGAIN_SECONDS)} if status == 429 else None)


@dataclass(slots=True)
class _Left:
    """How many bytes of bodies may still be taken in hand."""

    count: int


class _TooMuchInHand(Exception):  # noqa: N818 - a state of ours, no fault of the request's
    """There is no room for this body now."""


class _Taken:
    """What one request has in hand."""

    def __init__(self, left: _Left) -> None:
        self._left = left
        self._count = 0

    def take(self, count: int) -> None:
        if count > self._left.count:
            raise _TooMuchInHand
        self._left.count -= count
        self._count += count

    def give_back(self) -> None:
        self._left.count += self._count
        self._count = 0


async def _body(request: Request, taken: _Taken) -> bytes | None:
    """None for one that is too large, as soon as that is known. What is not read of a refused one is read past.

    Raises _TooMuchInHand, also for what is announced: it need not be sent then.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal():
        if int(announced) > LARGEST_BODY:
            return None
        taken.take(int(announced))
        taken.give_back()  # a sender who only announces it takes nothing
    read = bytearray()
    async for chunk in request.stream():
        taken.take(len(chunk))
        read += chunk
        if len(read) > LARGEST_BODY:
            return None
    return bytes(read)
