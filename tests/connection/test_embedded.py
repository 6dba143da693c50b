"""Does a folder have exactly one server, for exactly as long as somebody uses it? With real processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import AuthenticationError, ConnectionError, Redis  # noqa: A004 - not the built-in one

from oxcart.connection.embedded import EmbeddedServer, embedded_server
from oxcart.testing import wait_until

USER = Path(__file__).with_name("user_of_embedded.py")


class User:
    """A process that uses the server of a folder."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(USER), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def answer(self) -> dict[str, Any]:
        """Blocks until the process has the server, or was refused it."""
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def leave(self) -> None:
        self.process.communicate(timeout=10)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=10)


class Users(list[User]):
    def join(self, folder: Path) -> User:
        self.append(User(folder))
        return self[-1]


@pytest.fixture
def users() -> Iterator[Users]:
    users = Users()
    yield users
    for user in users:
        user.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the server of a test lives; whatever still runs there afterwards is ended, and fails the next assertion."""
    folder = tmp_path / ".oxcart"
    yield folder
    for process in servers_of(folder):
        process.kill()


def servers_of(folder: Path) -> list[psutil.Process]:
    """Every valkey-server that works in this folder."""
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):
            if process.info["name"] == "valkey-server" and process.cwd() == str(folder):
                found.append(process)
    return found


def watchdogs_of(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.Error):
            words = process.info["cmdline"] or []
            if str(folder) in words and any(word.endswith("embedded_watchdog.py") for word in words):
                found.append(process)
    return found


def client_of(server: EmbeddedServer) -> Redis:
    return Redis(host=server.host, port=server.port, password=server.password.reveal(), decode_responses=True)


async def has_stopped(folder: Path) -> None:
    await wait_until(lambda: not servers_of(folder), describe="the server has stopped", timeout=15)
    await wait_until(lambda: not watchdogs_of(folder), describe="its watchdog has ended", timeout=15)


async def test_two_processes_share_one_server(folder: Path, users: Users) -> None:
    first = users.join(folder).answer()

    second = users.join(folder).answer()

    assert first == second
    assert len(servers_of(folder)) == 1


async def test_five_processes_that_start_at_once_get_one_server(folder: Path, users: Users) -> None:
    started = [users.join(folder) for _ in range(5)]

    answers = [user.answer() for user in started]

    assert len({answer["port"] for answer in answers}) == 1
    assert len(servers_of(folder)) == 1


async def test_the_server_outlives_the_killed_process_that_started_it(folder: Path, users: Users) -> None:
    starter = users.join(folder)
    starter.answer()
    async with embedded_server(folder) as server:
        [process] = servers_of(folder)

        starter.kill()
        idle_looks = 8  # the watchdog would have stopped it within these
        with client_of(server) as client:
            for _ in range(idle_looks):
                assert client.blpop(["nothing"], timeout=0.3) is None

        assert servers_of(folder) == [process]


async def test_the_server_stops_when_its_last_user_leaves(folder: Path, users: Users) -> None:
    first, second = users.join(folder), users.join(folder)
    first.answer()
    second.answer()

    first.leave()
    second.leave()

    await has_stopped(folder)
    assert not (folder / "server.json").exists()


async def test_the_server_stops_when_its_last_user_is_killed(folder: Path, users: Users) -> None:
    only = users.join(folder)
    only.answer()

    only.kill()

    await has_stopped(folder)


async def test_a_user_that_comes_while_the_server_stops_gets_a_server(folder: Path) -> None:
    """The moment between the last user and the end of the server is where a careless design loses somebody."""
    for _ in range(3):
        async with embedded_server(folder) as server:
            with client_of(server) as client:
                assert client.ping()
        await wait_until(lambda: not servers_of(folder), describe="the server has ended, its watchdog perhaps not")


async def test_data_survive_the_end_of_the_server(folder: Path) -> None:
    async with embedded_server(folder) as server:
        with client_of(server) as client:
            client.set("kept", "yes")
    await has_stopped(folder)

    async with embedded_server(folder) as server:
        with client_of(server) as client:
            assert client.get("kept") == "yes"


async def test_a_crashed_server_comes_back_on_its_port_with_its_data(folder: Path) -> None:
    async with embedded_server(folder) as server:
        with client_of(server) as client:
            client.set("kept", "yes")
        [crashed] = servers_of(folder)

        crashed.kill()

        def kept() -> str | None:
            with contextlib.suppress(ConnectionError), client_of(server) as client:
                return str(client.get("kept"))
            return None

        assert await wait_until(kept, describe="the server answers again") == "yes"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
async def test_no_server_is_left_when_its_watchdog_is_killed(folder: Path, users: Users) -> None:
    user = users.join(folder)
    user.answer()
    [watchdog] = watchdogs_of(folder)

    watchdog.kill()

    await wait_until(lambda: not servers_of(folder), describe="the server has ended")


async def test_a_server_that_outlived_its_watchdog_is_ended_before_a_new_one_writes(folder: Path) -> None:
    """Two servers on one append-only file would destroy it. A stopped process stands for one that is slow to end."""
    async with embedded_server(folder):
        [old] = servers_of(folder)
        [watchdog] = watchdogs_of(folder)
        old.suspend()
        watchdog.kill()
        await wait_until(lambda: not watchdogs_of(folder), describe="the watchdog is gone")

        joining = asyncio.create_task(enter_and_leave(folder))
        await wait_until(lambda: watchdogs_of(folder), describe="the next watchdog waits")
        assert servers_of(folder) == [old]
        old.resume()

        await joining


async def enter_and_leave(folder: Path) -> int:
    async with embedded_server(folder) as server:
        assert len(servers_of(folder)) == 1
        return server.port


async def test_stale_and_damaged_files_do_not_matter(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "users.lock").touch()
    (folder / "watchdog.lock").write_text("12345")
    (folder / "server.json").write_text('{"pid": 1, "po')
    (folder / "password").write_text("half a passw")

    async with embedded_server(folder) as server, asyncio.timeout(20):
        with client_of(server) as client:
            assert client.ping()


async def test_a_stale_port_that_another_program_has_taken_is_not_used(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (folder / "server.json").write_text(json.dumps({"pid": os.getpid(), "port": port, "version": "9.1.2"}))

        async with embedded_server(folder) as server:
            assert server.port != port


async def test_a_copy_of_a_folder_in_use_has_a_server_of_its_own(folder: Path, tmp_path: Path) -> None:
    async with embedded_server(folder) as server:
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)

        async with embedded_server(copy) as server_of_copy:
            assert server_of_copy.port != server.port
    await has_stopped(copy)


async def test_only_the_owner_can_read_the_folder_and_what_is_in_it(folder: Path) -> None:
    async with embedded_server(folder):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}

    assert modes.pop(".oxcart") == 0o700
    assert modes.pop("appendonlydir") == 0o700
    assert modes.pop("password") == 0o600
    del modes[".gitignore"]
    assert set(modes.values()) == {0o600}


async def test_a_password_is_required_and_not_shown(folder: Path) -> None:
    async with embedded_server(folder) as server:
        with Redis(host=server.host, port=server.port) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        [process] = servers_of(folder)

        secret = server.password.reveal()
        assert secret not in f"{server!r} {server.url_masked} {process.cmdline()} {process.environ()}"
        assert secret not in (folder / "server.log").read_text()


async def test_the_server_listens_on_loopback_only_and_never_evicts(folder: Path) -> None:
    async with embedded_server(folder) as server:
        [process] = servers_of(folder)

        assert {connection.laddr.ip for connection in process.net_connections() if connection.status == "LISTEN"} == {
            "127.0.0.1"
        }
        with client_of(server) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("appendonly") == {"appendonly": "yes"}
            assert client.config_get("appendfsync") == {"appendfsync": "everysec"}


async def test_a_long_path_does_not_matter(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 8) / ".oxcart"

    async with embedded_server(folder) as server:
        with client_of(server) as client:
            assert client.ping()
    await has_stopped(folder)


async def test_ctrl_c_at_the_terminal_of_a_user_leaves_the_server_to_the_others(folder: Path, users: Users) -> None:
    starter = users.join(folder)
    starter.answer()
    async with embedded_server(folder) as server:
        [watchdog] = watchdogs_of(folder)

        starter.process.send_signal(signal.SIGINT)
        starter.leave()

        assert os.getsid(watchdog.pid) != os.getsid(0)
        with client_of(server) as client:
            assert client.ping()
