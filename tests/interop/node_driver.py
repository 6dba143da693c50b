"""How does a test talk to BullMQ for Node? Through one Node process per version that obeys commands (driver.mjs)."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DRIVER = Path(__file__).with_name("driver.mjs")
ANSWER_WITHIN_SECONDS = 20.0


class NodeError(AssertionError):
    """Node answered with an error, whose name is `name`; the text is Node's own stack."""

    def __init__(self, doing: str, name: str, stack: str) -> None:
        self.name = name
        super().__init__(f"Node, asked to {doing}: {stack}")


@dataclass(frozen=True, slots=True)
class _Command:
    doing: str
    answer: Future[Any] = field(default_factory=Future)


class NodeDriver:
    """One Node process with BullMQ. A thread reads its answers, so it may serve tests on different event loops."""

    def __init__(self, node: Path, folder: Path, major: str) -> None:
        self.major = major
        self.version = ""
        self._process = subprocess.Popen(
            [node, DRIVER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._waiting: dict[int, _Command] = {}
        self._stderr: list[str] = []
        self._last_id = 0
        self._guard = threading.Lock()
        self._threads = [
            threading.Thread(target=self._read_answers, name=f"node-{major}-answers", daemon=True),
            threading.Thread(target=self._read_stderr, name=f"node-{major}-stderr", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def connect(self, host: str, port: int, password: str | None) -> None:
        connection = {"host": host, "port": port, **({"password": password} if password else {})}
        self.version = self._send("connect", {"connection": connection}).result(ANSWER_WITHIN_SECONDS)

    async def call(self, do: str, **fields: Any) -> Any:
        """Send one command and wait for its answer. Raises NodeError with Node's stack."""
        return await asyncio.wait_for(asyncio.wrap_future(self._send(do, fields)), ANSWER_WITHIN_SECONDS)

    def queue(self, name: str) -> NodeQueue:
        return NodeQueue(self, name)

    async def add_flow(self, tree: Mapping[str, Any]) -> Any:
        """FlowProducer.add: the tree as Node's {name, queueName, data, opts, children}; answers {job, children}."""
        return await self.call("flow", tree=tree)

    async def board(
        self, queues: Sequence[str], method: str, route: str, *, params: Mapping[str, Any], query: Mapping[str, Any]
    ) -> Any:
        """The body that bull-board's API answers; `route` as bull-board spells it (/api/queues)."""
        answer = await self.call("board", queues=queues, method=method, route=route, params=params, query=query)
        assert answer.get("status", 200) in {200, 204}, answer
        return answer["body"]

    async def background_errors(self) -> list[dict[str, str]]:
        """Errors that Node emitted while no command was waiting for them."""
        errors: list[dict[str, str]] = await self.call("background")
        return errors

    def kill(self) -> None:
        """Kill -9: nothing is closed, handed back or answered."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and its threads; may be called twice, and after kill()."""
        if self._process.stdin and not self._process.stdin.closed:
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                self._process.kill()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
        for thread in self._threads:
            thread.join()
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()

    def _send(self, do: str, fields: Mapping[str, Any]) -> Future[Any]:
        secret = do == "connect"
        command = _Command(do if secret else f"{do} {json.dumps(fields)[:300]}")
        assert self._process.stdin is not None
        with self._guard:
            self._last_id += 1
            self._waiting[self._last_id] = command
            try:
                self._process.stdin.write(json.dumps({"id": self._last_id, "do": do, **fields}) + "\n")
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError):
                self._waiting.pop(self._last_id).answer.set_exception(self._gone())
        return command.answer

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            reply = json.loads(line)
            command = self._waiting.pop(reply["id"])
            if not command.answer.set_running_or_notify_cancel():
                continue  # the test stopped waiting for it
            if "error" in reply:
                error = reply["error"]
                command.answer.set_exception(NodeError(command.doing, error["name"], error["stack"]))
            else:
                command.answer.set_result(reply["value"])
        with self._guard:
            for command in self._waiting.values():
                if command.answer.set_running_or_notify_cancel():
                    command.answer.set_exception(self._gone())
            self._waiting.clear()

    def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        self._stderr.extend(self._process.stderr)

    def _gone(self) -> NodeError:
        return NodeError("answer", "gone", "the process has ended. " + "".join(self._stderr[-30:]))


class NodeQueue:
    """One queue as Node sees it. `call` is any method of Node's Queue; the rest are those that tests use most."""

    def __init__(self, node: NodeDriver, name: str) -> None:
        self.node = node
        self.name = name

    async def call(self, method: str, *args: Any) -> Any:
        return await self.node.call("queue", queue=self.name, method=method, args=args)

    async def job(self, job_id: str, method: str, *args: Any) -> Any:
        """Call a method of Node's Job: getState, retry, promote, getChildrenValues…"""
        return await self.node.call("job", queue=self.name, jobId=job_id, method=method, args=args)

    async def add(self, name: str, data: Any = None, **options: Any) -> str:
        """Queue.add with Node's own option names; answers the job's id."""
        added = await self.call("add", name, {} if data is None else data, options)
        return str(added["id"])

    async def add_bulk(self, jobs: Sequence[Mapping[str, Any]]) -> list[str]:
        return [str(job["id"]) for job in await self.call("addBulk", list(jobs))]

    async def get(self, job_id: str) -> Any:
        """The job as Node's Job.toJSON() shows it, or None."""
        return await self.call("getJob", job_id)

    async def state(self, job_id: str) -> str:
        return str(await self.call("getJobState", job_id))

    async def counts(self) -> dict[str, int]:
        counts: dict[str, int] = await self.call("getJobCounts")
        return counts

    async def logs(self, job_id: str) -> list[str]:
        lines: list[str] = (await self.call("getJobLogs", job_id))["logs"]
        return lines

    async def result(self, job_id: str, *, within_seconds: float = 15) -> Any:
        """Job.waitUntilFinished: the return value; raises NodeError with the failed reason."""
        return await self.node.call("waitUntilFinished", queue=self.name, jobId=job_id, ms=int(within_seconds * 1000))

    async def events(self) -> list[dict[str, Any]]:
        """Every event that QueueEvents has delivered, from the queue's beginning."""
        events: list[dict[str, Any]] = await self.node.call("events", queue=self.name)
        return events

    async def start_worker(self, worker: str = "worker", *, names: Sequence[str] | None = None, **options: Any) -> None:
        """Start a Node worker for this queue, known as `worker` to stop_worker; options are those of Node's Worker.

        With `names` (BullMQ 6 only) it gives back jobs of any other name.
        """
        await self.node.call("startWorker", worker=worker, queue=self.name, names=names, options=options)

    async def stop_worker(self, worker: str = "worker", *, force: bool = False) -> None:
        await self.node.call("stopWorker", worker=worker, force=force)
