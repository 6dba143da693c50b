"""How does a caller learn how a job ended? From the queue's events, and from the job itself; never waits for ever.

All waiters of one Queue share one connection that reads the event stream. Each looks at its job once the reading has
begun, after a reconnect, and every few seconds: an event that was trimmed, or lost with its server, delays an answer
by that much and no more.
"""

from __future__ import annotations

import asyncio
from typing import Any

from oxcart import clock
from oxcart.connection.link import Link
from oxcart.errors import InvalidInput, JobFailed, OxcartError, ResultGone, ResultTimeout, Unavailable
from oxcart.language import tr
from oxcart.own_tasks import start_own_task
from oxcart.protocol import codec
from oxcart.protocol.scripts import upstream
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import pairs, text

_BLOCK_SECONDS = 5.0
"""How long one XREAD blocks, and how old a look at the job may be."""

_PAGE = 1000
_COMPLETED, _FAILED, _MISSING = 1, 2, -1


class Results:
    """The waiters of one queue. `link` reads events while anyone waits, and is closed else."""

    def __init__(self, channel: Channel, link: Link) -> None:
        self._channel = channel
        self._link = link
        self._waiting: dict[str, list[asyncio.Future[Any]]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._reading = asyncio.Event()

    async def wait(self, job_id: str, timeout_seconds: float) -> Any:
        """The job's return value.

        Raises JobFailed; ResultGone if it has ended and its result is not kept; ResultTimeout; Unavailable if the
        server was away until the time was up.
        """
        if not 0 < timeout_seconds < float("inf"):
            raise InvalidInput(f"result(timeout_seconds={timeout_seconds}): give a number of seconds above 0.")
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, []).append(ended)
        try:
            async with asyncio.timeout(timeout_seconds):
                self._start_reading()
                return await self._watch(job_id, ended, timeout_seconds)
        except TimeoutError as error:
            raise ResultTimeout(
                tr(
                    "Waiting for job {job} of queue {queue}: it did not finish within {seconds:g} s. It goes on; wait "
                    "longer, or look at its state.",
                    job=job_id,
                    queue=self._channel.keys.name,
                    seconds=timeout_seconds,
                )
            ) from error
        finally:
            waiters = self._waiting[job_id]
            waiters.remove(ended)
            if not waiters:
                del self._waiting[job_id]
            ended.cancel()

    async def close(self) -> None:
        """Stop reading; whoever still waits gets an OxcartError."""
        for job_id, waiters in self._waiting.items():
            for ended in waiters:
                if not ended.done():
                    ended.set_exception(_closed(self._channel.keys.name, job_id))
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
            self._reader = None

    async def _watch(self, job_id: str, ended: asyncio.Future[Any], timeout_seconds: float) -> Any:
        until = clock.monotonic() + timeout_seconds
        while True:
            await self._reading.wait()
            if not ended.done():
                self._check_reader()
                await self._look(job_id, ended, until)
                await asyncio.wait([ended], timeout=_BLOCK_SECONDS)
            if ended.done():
                return ended.result()

    async def _look(self, job_id: str, ended: asyncio.Future[Any], until: float) -> None:
        """Look at the job itself; settles `ended` if it has finished. A server that is away is asked again later."""
        keys = self._channel.keys
        doing = f"Waiting for job {job_id} of queue {keys.name}"
        named = (keys.completed, keys.failed, keys.job(job_id))
        try:
            status, *rest = await self._channel.run(
                doing, upstream("isFinished"), named, (job_id, "1"), repeatable=True
            )
            event = await self._find_event(doing, job_id) if status == _MISSING else None
        except Unavailable as error:
            if not error.failure.retryable or clock.monotonic() >= until:
                raise
            return
        if ended.done():
            return
        if status == _COMPLETED:
            _complete(ended, job_id, rest[0])
        elif status == _FAILED:
            ended.set_exception(JobFailed(job_id, text(rest[0])))
        elif event is not None:
            _settle(ended, job_id, event)
        elif status == _MISSING:
            ended.set_exception(
                ResultGone(
                    tr(
                        "Waiting for job {job} of queue {queue}: it has ended, or been removed, and its result is not "
                        "kept. Wait for it sooner, or add it with keep_completed and keep_failed.",
                        job=job_id,
                        queue=self._channel.keys.name,
                    )
                )
            )

    async def _find_event(self, doing: str, job_id: str) -> dict[str, str] | None:
        """The job's last end in the event stream, newest first; None if it was trimmed, or never was."""
        newest = "+"
        while True:
            entries = await self._channel.command(
                doing, "XREVRANGE", self._channel.keys.events, newest, "-", "COUNT", _PAGE
            )
            for _, fields in entries:
                event = pairs(fields)
                if event.get("jobId") == job_id and event.get("event") in {"completed", "failed"}:
                    return event
            if len(entries) < _PAGE:
                return None
            newest = f"({text(entries[-1][0])}"

    def _start_reading(self) -> None:
        if self._reader is None or self._reader.done():
            self._reading.clear()
            self._reader = start_own_task(self._read_events(), f"results:{self._channel.keys.name}")
            # Whoever waits for the reading to begin must also learn that it never will.
            self._reader.add_done_callback(self._reader_ended)

    def _reader_ended(self, reader: asyncio.Task[None]) -> None:
        """Called a moment after the end: a new reader may have been started by then, which does not read yet."""
        if reader is self._reader:
            self._reading.set()

    def _check_reader(self) -> None:
        """A bug in the reader must not look like a job that takes long."""
        if self._reader is not None and self._reader.done() and not self._reader.cancelled():
            error = self._reader.exception()
            if error is not None:
                raise error
            self._start_reading()

    async def _read_events(self) -> None:
        """Read the stream as long as anyone waits."""
        last_id: str | None = None
        try:
            while self._waiting:
                try:
                    if last_id is None:
                        last_id = await self._last_id()
                        self._reading.set()
                    last_id = await self._read_page(last_id)
                except Unavailable:
                    last_id = None  # a server that came back may have another stream; every waiter looks for itself
                    await self._channel.server.wait_until_ready()
        finally:
            self._link.close()

    async def _last_id(self) -> str:
        entries = await self._link.request("XREVRANGE", self._channel.keys.events, "+", "-", "COUNT", 1)
        return text(entries[0][0]) if entries else "0-0"

    async def _read_page(self, last_id: str) -> str:
        reply = await self._link.request(
            "XREAD",
            "COUNT",
            _PAGE,
            "BLOCK",
            int(_BLOCK_SECONDS * 1000),
            "STREAMS",
            self._channel.keys.events,
            last_id,
            deadline_seconds=_BLOCK_SECONDS + 3,
        )
        if not reply:
            return last_id
        [[_, entries]] = reply
        for entry_id, fields in entries:
            event = pairs(fields)
            last_id = text(entry_id)
            if event.get("event") in {"completed", "failed"}:
                for ended in self._waiting.get(event.get("jobId", ""), ()):
                    if not ended.done():
                        _settle(ended, event["jobId"], event)
        return last_id


def _closed(queue_name: str, job_id: str) -> OxcartError:
    return OxcartError(
        f"Waiting for job {job_id} of queue {queue_name}: the Queue was closed meanwhile. Wait inside its block."
    )


def _settle(ended: asyncio.Future[Any], job_id: str, event: dict[str, str]) -> None:
    if event["event"] == "completed":
        _complete(ended, job_id, event.get("returnvalue"))
    else:
        ended.set_exception(JobFailed(job_id, event.get("failedReason", "")))


def _complete(ended: asyncio.Future[Any], job_id: str, returnvalue: bytes | str | None) -> None:
    """Node leaves the value out where a handler returned nothing. Text that is no JSON is handed over as it is."""
    if returnvalue is None:
        ended.set_result(None)
        return
    try:
        ended.set_result(codec.decode(returnvalue, f"return value of job {job_id}"))
    except InvalidInput:
        ended.set_result(text(returnvalue))
