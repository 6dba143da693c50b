"""Can an operator steer a running worker by HTTP, and nobody else?"""

from __future__ import annotations

import pytest
from support.http_site import serving

from oxcart.errors import OxcartError
from oxcart.secret import Secret
from oxcart.worker.controls import Command


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("pause", Command("pause")),
        ("resume", Command("resume")),
        ("concurrency?slots=4", Command("concurrency", 4)),
        ("concurrency?slots=10000", Command("concurrency", 10_000)),
    ],
)
def test_a_change_is_passed_on(path: str, command: Command) -> None:
    with serving() as running:
        answer = running.post(f"/worker/{path}")

        assert answer.status == 202
        assert answer.content == {"accepted": str(command)}
        assert running.steered == [command]
        assert Command.parse(str(command)) == command


@pytest.mark.parametrize(
    "path", ["stop", "pause?slots=4", "concurrency", "concurrency?slots=0", "concurrency?slots=10001", "resume%0apause"]
)
def test_what_makes_no_sense_is_refused_with_what_can_be_done(path: str) -> None:
    with serving() as running:
        answer = running.post(f"/worker/{path}")

        assert answer.status == 422
        assert "pause, resume, and concurrency" in answer.content["error"]
        assert running.steered == []


def test_only_operators_may_and_only_by_post() -> None:
    with serving(tokens=(Secret("s3cret"),)) as running:
        assert running.post("/worker/pause").status == 401
        assert running.get("/worker/pause", Authorization="Bearer s3cret").status == 405
        assert running.steered == []
        assert running.post("/worker/pause", {"Authorization": "Bearer s3cret"}).status == 202


def test_a_worker_that_does_not_run_yet_is_no_fault() -> None:
    def refuse(_: Command) -> None:
        raise OxcartError("no worker runs")

    with serving(steer=refuse) as running:
        answer = running.post("/worker/pause")

    assert (answer.status, answer.content) == (503, {"error": "no worker runs"})
