"""How do the counters look as Prometheus text? One custom collector over one snapshot, in a registry of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from oxcart.conditions import CONDITIONS, QueueFacts
from oxcart.names import MAX_NAMES
from oxcart.telemetry.metrics import DURATION_BOUNDS, OTHER_NAMES, Counts
from oxcart.worker.status import WorkerStatus

_BOUND_LABELS = [*(str(bound) for bound in DURATION_BOUNDS), "+Inf"]

_OTHER_ENDS = {
    "snoozed": "Jobs that asked to run again later",
    "waiting_for_children": "Jobs parked until their children have finished",
    "rate_limited_for": "Jobs that went back because their resource was exhausted",
    "interrupted": "Jobs that went back because the worker stopped",
    "returned": "Jobs that went back because they could not begin here",
}
_INCIDENTS = {
    "abandoned": "Jobs whose claim was lost to another worker: nothing was written",
    "adopted": "Jobs taken up again after the reply to their claim was lost",
    "stalled": "Jobs of vanished workers that went back to the queue",
    "unconfirmed": "Finishes repeated after a lost reply, with the job gone",
    "unreadable": "Jobs whose hash is missing or of a wrong shape",
    "deaf": "Jobs whose handler went on after it was told to stop",
}
_SERIES_NAMES = {"rate_limited_for": "rate_limited"}

_QUEUE_GAUGES: tuple[tuple[str, str, Callable[[QueueFacts], float]], ...] = (
    ("worker_queue_oldest_wait_seconds", "How long the next job has waited", lambda facts: facts.oldest_wait_seconds),
    ("worker_queue_paused", "1 while a queue is paused", lambda facts: facts.is_paused),
    ("worker_queue_limited", "1 while a limit of the queue is reached", lambda facts: facts.limit is not None),
    ("worker_queue_schedules_late", "Schedules whose next job is late", lambda facts: facts.late_schedules),
    ("worker_queue_schedules_stopped", "Schedules without a next job", lambda facts: len(facts.stopped_schedules)),
)


def render(counts: Counts, status: WorkerStatus, accept: str) -> tuple[bytes, str]:
    """The text and its content type; `accept` chooses between Prometheus's formats."""
    registry = CollectorRegistry()
    registry.register(_Snapshot(counts, status))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Snapshot(Collector):
    def __init__(self, counts: Counts, status: WorkerStatus) -> None:
        self._counts = counts
        self._status = status

    def collect(self) -> Iterator[Metric]:
        yield from self._jobs()
        yield from self._redis()
        yield from self._worker()
        yield from self._queues()

    def _jobs(self) -> Iterator[Metric]:
        jobs = self._counts.all_names
        yield _counter("worker_jobs_completed", "Jobs completed", jobs.completed)
        yield _counter("worker_jobs_failed", "Jobs failed for good (dead letters)", jobs.failed)
        yield _counter("worker_jobs_retried", "Attempts that failed and will be repeated", jobs.retried)
        for counted, meanings in (
            (self._counts.other_ends, _OTHER_ENDS),
            (self._counts.incidents, _INCIDENTS),
        ):
            for name, meaning in meanings.items():
                yield _counter(f"worker_jobs_{_SERIES_NAMES.get(name, name)}", meaning, counted.get(name, 0))
        yield _gauge("worker_jobs_in_flight", "Jobs being processed now", self._status.jobs_processing)
        yield self._durations()

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            "worker_job_duration_seconds", "Time a handler took for one attempt", labels=["job_name"]
        )
        for name, tally in self._counts.by_name.items():
            buckets = [*zip(_BOUND_LABELS, map(float, accumulate(tally.buckets)), strict=True)]
            family.add_metric([name], buckets, sum_value=tally.total_ms / 1000)
        return family

    def _redis(self) -> Iterator[Metric]:
        redis = self._status.redis
        yield _gauge("worker_redis_connected", "1 while connected to Redis", redis.connected)
        reconnects = self._counts.redis_reconnects
        yield _counter("worker_redis_reconnect", "Times the connection came back after an outage", reconnects)
        failures = CounterMetricFamily("worker_redis_failures", "Connection failures by cause", labels=["code"])
        for code, number in self._counts.redis_failures.items():
            failures.add_metric([code], number)
        yield failures
        if redis.last_fetch_age_seconds is not None:
            age = redis.last_fetch_age_seconds
            yield _gauge("worker_last_fetch_age_seconds", "Time since the fetch loop was last answered", age)

    def _worker(self) -> Iterator[Metric]:
        status = self._status
        yield _gauge("worker_healthy", "1 while GET /health answers 200", status.healthy)
        yield _gauge("worker_uptime_seconds", "Time since the worker started", status.uptime_seconds)
        yield _gauge("worker_concurrency", "Jobs that may run at once", status.concurrency)
        yield _gauge("worker_loop_lag_seconds", "Time since the job loop last ran", status.loop_lag_seconds)
        yield _counter("worker_exchanges", "Exchanges with Redis that were answered", status.exchanges)
        yield _gauge(
            "worker_outbox_verdicts", "Finished jobs that Redis has not yet acknowledged", status.outbox_verdicts
        )
        yield _gauge("worker_refused_queues", "Queues on which Redis refuses to work", len(status.refused_queues))
        yield self._unhandled()
        if status.dead_letters is not None:
            yield _gauge("worker_dead_letters", "Jobs in the failed set, from a cache", status.dead_letters)

    def _queues(self) -> Iterator[Metric]:
        """As last looked at: a queue in which something waits every minute, an empty one every ten."""
        every = self._status.queues
        jobs = GaugeMetricFamily("worker_queue_jobs", "Jobs of a queue by state", labels=["queue", "state"])
        problem = GaugeMetricFamily(
            "worker_queue_problem", "1 for each condition that keeps jobs from ending", labels=["queue", "code"]
        )
        found = {(problem.queue, problem.code) for problem in self._status.problems}
        for facts in every:
            for state, number in facts.counts.items():
                jobs.add_metric([facts.queue, state], number)
            for condition in CONDITIONS:
                problem.add_metric([facts.queue, condition.code], (facts.queue, condition.code) in found)
        yield from (jobs, problem)
        for name, meaning, value in _QUEUE_GAUGES:
            family = GaugeMetricFamily(name, meaning, labels=["queue"])
            for facts in every:
                family.add_metric([facts.queue], value(facts))
            yield family

    def _unhandled(self) -> Metric:
        family = GaugeMetricFamily(
            "worker_unhandled_jobs",
            "Jobs that have waited for more than a minute without a handler here",
            labels=["queue", "job_name"],
        )
        waiting: Counter[tuple[str, str]] = Counter()
        for position, jobs in enumerate(self._status.unhandled):
            waiting[jobs.queue, jobs.name if position < MAX_NAMES else OTHER_NAMES] += jobs.waiting
        for labels, number in waiting.items():
            family.add_metric(labels, number)
        return family


def _counter(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(name, meaning, value=value)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)
