"""Do two adjacent minor versions share a queue and a database, and is the way back open? Both run as processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.editions import PREVIOUS, ROOT, Edition, EditionWorker, fetch_previous
from support.server import PrivateServer
from support.store import Store

from oxcart.testing import wait_until

JOBS = 12
"""Of each kind in each batch."""

KEY = "00112233445566778899aabbccddeeff" * 2


@pytest.fixture(scope="module")
def previous_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fetch_previous(tmp_path_factory.mktemp("previous"))


@pytest.fixture
def environ(fresh_server: PrivateServer, queue_name: str, tmp_path: Path) -> dict[str, str]:
    """Jobs run a second at most, and a worker that is told to stop has ten: nothing runs twice for a good reason."""
    return {
        "REDIS_URL": fresh_server.url,
        "EFFECTS_URL": fresh_server.url,
        "JOB_QUEUE_NAME": queue_name,
        "JOB_CONCURRENCY": "5",
        "PORT": "0",
        "OXCART_KEEP_COMPLETED": "all",
        "OXCART_KEEP_FAILED": "all",
        "OXCART_SHUTDOWN_GRACE_SECONDS": "10",
        "DATABASE_URL": f"sqlite:///{tmp_path}/crm.db",
        "ENCRYPTION_KEY": KEY,
    }


@pytest.fixture
def old(previous_source: Path, environ: dict[str, str]) -> Edition:
    return Edition("old", previous_source, environ)


@pytest.fixture
def new(environ: dict[str, str]) -> Edition:
    return Edition("new", ROOT / "src", environ)


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[[Edition], EditionWorker]]:
    workers: list[EditionWorker] = []

    def start(edition: Edition) -> EditionWorker:
        workers.append(edition.start_worker(tmp_path / f"worker-{len(workers)}.log"))
        return workers[-1]

    yield start
    for worker in workers:
        worker.end()


class Progress:
    """What the handlers of both editions have done."""

    def __init__(self, store: Store, queue_name: str) -> None:
        self._client: Any = store.client
        self._key = f"effects:{queue_name}"

    def notes(self) -> list[list[str]]:
        return [note.split(" ") for note in self._client.lrange(self._key, 0, -1)]

    def has_done(self, number: int, by: str) -> bool:
        return sum(what == "done" and edition == by for what, _, edition in self.notes()) >= number

    def done_by(self) -> Counter[str]:
        return Counter(edition for what, _, edition in self.notes() if what == "done")

    def times(self, what: str) -> Counter[str]:
        return Counter(job_id for noted, job_id, _ in self.notes() if noted == what)

    def beats_by(self) -> set[str]:
        return {by for what, job_id, by in self.notes() if what == "done" and job_id.startswith("repeat:beat:")}


@pytest.fixture
def progress(store: Store, queue_name: str) -> Progress:
    return Progress(store, queue_name)


def ended(store: Store, batches: list[dict[str, list[str]]]) -> bool:
    failed = [job_id for batch in batches for job_id in batch["bad"]]
    others = [job_id for batch in batches for kind, ids in batch.items() if kind != "bad" for job_id in ids]
    return store.ended(others) and store.ended(failed, "failed")


@pytest.mark.timeout(180)
async def test_a_queue_goes_from_the_previous_version_to_this_one_and_back(
    old: Edition, new: Edition, start: Callable[[Edition], EditionWorker], store: Store, progress: Progress
) -> None:
    """Old alone, both at once, new alone, back to old: with jobs of every kind added by both at each step."""
    batches = [await old("add", str(JOBS)), await new("add", str(JOBS))]
    await old("schedule")

    old_worker = start(old)
    await wait_until(partial(progress.has_done, JOBS, "old"), describe="the old one works alone", timeout=60)
    new_worker = start(new)
    batches += [await new("add", str(JOBS)), await old("add", str(JOBS))]
    await wait_until(partial(progress.has_done, JOBS, "new"), describe="both work", timeout=60)
    assert await old_worker.stop() == 0
    batches.append(await old("add", str(JOBS)))
    await new("schedule")
    await wait_until(lambda: "new" in progress.beats_by(), describe="the new one keeps the beat", timeout=60)
    assert await new_worker.stop() == 0
    batches.append(await new("add", str(JOBS)))
    before = progress.done_by()["old"]
    old_worker = start(old)
    await wait_until(partial(progress.has_done, before + JOBS, "old"), describe="the old one is back", timeout=60)
    await wait_until(lambda: ended(store, batches), describe="all have ended", timeout=60)
    assert await old("unschedule") is True
    assert await old_worker.stop() == 0

    assert_none_lost_none_twice(batches, store, progress)
    assert await old("counts") == await new("counts")
    assert progress.beats_by() == {"old", "new"}


def assert_none_lost_none_twice(batches: list[dict[str, list[str]]], store: Store, progress: Progress) -> None:
    started, done = progress.times("started"), progress.times("done")
    for batch in batches:
        for kind in ("plain", "delayed", "prioritized", "report"):
            assert [(started[job_id], done[job_id]) for job_id in batch[kind]] == [(1, 1)] * JOBS, kind
            store.assert_ended_once(batch[kind])
        assert [store.text(job_id, "returnvalue") for job_id in batch["report"]] == ["3"] * JOBS
        assert [(started[job_id], done[job_id]) for job_id in batch["flaky"]] == [(2, 1)] * JOBS
        store.assert_ended_once(batch["flaky"], attempts=2)
        assert [(started[job_id], done[job_id]) for job_id in batch["bad"]] == [(1, 0)] * JOBS
        store.assert_ended_once(batch["bad"], "failed")
    pages = len(batches) * JOBS * 2
    beats = [job_id for job_id in started if job_id.startswith("repeat:beat:")]
    assert all(started[job_id] == 1 for job_id in beats), "a schedule's job ran twice"
    assert len(started) == sum(len(ids) for batch in batches for ids in batch.values()) + pages + len(beats)


async def test_the_crms_database_of_the_previous_version_is_read(old: Edition, new: Edition) -> None:
    """Accounts and their sealed tokens. It goes forward only: docs/upgrading.md says so."""
    await old("connect", "one.kommo.com")

    assert await new("accounts") == {"one.kommo.com": ["access of one.kommo.com", "refresh of one.kommo.com"]}

    await new("connect", "two.kommo.com")
    both = await new("accounts")
    assert set(both) == {"one.kommo.com", "two.kommo.com"}
    assert both["two.kommo.com"] == ["access of two.kommo.com", "refresh of two.kommo.com"]


def test_the_previous_version_is_the_minor_one_before_this() -> None:
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    major, minor = (int(part) for part in PREVIOUS.split("."))

    assert version.startswith(f"{major}.{minor + 1}.")
