"""Does an alert reach its receiver, once, and does the worker not care whether it does? A real HTTP receiver."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.command import Oxcart as SupervisedOxcart
from support.waiting import wait_until

from oxcart import Oxcart, Queue
from oxcart.errors import Failure, Kind
from oxcart.secret import Secret
from oxcart.serving import Service, plan
from oxcart.telemetry.alert_sender import AlertSender
from oxcart.telemetry.bus import Bus
from oxcart.telemetry.events import Event, JobsStalled, KommoReauthNeeded, RedisLost, WarningRaised

QUOTA = Failure("QUOTA_USED", Kind.QUOTA, True, "The month's commands are used up.", "Upgrade the plan.")
STALLED = JobsStalled("crm", ("7",))
LOST = RedisLost("redis.example", 6379, QUOTA)
TOKEN = "T0KEN-of-the-hook"


@dataclass
class Receiver:
    """What was POSTed, and how to answer: `statuses` in turn, the last one for all further requests."""

    statuses: list[int] = field(default_factory=lambda: [200])
    received: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    may_answer: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> Secret:
        return Secret(f"http://127.0.0.1:{self.port}/hook/{TOKEN}?room=ops")


@contextmanager
def receiving(*statuses: int) -> Iterator[Receiver]:
    receiver = Receiver(list(statuses) or [200])
    receiver.may_answer.set()

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.paths.append(self.path)
            receiver.received.append(json.loads(body))
            receiver.may_answer.wait(10)
            status = receiver.statuses.pop(0) if len(receiver.statuses) > 1 else receiver.statuses[0]
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        receiver.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.may_answer.set()
            server.shutdown()
            thread.join()


@contextmanager
def sending(url: Secret, **options: Any) -> Iterator[tuple[AlertSender, list[Event]]]:
    emitted: list[Event] = []
    about = {"service": "worker", "queueName": "crm", "release": "6bdcd911"}
    sender = AlertSender(url, emitted.append, about=about, look_seconds=0.01, retry_seconds=0.01, **options)
    sender.start()
    try:
        yield sender, emitted
    finally:
        sender.close()


async def test_an_alert_is_one_post_with_what_who_and_since_when() -> None:
    with receiving() as receiver, sending(receiver.url, clock=lambda: 1_000_000.0) as (sender, _):
        sender(LOST)
        await wait_until(lambda: receiver.received, describe="the alert has arrived")

    assert receiver.paths == [f"/hook/{TOKEN}?room=ops"]
    assert receiver.received == [
        {
            "schema": 1,
            "alert": "quota.used",
            "state": "raised",
            "severity": "error",
            "text": "Redis redis.example refuses commands: The month's commands are used up.",
            "advice": "Upgrade the plan.",
            "code": "QUOTA_USED",
            "since": "1970-01-12T13:46:40.000Z",
            "timestamp": "1970-01-12T13:46:40.000Z",
            "service": "worker",
            "queueName": "crm",
            "release": "6bdcd911",
        }
    ]


async def test_an_alert_about_a_kommo_account_names_it() -> None:
    with receiving() as receiver, sending(receiver.url) as (sender, _):
        sender(KommoReauthNeeded("connection-1", "demo.kommo.com", "the integration was removed"))
        await wait_until(lambda: receiver.received, describe="the alert has arrived")

    (told,) = receiver.received
    assert (told["alert"], told["account"], told["state"]) == ("kommo.reauth_needed", "demo.kommo.com", "raised")


async def test_time_alone_raises_an_alert_too() -> None:
    now = [0.0]
    transient = Failure("TCP_REFUSED", Kind.TRANSIENT, True, "Refused.", "Wait.")
    with receiving() as receiver, sending(receiver.url, clock=lambda: now[0]) as (sender, _):
        sender(RedisLost("redis.example", 6379, transient))
        now[0] = 61.0
        await wait_until(lambda: receiver.received, describe="the outage is told")

    assert [post["alert"] for post in receiver.received] == ["redis.away"]


async def test_a_receiver_that_fails_briefly_gets_the_alert_again() -> None:
    with receiving(503, 500, 204) as receiver, sending(receiver.url) as (sender, emitted):
        sender(STALLED)
        await wait_until(lambda: len(receiver.received) == 3, describe="it was tried three times")

    assert len({json.dumps(post) for post in receiver.received}) <= 3
    assert {post["alert"] for post in receiver.received} == {"jobs.stalled"}
    assert emitted == []


async def test_a_receiver_that_refuses_is_told_of_once_and_without_the_secret_part_of_its_url() -> None:
    with receiving(403) as receiver, sending(receiver.url) as (sender, emitted):
        sender(STALLED)
        sender(LOST)
        await wait_until(lambda: len(receiver.received) == 6, describe="both were tried three times")

    (warning,) = emitted
    assert isinstance(warning, WarningRaised)
    assert warning.code == "ALERT_NOT_SENT"
    assert "127.0.0.1: it answered 403" in warning.message
    assert TOKEN not in warning.message


async def test_a_dead_receiver_is_a_warning() -> None:
    with receiving() as receiver:
        url = receiver.url
    with sending(url) as (sender, emitted):
        sender(STALLED)
        await wait_until(lambda: emitted, describe="the failure was told")

    (warning,) = emitted
    assert isinstance(warning, WarningRaised)
    assert "Connection refused" in warning.message


async def test_a_receiver_that_does_not_answer_holds_up_nobody() -> None:
    """Events go on being counted, the waiting alerts stay few, and the end of the process is not late."""
    with receiving() as receiver:
        receiver.may_answer.clear()
        with sending(receiver.url) as (sender, _):
            sender(LOST)
            await wait_until(lambda: receiver.received, describe="the first alert hangs")
            for _ in range(10_000):
                sender(STALLED)


@pytest.mark.parametrize(
    ("host", "query", "expected"),
    [
        ("hooks.slack.com", "", {"text"}),
        ("api.telegram.org", "chat_id=-100123", {"chat_id", "text"}),
        ("alerts.example", "", {"alert", "text", "advice", "state"}),
    ],
)
def test_slack_and_telegram_get_the_fields_they_document(host: str, query: str, expected: set[str]) -> None:
    sender = AlertSender(Secret(f"https://{host}/x"), lambda _: None, about={"service": "worker", "release": None})
    (alert,) = sender._rules.see(LOST, 0.0)

    content = sender._content(alert, host, query)

    assert expected <= set(content)
    assert "refuses commands" in content["text"]
    if "chat_id" in content:
        assert content == {"chat_id": "-100123", "text": f"{alert.text} {alert.advice} (worker)"}


async def test_a_serving_worker_sends_its_alerts(redis_url: str, queue_name: str) -> None:
    """From the environment to the POST: a job that fails for good is told when the limit says so."""
    app = Oxcart()

    @app.job("breaks")
    async def breaks(_: object) -> None:
        raise ValueError("no such contact")

    with receiving() as receiver:
        environ = {
            "REDIS_URL": redis_url,
            "JOB_QUEUE_NAME": queue_name,
            "OXCART_ALERT_URL": receiver.url.reveal(),
            "OXCART_ALERT_FAILED_JOBS": "2",
            "OXCART_RELEASE": "6bdcd911",
        }
        service = Service(app, plan(environ), Bus())
        async with AsyncExitStack() as stack:
            await service.start(stack, http=False)
            queue = await stack.enter_async_context(Queue(queue_name, redis_url))
            await asyncio.gather(queue.add("breaks"), queue.add("breaks"))
            await wait_until(lambda: receiver.received, describe="the alert has arrived")

    (alert,) = receiver.received
    assert (alert["alert"], alert["release"]) == ("jobs.failing", "6bdcd911")
    assert "no such contact" not in json.dumps(alert), "a handler's words may hold data"


async def test_several_processes_speak_with_one_voice(redis_url: str, queue_name: str, tmp_path: Path) -> None:
    """Two of three failed jobs may be of one process and the third of the other: together they are the alert."""
    (tmp_path / "jobs.py").write_text(
        "from oxcart import Oxcart\n\napp = Oxcart()\n\n"
        "@app.job('breaks')\nasync def breaks(job):\n    raise ValueError\n"
    )
    command = SupervisedOxcart(tmp_path, {"REDIS_URL": redis_url, "JOB_QUEUE_NAME": queue_name, "JOB_CONCURRENCY": "1"})
    with receiving() as receiver:
        environ = {"PORT": "0", "OXCART_ALERT_URL": receiver.url.reveal(), "OXCART_ALERT_FAILED_JOBS": "20"}
        async with (
            command.running("run", "jobs:app", "--processes", "2", **environ) as running,
            Queue(queue_name, redis_url) as queue,
        ):
            await wait_until(lambda: running.events().count("redis.ready") == 2, describe="both are ready", timeout=40)
            await asyncio.gather(*(queue.add("breaks") for _ in range(20)))
            await wait_until(lambda: receiver.received, describe="the alert has arrived", timeout=20)
            assert await running.stopped_by(signal.SIGTERM) == 0

    (alert,) = receiver.received
    assert (alert["alert"], alert["state"]) == ("jobs.failing", "raised")
    assert alert["text"].startswith("20 jobs failed within")
