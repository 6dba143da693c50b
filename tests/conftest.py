"""What does every test get? A cleared environment, a real server, and a check of the keys it left on that server."""

from __future__ import annotations

import faulthandler
import os
import uuid
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from hypothesis import settings
from redis.asyncio import Redis
from support.editions import is_without_history
from support.keys import remove_keys, unknown_keys
from support.server import PrivateServer

from oxcart.language import ENGLISH, language_of

# How long one example takes says more about the machine than about the code.
settings.register_profile("oxcart", deadline=None)
settings.load_profile("oxcart")

LAST_LIMIT_SECONDS = 310

# What a developer's machine or a platform may have set, and what a test must set itself if it wants it.
SETTINGS = (
    "REDIS",
    "UPSTASH",
    "OXCART",
    "JOB_",
    "KOMMO",
    "RAILWAY",
    "RENDER",
    "DYNO",
    "KUBERNETES_",
    "SUPABASE",
    "SENTRY",
    "DATABASE_URL",
    "ENCRYPTION_KEY",
    "LOG_LEVEL",
    "PORT",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--renew-screens", action="store_true", help="keep tests/cli/screens as they are now")
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes each")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Left out, not skipped: they are for a change of the worker's heart, and for before a release."""
    if not config.getoption("--slow"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "takes_seconds: waits for real time, so runs half as often (support/matrix.py)")
    config.addinivalue_line("markers", "slow: takes a minute or so; left out unless it is asked for: --slow")


@pytest.fixture(autouse=True)
def cleared_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith(SETTINGS)]:
        monkeypatch.delenv(name)
    if language_of(os.environ) != ENGLISH:
        monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateServer]:
    """The server of this test process, shared by its tests: host, port, password, url. Leave it as it is."""
    server = PrivateServer(tmp_path_factory.mktemp("server"), append_only=False)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def fresh_server(tmp_path: Path) -> Iterator[PrivateServer]:
    """A running server of this test alone, append-only file on: to kill, restart (with or without data), freeze."""
    folder = tmp_path / "fresh-server"
    folder.mkdir()
    server = PrivateServer(folder, append_only=True)
    server.start()
    yield server
    server.thaw() if server.is_running() else server.start()
    try:
        assert_keys_are_known(server)
    finally:
        server.kill()


@pytest.fixture
def redis_url(server: PrivateServer) -> str:
    return server.url


@pytest.fixture
def queue_name() -> str:
    """A queue of this test alone. Further queues begin with the same name, so that they are removed with it."""
    return f"q{uuid.uuid4().hex[:10]}"


@pytest.fixture
async def redis(server: PrivateServer) -> AsyncIterator[Redis]:
    """redis-py as it comes (asyncio, replies as str): for looking at keys, past our own code."""
    async with Redis(
        host=server.host, port=server.port, password=server.password, decode_responses=True, protocol=2
    ) as client:
        yield client


@pytest.fixture(autouse=True)
def checked_keys(request: pytest.FixtureRequest) -> Iterator[None]:
    """After the test: every key under `bull:` is one that BullMQ knows, or a receipt of ours."""
    if "server" not in request.fixturenames:
        yield
        return
    server: PrivateServer = request.getfixturevalue("server")
    queue_name = request.getfixturevalue("queue_name") if "queue_name" in request.fixturenames else None
    yield
    try:
        assert_keys_are_known(server)
    finally:
        if queue_name is not None:
            with server.client() as client:
                remove_keys(client, f"bull:{queue_name}*")


def assert_keys_are_known(server: PrivateServer) -> None:
    """Fail with the unknown keys, and remove them: the next test is not to blame."""
    with server.client() as client:
        unknown = unknown_keys(client)
        for line in unknown:
            client.unlink(line.rpartition(" (")[0])
    assert not unknown, f"keys that BullMQ does not know: {', '.join(unknown)}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    return (yield from _bounded(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    return (yield from _bounded(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    return (yield from _bounded(item))


def _bounded(item: pytest.Item) -> Generator[None]:
    """The time limit of a test is an exception in its main thread, which a border of ours around handlers may swallow,
    and set-up has none. So at last the process ends, with all threads' stacks; xdist names the test and starts another.
    A search that somebody asked for has no end: timeout(0).
    """
    limit = item.get_closest_marker("timeout")
    if limit is not None and limit.args == (0,):
        return (yield)
    stderr = item.config.stash.get(fault_handler_stderr_fd_key, 2)
    faulthandler.dump_traceback_later(LAST_LIMIT_SECONDS, exit=True, file=stderr)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing is skipped: a missing tool there is a fault of CI. But what a clone lacks, CI cannot install."""
    report = yield
    is_allowed = hasattr(report, "wasxfail") or is_without_history(report.longrepr)
    if report.skipped and not is_allowed and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"Skipped, but CI skips nothing: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole file that skips itself."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"Skipped, but CI skips nothing: {report.longrepr}"
    return report
