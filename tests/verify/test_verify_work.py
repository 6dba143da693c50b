"""Does `oxcart verify` see a worker that answers and yet does not work? Old release, storms, refused and lost jobs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.http_answers import Fixed, fake_site

from oxcart.doctor.report import to_json
from oxcart.errors import JobFailed
from oxcart.secret import Secret

from .conftest import WorkerAnswers, states, told, verified

OLD, NEW = "6bdcd911aa00bb11cc22dd33ee44ff5566778899", "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("expected", [OLD, OLD[:7], OLD.upper()])
async def test_the_expected_release_may_be_shortened(answers: WorkerAnswers, expected: str) -> None:
    with fake_site(answers.by_path()) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}", expected_release=expected)

    assert told(diagnosis) == "ok"


@pytest.mark.parametrize("expected", [NEW, "6bdcd", ""])
async def test_another_release_fails(answers: WorkerAnswers, expected: str) -> None:
    with fake_site(answers.by_path()) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}", expected_release=expected)

    assert told(diagnosis) == "VERIFY_RELEASE_OLD"
    assert states(diagnosis)["verify-health"] == "skipped"


async def test_a_worker_that_does_not_know_its_release_is_told_how(answers: WorkerAnswers) -> None:
    answers.health["release"] = None
    with fake_site(answers.by_path()) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}", expected_release=NEW)

    assert told(diagnosis) == "VERIFY_RELEASE_UNKNOWN"
    assert diagnosis.verdict is not None
    assert "OXCART_RELEASE" in diagnosis.verdict.action


async def test_waiting_lasts_until_the_new_release_answers_and_tells_each_reason_once(answers: WorkerAnswers) -> None:
    """A deploy: nothing, the platform's 502, the old release, the new one that still connects, and then all is well."""
    steps = [
        *[Fixed(502, "bad gateway")] * 2,
        *[Fixed(200, answers.health)] * 2,
        *[Fixed(503, {**answers.health, "release": NEW, "redis": {"connected": False, "error": "connecting"}})] * 3,
    ]
    well = {**answers.health, "release": NEW}
    by_path = {**answers.by_path(), "/health": lambda: steps.pop(0) if steps else Fixed(200, well)}
    reasons: list[str] = []
    with fake_site(by_path) as site:
        diagnosis = await verified(
            f"http://127.0.0.1:{site.port}", wait=60, expected_release=NEW, on_wait=reasons.append
        )

    assert told(diagnosis) == "ok"
    assert steps == []
    assert [reason.split(".")[0].split(",")[0] for reason in reasons] == [
        "The platform answers 502 in the worker's place",
        "6bdcd911aa00 runs",
        "connecting",
    ]


@pytest.mark.parametrize("age", [31.0, None])
async def test_a_fetch_loop_that_hears_nothing_fails(answers: WorkerAnswers, age: float | None) -> None:
    answers.health["redis"]["lastFetchAgeSeconds"] = age
    with fake_site(answers.by_path()) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}")

    assert told(diagnosis) == "VERIFY_NOT_FETCHING"


async def test_jobs_that_nobody_handles_are_a_warning(answers: WorkerAnswers) -> None:
    answers.health["worker"]["unknownJobs"] = ["agent:run"]
    with fake_site(answers.by_path()) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}")

    assert states(diagnosis)["verify-problems"] == "warning"
    assert diagnosis.verdict is None


async def test_a_problem_that_this_version_does_not_know_is_told_as_the_worker_says_it(answers: WorkerAnswers) -> None:
    answers.health["problems"] = [{"code": "NEW_ONE", "queue": "crm", "summary": "It is odd.", "advice": "Mend it."}]
    with fake_site(answers.by_path()) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}")

    (seen,) = [check for check in to_json(diagnosis)["checks"] if check["id"] == "verify-problems"]
    assert (seen["state"], seen["hint"]) == ("warning", "Mend it.")
    assert "It is odd." in seen["evidence"]


async def test_a_refused_queue_fails_with_its_code(answers: WorkerAnswers) -> None:
    answers.health["redis"] |= {"error": "Redis refuses to work on queue bad.", "errorCode": "WRONGTYPE", "advice": "x"}
    with fake_site(answers.by_path()) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}")

    assert told(diagnosis) == "WRONGTYPE"


async def test_an_error_in_the_metrics_fails(answers: WorkerAnswers) -> None:
    answers.metrics["redis"]["lastError"] = "The server refused the connection."
    with fake_site(answers.by_path()) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}")

    assert told(diagnosis) == "VERIFY_LAST_ERROR"


@pytest.mark.parametrize(("tried", "state"), [(0, "ok"), (1, "warning"), (5, "failed")])
async def test_a_reconnect_between_two_reads_warns_and_a_storm_fails(
    answers: WorkerAnswers, tried: int, state: str
) -> None:
    def metrics() -> Fixed:
        content: dict[str, Any] = {**answers.metrics, "redis": {**answers.metrics["redis"]}}
        answers.metrics["redis"]["reconnectAttempts"] += tried
        return Fixed(200, content)

    with fake_site({**answers.by_path(), "/metrics": metrics}) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}")

    assert states(diagnosis)["verify-metrics"] == state


async def test_metrics_that_are_kept_away_fail(answers: WorkerAnswers) -> None:
    by_path = answers.by_path()
    del by_path["/metrics"]
    with fake_site(by_path) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}")

    assert told(diagnosis) == "VERIFY_METRICS"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Fixed(401, {"error": "This needs the header"}), "VERIFY_TOKEN"),
        (Fixed(403, {"error": "This is open to"}), "VERIFY_TOKEN"),
        (Fixed(503, {"error": "The test job has no result after 30 s."}), "VERIFY_CANARY"),
        (Fixed(404, "no such route"), "VERIFY_CANARY"),
        (Fixed(200, {"ok": False}), "VERIFY_CANARY"),
    ],
)
async def test_a_canary_that_does_not_get_through(answers: WorkerAnswers, answer: Fixed, verdict: str) -> None:
    answers.canary = answer
    with fake_site(answers.by_path()) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}", token=Secret("t0ken-xyz"))

    assert told(diagnosis) == verdict
    assert "t0ken-xyz" not in repr(diagnosis)


async def test_without_a_token_a_refusal_says_nothing_about_the_worker(answers: WorkerAnswers) -> None:
    """A container sees this machine's request as one from outside."""
    answers.canary = Fixed(403, {"error": "This is open to the worker's own machine only"})
    with fake_site(answers.by_path()) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}")

    assert states(diagnosis)["verify-canary"] == "skipped"
    assert diagnosis.verdict is None


async def test_the_canary_can_be_left_out(answers: WorkerAnswers) -> None:
    with fake_site(answers.by_path()) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}", wants_canary=False)

    assert states(diagnosis)["verify-canary"] == "skipped"
    assert diagnosis.verdict is None
    assert "POST" not in {method for method, _, _ in site.seen}


async def test_jobs_that_stalled_since_the_start_of_a_young_worker_fail(answers: WorkerAnswers) -> None:
    """Its counters begin with the deploy: whatever they show, the deploy has done."""
    answers.metrics["worker"]["uptime"] = 90.0
    answers.stalled = 2
    with fake_site(answers.by_path()) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}")

    assert told(diagnosis) == "VERIFY_STALLED"


async def test_what_stalled_long_ago_is_not_this_deploys(answers: WorkerAnswers) -> None:
    answers.stalled = 2
    with fake_site(answers.by_path()) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}")

    assert told(diagnosis) == "ok"


@pytest.mark.parametrize(
    ("failed", "completed", "verdict"), [(9, 1, "VERIFY_FAILED_JOBS"), (4, 0, "ok"), (9, 90, "ok")]
)
async def test_a_release_whose_jobs_mostly_fail_is_found_out(
    answers: WorkerAnswers, failed: int, completed: int, verdict: str
) -> None:
    answers.metrics["worker"]["uptime"] = 90.0
    answers.metrics["jobs"] = {"completed": completed, "failed": failed}
    with fake_site(answers.by_path()) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}")

    assert told(diagnosis) == verdict


async def test_a_canary_by_redis_is_used_without_a_token_and_its_failure_is_told(
    answers: WorkerAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oxcart.doctor import verify_work
    from oxcart.doctor.deployment import Deployment

    asked: list[str] = []

    async def fails(queue: str) -> str:
        asked.append(queue)
        await asyncio.sleep(0)
        raise JobFailed("ox-1", "boom")

    deployment = Deployment("https://worker.example", 0.0, enqueue=fails, health=answers.health)
    finding = await verify_work.canary(deployment)

    assert asked == ["agent-jobs"]
    assert finding.code == "VERIFY_CANARY"
    assert "boom" in finding.summary
