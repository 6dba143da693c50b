"""How do tests meet TLS, right and wrong? A TLS server in front of a plain one, with certificates made on the spot.

    with TlsFront(server_port, "good") as front:      # or wrong_name, expired, unknown_ca, self_signed
        connect with TLS to localhost:front.port, trusting front.ca_file

`ca_file` is always the authority that a careful client would trust; "unknown_ca" and "self_signed" do not
come from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl
import tempfile
from pathlib import Path
from typing import Literal, Self

import trustme

from support.loop_thread import LoopThread, stop_listening

Certificate = Literal["good", "wrong_name", "expired", "unknown_ca", "self_signed"]
_NAMES = ("localhost", "127.0.0.1", "::1")


class TlsFront:
    def __init__(self, server_port: int, certificate: Certificate = "good", *, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = 0
        self.ca_file = ""
        self._server_port = server_port
        self._certificate = certificate
        self._folder = tempfile.TemporaryDirectory()
        self._thread = LoopThread("tls-front")
        self._serving: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._thread.run(self._start())
        return self

    def __exit__(self, *_exc: object) -> None:
        self._thread.run(self._stop())
        self._thread.stop()
        self._folder.cleanup()

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, 0, ssl=self._context())
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        """Nothing is left open: a writer that outlives its loop would complain when it is collected."""
        await stop_listening(self._server)
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _context(self) -> ssl.SSLContext:
        trusted = trustme.CA()
        self.ca_file = str(Path(self._folder.name) / "ca.pem")
        trusted.cert_pem.write_to_path(self.ca_file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self._certificate == "self_signed":
            alone = trustme.CA()
            pem = Path(self._folder.name) / "alone.pem"
            pem.write_bytes(alone.private_key_pem.bytes() + alone.cert_pem.bytes())
            context.load_cert_chain(pem)
            return context
        issuer = trustme.CA() if self._certificate == "unknown_ca" else trusted
        names = ("redis.example",) if self._certificate == "wrong_name" else _NAMES
        yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        not_after = yesterday if self._certificate == "expired" else None
        issuer.issue_cert(*names, not_after=not_after).configure_cert(context)
        return context

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            try:
                await self._pass_on(reader, writer)
            finally:
                writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        try:
            up = asyncio.create_task(_copy(reader, server_writer))
            down = asyncio.create_task(_copy(server_reader, writer))
            _, rest = await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
        finally:
            server_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
