"""Which Redis is measured against? One of our own: Debian's where it is installed, else the embedded Valkey.

`BENCH_SERVER=embedded` takes the embedded one in any case.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from lab.probe import Probe

HOST = "127.0.0.1"
START_SECONDS = 20


def server_binary() -> str:
    found = shutil.which("redis-server")
    if found is not None and os.environ.get("BENCH_SERVER") != "embedded":
        return found
    from oxcart.connection.embedded import find_binary

    return str(find_binary())


def free_port() -> int:
    with socket.create_server((HOST, 0)) as taken:
        return int(taken.getsockname()[1])


class BenchServer:
    """A server without snapshots; `append_only` writes each command to its file, once a second to the disk."""

    def __init__(self, *, append_only: bool = False) -> None:
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="oxcart-bench-")
        log = Path(self._folder.name) / "server.log"
        self._process = subprocess.Popen(
            [
                *(server_binary(), "--port", str(self.port), "--bind", HOST, "--dir", self._folder.name, "--save", ""),
                *("--appendonly", "yes" if append_only else "no", "--logfile", str(log)),
            ],
            stdout=subprocess.DEVNULL,
        )
        self.probe = self._connect(log)

    def _connect(self, log: Path) -> Probe:
        give_up = time.monotonic() + START_SECONDS
        while True:
            try:
                return Probe(HOST, self.port)
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > give_up:
                    raise RuntimeError(f"Starting {server_binary()}: it does not answer. {log.read_text()}") from error
                time.sleep(0.02)

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    @property
    def version(self) -> str:
        facts = self.probe.info()
        valkey = facts.get(b"valkey_version")
        return f"Valkey {valkey.decode()}" if valkey else f"Redis {facts[b'redis_version'].decode()}"

    def empty(self) -> None:
        self.probe.ask("FLUSHALL", "SYNC")

    def close(self) -> None:
        self.probe.close()
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
