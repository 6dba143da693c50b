"""How does a handler report back while it runs? Progress and log lines, through BullMQ's scripts, in their order.

A report that comes alone is answered before the handler goes on. One that follows quickly on another is sent behind it,
and the handler goes on at once; so a hundred of them far away take a few round trips. What the server says to such a
one is raised by the job's next report. Only so many of one job are on their way: a handler that reports all the time
waits for its own reports, and nobody else does. Its verdict waits for them, too.

All jobs share one line to the server, which the stalled check and others use besides: little is on its way at a time,
and next comes the job that has sent least.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from oxcart import clock
from oxcart.connection.failures import classify
from oxcart.connection.link import Link
from oxcart.errors import JobNotFound, OxcartError, PayloadTooLarge, ServerRefused, Unavailable
from oxcart.own_tasks import start_own_task
from oxcart.protocol.codec import decode, encode
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Argument, Script, ScriptCall, run_all, run_script, upstream
from oxcart.queue.job_access import JobAccess
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import WarningRaised

_FOLLOWS_WITHIN_SECONDS = 0.05
"""A report this soon after the answer to the last one does not wait for its own."""

_MOST_UNDER_WAY, _MOST_BYTES = 64, 256 * 1024
"""Of one job, sent or not; one batch of the server's time is about 2 ms."""

_BATCHES, _BYTES = 4, 64 * 1024
"""Of all jobs on their way: a job that seldom reports, or a PING, waits behind no more than these, or one report."""

_COST_OF_EACH = 256
"""Bytes that the server's work for one report counts as, when it is weighed who has sent least."""

LARGEST_REPORT_BYTES = 9 * 1024 * 1024
"""Of one progress or log line: managed servers take 10 MB in one request (docs/doctor.md, Q_REQ)."""

_ANSWER_WITHIN_SECONDS = 10.0
_FLUSH_SECONDS = 5.0
"""How long a verdict waits for the last reports: a server that is away shall not hold it back."""


class QueueChannel:
    """The job channel of one served queue (job.JobChannel)."""

    def __init__(self, line: ReportLine, keys: QueueKeys, emit: Emit) -> None:
        self.line = line
        self.keys = keys
        self.emit = emit
        self._loop = asyncio.get_running_loop()

    def open_reports(self, job_id: str) -> JobReports:
        return JobReports(self, str.__str__(job_id))

    def check_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(
                "A job was used on another event loop than the worker's: await its methods in its handler."
            )

    def access(self, job_id: str) -> JobAccess:
        return JobAccess(self, str.__str__(job_id))

    async def command(self, doing: str, *command: Argument, repeatable: bool = True) -> Any:  # noqa: ARG002
        """For JobAccess: asked once, as a handler that gets an error can say what comes of it."""
        self.check_loop()
        return await self.line.link.request(*command, deadline_seconds=_ANSWER_WITHIN_SECONDS)

    async def run(
        self,
        doing: str,  # noqa: ARG002
        script: Script,
        keys: Sequence[Argument],
        args: Sequence[Argument],
        *,
        repeatable: bool,  # noqa: ARG002
    ) -> Any:
        self.check_loop()
        return await run_script(self.line.link, script, keys, args, deadline_seconds=_ANSWER_WITHIN_SECONDS)

    async def children_values(self, job_id: str) -> dict[str, Any]:
        self.check_loop()
        flat = await self.line.link.request("HGETALL", self.keys.processed(job_id))
        return {
            flat[i].decode("utf-8", "replace"): decode(flat[i + 1], "a child's return value")
            for i in range(0, len(flat), 2)
        }


@dataclass(slots=True, eq=False)
class _Report:
    """`ready` is set while its caller waits: for the answer if it came `alone`, else for room."""

    call: ScriptCall
    doing: str
    size: int
    alone: bool
    ready: asyncio.Future[None] | None = None


class ReportLine:
    """The way of all jobs' reports over one link: several batches at a time, one of a job, the frugal first."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._known_scripts: set[str] = set()
        self._waiting: list[tuple[int, int, int, JobReports]] = []
        self._clock = 0
        self._entered = 0
        self._batches: set[asyncio.Task[None]] = set()
        self._bytes = 0

    def enter(self, reports: JobReports) -> None:
        """It has reports to send, and none on their way. Next comes whose account will be lowest when they are sent;
        who was silent starts level with who is served now.
        """
        began = max(reports.spent, self._clock)
        reports.spent = began + reports.cost
        self._entered += 1
        heapq.heappush(self._waiting, (reports.spent, self._entered, began, reports))
        self._send_more()

    def _send_more(self) -> None:
        while self._waiting and len(self._batches) < _BATCHES and self._bytes < _BYTES:
            _, _, self._clock, reports = heapq.heappop(self._waiting)
            self._bytes += reports.bytes_under_way
            sending = start_own_task(self._send(reports, reports.bytes_under_way), f"reports:{reports.job_id}")
            self._batches.add(sending)
            sending.add_done_callback(self._sent)

    def _sent(self, sending: asyncio.Task[None]) -> None:
        self._batches.discard(sending)
        self._send_more()

    async def _send(self, reports: JobReports, size: int) -> None:
        batch = reports.next_batch()
        try:
            answers = await self._ask([report.call for report in batch])
        finally:
            self._bytes -= size
        reports.answered(batch, answers)

    async def _ask(self, calls: Sequence[ScriptCall]) -> Sequence[Any]:
        try:
            return await run_all(self.link, calls, self._known_scripts, deadline_seconds=_ANSWER_WITHIN_SECONDS)
        except (Unavailable, ServerRefused) as error:
            return [error] * len(calls)


class JobReports:
    """The reports of one job (job.Reports): `_sending` has room, `_beyond` waits for it. `spent` is the line's."""

    def __init__(self, channel: QueueChannel, job_id: str) -> None:
        self._channel = channel
        self.job_id = job_id
        self.spent = 0
        self._sending: deque[_Report] = deque()
        self._beyond: deque[_Report] = deque()
        self._under_way = 0
        self.bytes_under_way = 0
        self._answered_at = float("-inf")
        self._problem: OxcartError | None = None
        self._is_under_way = False
        self._then: Callable[[], None] | None = None
        self._patience: asyncio.TimerHandle | None = None

    # Both make bytes of what they are given where they are called, in the handler: its methods are user code. What the
    # coroutine is run by, in the event loop, is ours alone.
    def report_progress(self, progress: Any) -> Coroutine[Any, Any, None]:
        """Raises InvalidInput for what is no JSON, or too large. Its coroutine raises JobNotFound if the job was
        removed; Unavailable; ServerRefused; RuntimeError on another event loop than the worker's.
        """
        keys, text = self._channel.keys, encode(progress, "the progress")
        named = (keys.job(self.job_id), keys.events, keys.meta)
        call = ScriptCall(upstream("updateProgress"), named, (self.job_id, _bounded(text, "progress")))
        return self._report(call, "reporting progress", len(text))

    def append_log(self, line: str, keep: int | None) -> Coroutine[Any, Any, None]:
        keys, text = self._channel.keys, str.__str__(str(line)).encode("utf-8", "replace")
        named = (keys.job(self.job_id), keys.logs(self.job_id))
        call = ScriptCall(upstream("addLog"), named, (self.job_id, _bounded(text, "log line"), int(keep or 0) or ""))
        return self._report(call, "appending to its log", len(text))

    def flush(self, then: Callable[[], None]) -> bool:
        """The handler has ended. True if reports are under way: `then` is called once, when they are answered."""
        if not self._is_under_way:
            self._warn()
            return False
        self._then = then
        self._patience = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._give_up)
        return True

    # -------------------------------------------------------------------------------------------- sending
    async def _report(self, call: ScriptCall, doing: str, size: int) -> None:
        self._channel.check_loop()
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem
        is_alone = not self._is_under_way and clock.monotonic() - self._answered_at > _FOLLOWS_WITHIN_SECONDS
        report = _Report(call, doing, size, is_alone)
        if self._beyond or not self._has_room_for(report):
            self._beyond.append(report)
        else:
            self._take(report)
        if not self._is_under_way:
            self._is_under_way = True
            self._channel.line.enter(self)
        if is_alone or (self._beyond and self._beyond[-1] is report):
            report.ready = asyncio.get_running_loop().create_future()
            await report.ready

    def _has_room_for(self, report: _Report) -> bool:
        if not self._under_way:
            return True
        return self._under_way < _MOST_UNDER_WAY and self.bytes_under_way + report.size <= _MOST_BYTES

    def _take(self, report: _Report) -> None:
        self._under_way += 1
        self.bytes_under_way += report.size
        self._sending.append(report)

    def _leave(self, report: _Report) -> None:
        self._under_way -= 1
        self.bytes_under_way -= report.size

    @property
    def cost(self) -> int:
        return self.bytes_under_way + _COST_OF_EACH * self._under_way

    def next_batch(self) -> list[_Report]:
        """As many as one batch may carry; one at least, if there is any."""
        batch: list[_Report] = []
        size = 0
        while self._sending and (not batch or size + self._sending[0].size <= _BYTES):
            size += self._sending[0].size
            batch.append(self._sending.popleft())
        return batch

    # -------------------------------------------------------------------------------------------- the answers
    def answered(self, batch: Sequence[_Report], answers: Sequence[Any]) -> None:
        self._answered_at = clock.monotonic()
        for report, answer in zip(batch, answers, strict=True):
            self._answered(report, answer)
        while self._beyond and self._has_room_for(self._beyond[0]):
            report = self._beyond.popleft()
            if _let_go_on(report):
                self._take(report)
        if self._sending:
            self._channel.line.enter(self)
        else:
            self._is_under_way = False
            self._flushed()

    def _answered(self, report: _Report, answer: Any) -> None:
        self._leave(report)
        problem = self._problem_in(answer, report.doing)
        if report.alone and report.ready is not None and not report.ready.done():
            if problem is None:
                report.ready.set_result(None)
            else:
                report.ready.set_exception(problem)
        elif problem is not None and self._problem is None:
            self._problem = problem

    def _problem_in(self, answer: Any, doing: str) -> OxcartError | None:
        what = f"Job {self.job_id} of queue {self._channel.keys.name}, {doing}"
        match answer:
            case ResponseError():
                return ServerRefused(classify(answer), what)
            case OxcartError():
                return answer
            case int() if answer < 0:
                return JobNotFound(f"{what}: it has been removed meanwhile.")
        return None

    # -------------------------------------------------------------------------------------------- the end
    def _give_up(self) -> None:
        """What has been sent may still be executed; what has not is dropped."""
        self._problem = self._problem or OxcartError(f"no answer within {_FLUSH_SECONDS:g} s")
        for report in self._sending:
            self._leave(report)
        self._sending.clear()
        for report in self._beyond:
            _let_go_on(report)
        self._beyond.clear()
        self._flushed()

    def _flushed(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            assert self._patience is not None
            self._patience.cancel()
            self._warn()
            then()

    def _warn(self) -> None:
        """Nobody is left to raise it to."""
        problem, self._problem = self._problem, None
        if problem is not None:
            where = f"job {self.job_id} of queue {self._channel.keys.name}"
            sentence = f"The last progress or log lines of {where} may be missing: {problem}"
            self._channel.emit(WarningRaised("REPORTS_LOST", sentence))


def _bounded(text: bytes, what: str) -> bytes:
    if len(text) > LARGEST_REPORT_BYTES:
        raise PayloadTooLarge(f"The {what} has {len(text)} bytes, the limit is {LARGEST_REPORT_BYTES}. Report less.")
    return text


def _let_go_on(report: _Report) -> bool:
    """Let its caller go on; false if that has been cancelled, and the report is not to be sent."""
    if report.ready is None or report.ready.done():
        return False
    report.ready.set_result(None)
    return True
