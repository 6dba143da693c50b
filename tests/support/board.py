"""A board without a socket: requests go straight into the application, as from any peer with any headers."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.types import ASGIApp

from oxcart.board.application import open_board
from oxcart.board.door import BoardPlan
from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.telemetry.events import Event


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str
    cookies: list[str]

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.text)


@dataclass
class Visitor:
    """A browser, or a program: keeps cookies as one does, and sends what a test wants."""

    app: ASGIApp
    host: str = "127.0.0.1"
    headers: dict[str, str] = field(default_factory=lambda: {"host": "127.0.0.1:3001"})
    cookies: dict[str, str] = field(default_factory=dict)

    async def ask(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        path, _, query = path.partition("?")
        sent = {**self.headers, **(headers or {})}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": path, "root_path": "",
            "raw_path": path.encode(), "query_string": query.encode(), "client": (self.host, 50000), "server": None,
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
        }  # fmt: skip
        parts: list[Any] = []
        given = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return given.pop() if given else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            parts.append(message)

        await self.app(scope, receive, send)
        start = parts[0]
        pairs = [(name.decode().lower(), value.decode("latin-1")) for name, value in start["headers"]]
        cookies = [value for name, value in pairs if name == "set-cookie"]
        for cookie in cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies.pop(name, None)
            if value.strip('"'):
                self.cookies[name] = value
        text = b"".join(part.get("body", b"") for part in parts[1:]).decode()
        return Answer(start["status"], dict(pairs), text, cookies)

    async def post(self, path: str, fields: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answer:
        sent = {"content-type": "application/x-www-form-urlencoded", **(headers or {})}
        return await self.ask(path, "POST", sent, urlencode(list(_pairs(fields))).encode())

    async def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', (await self.ask("/board")).text)
        assert found is not None, "the page has a form with a token"
        return found[1]

    async def do(self, verb: str, **fields: Any) -> Answer:
        """As a person does: asks for the question, and answers its form; returns the page after that."""
        question = await self.ask("/board/ask?" + urlencode([("verb", verb), *_pairs(fields)]))
        if question.status != 200:
            return question
        form = {**form_of(question.text), **fields, "verb": verb}
        answer = await self.post("/board/do", form)
        return await self.ask(answer.headers["location"]) if answer.status == 303 else answer


def _pairs(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, str(each))
        for name, value in fields.items()
        for each in (value if isinstance(value, list | tuple) else [value])
    ]


def form_of(page: str) -> dict[str, str]:
    """The fields of the one form of a question, as they are filled in."""
    found: dict[str, str] = {}
    for tag in re.findall(r"<input [^>]*>", page.partition('class="question"')[2]):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and 'type="checkbox"' not in tag:
            found[name[1]] = html.unescape(value[1]) if value else ""
    for name, text in re.findall(r'<textarea [^>]*name="([^"]*)"[^>]*>([^<]*)</textarea>', page):
        found[name] = html.unescape(text)
    return found


@asynccontextmanager
async def open_visitor(url: str, *queues: str, **plan: Any) -> AsyncIterator[Visitor]:
    """Someone on the board's own machine; `plan` are further fields of a BoardPlan. `events` are in visitor.events."""
    target = parse_redis_url(url, {})
    server = Server(target)
    given = BoardPlan(target=lambda: target, prefix="bull", queues=queues, version="1.2.3", **plan)
    try:
        async with open_board(given, server) as app:
            yield Visitor(app)
    finally:
        await server.close()


def collected(events: list[Event]) -> Any:
    """For a plan's `emit`."""
    return events.append
