"""Which request goes wrong, and how? Those that were planned, then those that the seed and the fault rate pick."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from oxcart.errors import InvalidInput
from oxcart_sandbox.scenario import Scenario
from oxcart_sandbox.seed import mix

BLOCKED_PAGE = b"<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"  # noqa: E501
_GATEWAY_PAGE = b"<html><head><title>%d</title></head><body><center><h1>%d</h1></center><hr>nginx</body></html>"
_BEFORE = frozenset({"hang", "blocked"})
_KINDS = ("hang", "truncate", "cut", "lost", "blocked", "garbage", "slow", "empty")


@dataclass(slots=True)
class Fault:
    """What happens to requests that match. `kind` is a status (400 to 599), or:

    hang: never answered · truncate: half of the JSON · cut: the connection ends in the answer's middle · lost: done,
    and the connection ends · blocked: the HTML 403 · garbage: a 200 that is no JSON · slow: answered after `seconds` ·
    empty: a 204, as if the list ended there.
    A status above 499 leaves the request undone unless `after_doing` is set.
    """

    kind: str
    method: str | None = None
    path: str | None = None
    times: int = 1
    skip: int = 0
    after_doing: bool = False
    seconds: float = 1.0

    def matches(self, request: Request) -> bool:
        return self.method in {None, request.method} and (self.path is None or request.url.path.startswith(self.path))


class Faults:
    def __init__(self, seed: int, scenario: Callable[[], Scenario]) -> None:
        self.planned: list[Fault] = []
        self._seed = seed
        self._random = Random(seed + 1)
        self._traces = 0
        self._scenario = scenario

    def plan(self, wanted: Mapping[str, Any]) -> Fault:
        """Raises InvalidInput for a fault that there is not."""
        try:
            fault = Fault(**wanted)
        except TypeError as error:
            raise InvalidInput(f"A fault has other fields ({error}).") from error
        is_status = fault.kind.isdecimal() and 400 <= int(fault.kind) <= 599
        if not is_status and fault.kind not in _KINDS:
            raise InvalidInput(f'"{fault.kind}" is no fault; it is a status from 400, or one of {", ".join(_KINDS)}.')
        self.planned.append(fault)
        return fault

    def choose(self, request: Request) -> Fault | None:
        for fault in self.planned:
            if not fault.matches(request):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.times -= 1
            if fault.times <= 0:
                self.planned.remove(fault)
            return fault
        scenario = self._scenario()
        if scenario.fault_rate and self._random.random() < scenario.fault_rate:
            kind = scenario.faults[self._random.randrange(len(scenario.faults))]
            return Fault(kind, after_doing=kind == "504" and self._random.random() < 0.5)
        return None

    def is_before(self, fault: Fault) -> bool:
        """Whether the request is not even looked at."""
        return fault.kind in _BEFORE or (fault.kind.isdecimal() and not fault.after_doing)

    async def answer(self, request: Request, fault: Fault, done: Response | None) -> Response:
        """The answer in place of `done`, which is None if the request was not looked at."""
        if fault.kind.isdecimal():
            return self._status(int(fault.kind))
        if fault.kind == "blocked":
            return Response(BLOCKED_PAGE, 403, media_type="text/html")
        if fault.kind == "hang" or done is None:
            await _until_given_up(request, self._scenario().hang_real_seconds)
            return Cut(b"")
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
            return done
        if fault.kind == "empty":
            return Response(status_code=204)
        if fault.kind == "garbage":
            return Response(b"<html>maintenance</html>", 200, media_type="text/html")
        if fault.kind == "truncate":
            return Response(bytes(done.body)[: max(len(done.body) // 2, 1)], done.status_code, media_type=HAL)
        return Cut(bytes(done.body)[:10] if fault.kind == "cut" else b"")

    def _status(self, status: int) -> Response:
        if status == 429:
            return too_many(self._scenario())
        if status in {502, 503, 504}:
            return Response(_GATEWAY_PAGE % (status, status), status, media_type="text/html")
        self._traces += 1
        trace = f"{mix(self._seed, self._traces):016x}"
        title = "ErrInternalServer" if status >= 500 else "Refused"
        return problem(status, title, "The sandbox was told to answer so", trace_id=trace)


ODD: Mapping[bytes, bytes] = {
    b'"odd:half"': rb'"half \ud83d of a pair"',
    b'"odd:null"': rb'"U+0000 \u0000 in it"',
    b'"odd:control"': b'"\x01 as it is"',
    b'"odd:huge"': b"1e400",
    b'"odd:broken"': rb'"\x"',
}
"""What stands in an answer in place of these texts of a row: all of it was typed by somebody's user, or could be."""

HAL = "application/hal+json"
PROBLEM = "application/problem+json"


def problem(status: int, title: str, detail: str, **more: Any) -> Response:
    import msgspec

    said = {"title": title, "type": f"https://httpstatus.es/{status}", "status": status, "detail": detail, **more}
    return Response(msgspec.json.encode(said), status, media_type=PROBLEM)


def too_many(scenario: Scenario) -> Response:
    """A 429, which says in its body how long to wait; or where the scenario puts that."""
    seconds = scenario.retry_after_real_seconds
    wait = int(seconds) if float(seconds).is_integer() else seconds
    if scenario.retry_after_in == "none":
        return Response(b"Too many requests", 429, media_type="text/plain")
    in_body = {"retry_after": wait} if scenario.retry_after_in == "body" else {}
    answer = problem(429, "Too Many Requests", "Request limit exceeded", **in_body)
    if scenario.retry_after_in == "header":
        answer.headers["Retry-After"] = str(wait)
    return answer


class Cut(Response):
    """Ends the connection in the middle of the answer, whose beginning it sends."""

    def __init__(self, beginning: bytes) -> None:
        super().__init__(beginning)
        self._beginning = beginning

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        headers = [(b"content-type", HAL.encode()), (b"content-length", b"100000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self._beginning, "more_body": True})
        raise ConnectionAbortedError


async def _until_given_up(request: Request, seconds: float) -> None:
    """Wait until the client has gone, but no longer than that."""
    try:
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                continue
    except TimeoutError:
        return
