"""How does the doctor ask over HTTP? One request on a connection of its own, blocking, for a thread; no redirects."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from oxcart.errors import InvalidInput
from oxcart.language import tr

_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back; `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """None for what is no JSON: an error page, or nothing."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    context: ssl.SSLContext | None = None,
    seconds: float = 5.0,
) -> HttpAnswer:
    """Raises InvalidInput for a URL that is none, OSError, ssl.SSLError or http.client.HTTPException.

    `seconds` bounds each step, connecting and reading, not their sum.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidInput(
            tr(
                "{scheme} is no address of HTTP. Write it as https://HOST or http://HOST.",
                scheme=parts.scheme or tr("This"),
            )
        )
    connection = (
        http.client.HTTPSConnection(parts.hostname, parts.port, timeout=seconds, context=context)
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.hostname, parts.port, timeout=seconds)
    )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with closing(connection):
        connection.request(method, path, body=body, headers={"User-Agent": "oxcart", **(headers or {})})
        response = connection.getresponse()
        shown = {name.lower(): value for name, value in response.getheaders()}
        return HttpAnswer(response.status, shown, response.read(_MOST_BYTES))
