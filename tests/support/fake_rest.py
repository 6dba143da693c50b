"""How do tests meet Upstash's REST API? A server on loopback that answers PING and ACL WHOAMI as it is told."""

from __future__ import annotations

import http.server
import json
import threading
from typing import Any, Self


class FakeRest:
    """`status` and `error` are its answer to everything, unless `status` is 200; `asked` are the commands it got."""

    def __init__(self, status: int = 200, *, error: str = "", whoami: str | None = "default") -> None:
        self.status = status
        self.error = error
        self.whoami = whoami
        self.asked: list[Any] = []
        self.authorizations: set[str] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def __enter__(self) -> Self:
        rest = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                command = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                rest.asked.append(command)
                rest.authorizations.add(self.headers["Authorization"])
                status, content = rest.answer(command)
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's own name
                """Tests read no log."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, command: list[str]) -> tuple[int, dict[str, Any]]:
        if self.status != 200:
            return self.status, {"error": self.error or "failed"}
        if command == ["PING"]:
            return 200, {"result": "PONG"}
        if self.whoami is None:
            return 400, {"error": "ERR Command is not available: 'ACL'"}
        return 200, {"result": self.whoami}
