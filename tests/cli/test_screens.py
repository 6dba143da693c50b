"""How do answers look at a terminal of 80 and of 200 columns, in both languages? The screens are kept in screens/.

After a change: pytest tests/cli/test_screens.py --renew-screens, then look at each with your own eyes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.screen import SIZES, compare, screen

from oxcart import clock
from oxcart.checks import Check, Finding, failed, ok, warning
from oxcart.cli.job_view import Details, Listed, say_details, say_jobs
from oxcart.cli.status import Account, Status, say_queues, say_status
from oxcart.cli.telling import Teller
from oxcart.conditions import QueueFacts
from oxcart.connection.failures import failure_for
from oxcart.doctor.run import Diagnosis, Result, first_cause
from oxcart.doctor.upstash import Evidence, Rest, diagnose, shape_of
from oxcart.language import LANGUAGES, speaking
from oxcart.queue.inspect import StoredJob
from oxcart.queue.overview import Deploy, QueueOverview, Rates, Workers

SCREENS = Path(__file__).parent / "screens"
NOW = 1_764_547_200_000
NOTHING = {"waiting": 0, "paused": 0, "active": 0, "prioritized": 0, "delayed": 0, "failed": 0, "completed": 0}


def overview(queue: str, rates: tuple[float, float, float] = (0, 0, 0), **facts: object) -> QueueOverview:
    counts = {**NOTHING, **facts.pop("counts", {})}  # type: ignore[dict-item]
    seen = QueueFacts(queue, NOW, counts, **facts)  # type: ignore[arg-type]
    return QueueOverview(seen, Rates(*rates), Workers(2, 1), Deploy("0.4.0", "6bdcd911aa00", NOW - 720_000))


QUEUES = (
    overview(
        "agent-jobs",
        (61.2, 58.4, 1.25),
        counts={"waiting": 12_345, "active": 25, "delayed": 120, "failed": 3_002, "completed": 1000},
        oldest_id="ox1a230f6c14859d8659196c62127",
        oldest_name="crm:sync-contacts",
        oldest_since_ms=NOW - 4_000_000,
    ),
    overview("письма-и-уведомления-клиентам", counts={"paused": 7}, is_paused=True, paused_since_ms=NOW - 90_000),
    overview("oxcart", schedules=4, late_schedules=1, next_schedule_ms=NOW + 720_000),
)
STATUS = Status(
    "eu1-modern-hawk-14678.upstash.io:6379",
    0.83,
    "8.2.1",
    13_000_000,
    QUEUES,
    (Account("demo.kommo.com", None), Account("shop.kommo.com", "Token has been revoked")),
)


def job(number: int, **fields: str) -> Listed:
    stored = {
        "name": "crm:sync-contacts" if number % 2 else "a-name-that-somebody-made-much-too-long",
        "timestamp": str(NOW - 3_600_000),
        "data": '{"account":{"id":42,"domain":"demo.kommo.com"},"since":"2026-11-30T23:00:00Z","page":1}',
        "atm": str(number),
        "failedReason": "KommoUnavailable: demo.kommo.com answered 503 to GET /api/v4/contacts, after 3 tries",
        "finishedOn": str(NOW - 150_000 * number),
        "processedOn": str(NOW - 160_000 * number),
        "pb": "oxcart-1f2e3d4c",
        "progress": "40",
        "returnvalue": '{"contacts":250}',
        **fields,
    }
    return Listed(StoredJob(f"ox1a230f6c14859d8659196c6212{number}", "agent-jobs", stored), NOW - 150_000 * number)


JOBS = [job(number) for number in range(1, 4)]
CHECK: Check[object] = Check("tcp", "network", "the port answers", None, "Without it no job is fetched.")  # type: ignore[arg-type]


def diagnosis(*findings: Finding) -> Diagnosis:
    results = tuple(Result(CHECK, finding, 12) for finding in findings)
    verdict = first_cause(results)
    if verdict is not None and verdict.id == "TCP_REFUSED":
        token = shape_of("AXqyASQgNzc4ZWU1YTYtMTVhYS00YmQ0LWE3NzktdG9rZW4x", needs_stripping=False)
        verdict = diagnose(Evidence(token, rest=Rest.ACCEPTED, tcp=failure_for("TCP_REFUSED")))
    return Diagnosis(results, verdict)


def tell(made: Diagnosis) -> None:
    teller = Teller(quiet=False, verbose=False)
    for result in made.results:
        teller.tell(result)
    teller.conclude(made)


def doctor_fails() -> None:
    failure = failure_for("TCP_REFUSED")
    tell(diagnosis(ok("127.0.0.1"), failed(failure.code, failure.summary, failure.advice, evidence="ECONNREFUSED")))


def doctor_warns() -> None:
    tell(diagnosis(ok("127.0.0.1"), warning("QUEUE_PAUSED", "It is paused.", "Resume it: oxcart resume --queue crm")))


SHOWN: dict[str, Callable[[], None]] = {
    "status": lambda: say_status(STATUS),
    "queues": lambda: say_queues(QUEUES),
    "jobs-failed": lambda: say_jobs(JOBS, "failed"),
    "jobs-delayed": lambda: say_jobs([Listed(each.job, NOW + 90_000) for each in JOBS], "delayed"),
    "jobs-active": lambda: say_jobs(JOBS, "active"),
    "jobs-waiting": lambda: say_jobs(JOBS, "waiting"),
    "jobs-show": lambda: say_details(Details(job(1, data='{"account":42}').job, "failed", ["page 16", "page 17"], {})),
    "doctor-fails": doctor_fails,
    "doctor-warns": doctor_warns,
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("name", SHOWN)
def test_a_screen(
    name: str, size: tuple[int, int], language: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(clock, "wall_ns", lambda: NOW * 1_000_000)
    monkeypatch.setenv("TZ", "UTC")
    shown = screen(monkeypatch, size)

    with speaking(language):
        SHOWN[name]()

    kept = SCREENS / f"{name}-{size[0]}x{size[1]}-{language}.txt"
    compare(shown, kept, size, renew=request.config.getoption("--renew-screens"), scrolls=name == "jobs-show")
