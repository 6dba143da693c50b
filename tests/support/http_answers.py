"""How does a test stand in for a web server that is not ours? It gives fixed answers, by path; with TLS if wanted."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Fixed:
    """One answer. A dict as body is sent as JSON."""

    status: int = 200
    body: str | dict[str, Any] = ""
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Fixed | Callable[[], Fixed]


@dataclass
class FakeSite:
    """`answers` by path may be changed while it runs; "*" is for all other paths. `seen` is method, path, headers."""

    answers: dict[str, Answer]
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    def give(self, path: str) -> Fixed:
        answer = self.answers.get(path) or self.answers.get("*") or Fixed(404, "nothing here")
        return answer if isinstance(answer, Fixed) else answer()


@contextmanager
def fake_site(answers: dict[str, Answer], context: ssl.SSLContext | None = None) -> Iterator[FakeSite]:
    site = FakeSite(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
            answer = site.give(self.path)
            is_json = isinstance(answer.body, dict)
            body = (json.dumps(answer.body) if is_json else str(answer.body)).encode()
            self.send_response(answer.status)
            kind = {"Content-Type": "application/json" if is_json else "text/html"}
            for name, value in {**kind, **answer.headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            return  # a client that refuses our certificate hangs up, as it should

    with Server(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        site.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
