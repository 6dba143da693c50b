"""Does Sentry get what an operator needs, and nothing of a job's data? The SDK is real, its transport is ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from oxcart.secret import Secret
from oxcart.telemetry.events import FinishedJob, JobsFinished
from oxcart.telemetry.sentry import sentry_subscriber


class Kept(Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        event = envelope.get_event()
        if event is not None:
            self.events.append(dict(event))


@pytest.fixture
def sent() -> Iterator[list[dict[str, Any]]]:
    transport = Kept()
    subscriber = sentry_subscriber(Secret("https://key@sentry.invalid/1"), release="abc123", version="0.1.0")
    assert subscriber is not None
    client = sentry_sdk.get_client()
    client.transport = transport
    finished = FinishedJob("7", "greet", "failed", 1.0, 2.0, 3, "boom", None)
    done = FinishedJob("8", "greet", "completed", 1.0, 2.0, 1, None, None)
    subscriber(JobsFinished("crm", [finished, done]))
    yield transport.events
    client.close(timeout=0)


def test_a_dead_letter_is_reported_once_with_its_job(sent: list[dict[str, Any]]) -> None:
    (event,) = sent

    assert event["message"] == "Job greet failed: boom"
    assert event["level"] == "error"
    assert event["release"] == "abc123"
    assert event["tags"] == {"event": "job.failed", "queue": "crm", "jobName": "greet", "jobId": "7"}
