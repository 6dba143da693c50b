"""How do tests get a PostgreSQL? Debian's, as a cluster of the test process's own, and Debian's pooler before it.

PostgreSQL refuses to run as root: there another user owns the cluster.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path

import asyncpg

LIMIT_SECONDS = 60


def find_binary(name: str) -> Path | None:
    """Debian keeps all but the client's programs out of PATH."""
    found = shutil.which(name) or shutil.which(f"/usr/sbin/{name}")
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return Path(found) if found else next(reversed(versions), None)


class PostgresCluster:
    """`url(database)` is for the superuser `postgres`, whose password is random."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="oxcart-postgres-"))
        self.port = _free_port()
        self.password = uuid.uuid4().hex
        self._owner = _unprivileged_user()

    def start(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        if self._owner is not None:
            entry = pwd.getpwnam(self._owner)
            for path in (self.folder, secret):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        data = ["-D", str(self.folder / "data")]
        login = ["--username=postgres", f"--pwfile={secret}", "--auth=scram-sha-256"]
        self._run("initdb", *data, *login, "--no-sync", "--encoding=UTF8", "--locale=C")
        options = (
            f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=60 "
            "-c shared_buffers=16MB"
        )
        self._run("pg_ctl", *data, "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        try:
            self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    async def make_database(self) -> str:
        name = f"t{uuid.uuid4().hex[:12]}"
        await self._execute(f"CREATE DATABASE {name}")
        return name

    async def is_empty(self, name: str) -> bool:
        connection = await asyncpg.connect(self.url(name))
        try:
            return not await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        finally:
            await connection.close()

    async def copy_database(self, source: str, name: str) -> None:
        """In place of the one that has this name. Nobody may be connected to either."""
        await self.drop_database(name)
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {source}")

    async def drop_database(self, name: str) -> None:
        await self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _run(self, program: str, *arguments: str) -> None:
        binary = find_binary(program)
        assert binary is not None
        as_owner = ["runuser", "-u", self._owner, "--"] if self._owner else []
        done = subprocess.run(
            [*as_owner, str(binary), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT_SECONDS,
            cwd=self.folder,
            text=True,
            check=False,
        )
        log = self.folder / "log"
        said = log.read_text() if done.returncode and log.exists() else ""
        assert done.returncode == 0, f"{program} failed: {done.stdout}{said}"


class TransactionPooler:
    """PgBouncer before a cluster: each transaction may get another of its two server connections."""

    def __init__(self, cluster: PostgresCluster) -> None:
        self.port = _free_port()
        self._cluster = cluster
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        cluster = self._cluster
        settings = cluster.folder / f"pooler-{self.port}.ini"
        login = f"host=127.0.0.1 port={cluster.port} user=postgres password={cluster.password}"
        settings.write_text(
            f"[databases]\n* = {login}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\n"
            "unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n"
        )
        binary = find_binary("pgbouncer")
        assert binary is not None
        owner = _unprivileged_user()
        as_owner = ["runuser", "-u", owner, "--"] if owner else []
        log = (cluster.folder / "pooler.log").open("wb")
        with log:
            self._process = subprocess.Popen(
                [*as_owner, str(binary), str(settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=cluster.folder,
            )

    def is_listening(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._cluster.folder / "pooler.log").read_text()
        with socket.socket() as caller:
            return caller.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(LIMIT_SECONDS)

    def url(self, database: str) -> str:
        return f"postgresql://postgres:any@127.0.0.1:{self.port}/{database}"


def _unprivileged_user() -> str | None:
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
