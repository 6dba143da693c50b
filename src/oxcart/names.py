"""Which job names does a worker claim, and which of those that it leaves wait without a handler? Pure rules."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

UnknownJobs: TypeAlias = Literal["leave", "fail"]
Reason: TypeAlias = Literal["no handler", "not possible here"]

LONG_MS = 60_000  # a worker beside us takes its jobs in milliseconds; after a minute nobody seems to be there
MAX_NAMES = 20  # others choose the names, so how many are told is bounded, and how long each may be
MAX_NAME_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class NameFilter:
    """Claim jobs of these names only; with `excludes`, of all names but these."""

    names: frozenset[str]
    excludes: bool = False

    def claims(self, name: str) -> bool:
        return (name in self.names) is not self.excludes


def names_to_claim(
    handled: Collection[str],
    *,
    unknown: UnknownJobs,
    only: Collection[str] = (),
    except_: Collection[str] = (),
) -> NameFilter | None:
    """None: every job, whatever its name. At most one of `only` and `except_` is given (OXCART_ONLY_JOBS, …).

    What fails unknown jobs must claim them, so there the names of `only` and `except_` count, handled or not.
    """
    if unknown == "leave":
        chosen = frozenset(handled) - frozenset(except_)
        return NameFilter(chosen & frozenset(only) if only else chosen, excludes=False)
    if only:
        return NameFilter(frozenset(only), excludes=False)
    return NameFilter(frozenset(except_), excludes=True) if except_ else None


def unhandled_names(handled: Collection[str], named: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """Those of `named` without a handler, each with the handled name that may have been meant."""
    for name in named:
        if name not in handled:
            yield name, next(iter(difflib.get_close_matches(name, handled, n=1, cutoff=0.6)), None)


class ForeignJobs(NamedTuple):
    """Jobs of one name that wait in a queue and that this worker leaves to others, as it last saw them."""

    name: str
    waiting: int
    since_ms: int


@dataclass(frozen=True, slots=True)
class UnhandledJobs:
    """Jobs of one name that have waited for long: `since_ms` is when the oldest was added. `detail` says what lacks."""

    queue: str
    name: str
    waiting: int
    since_ms: int
    reason: Reason = "no handler"
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class LeftNames:
    """Why are jobs left? By choice (`only`, `except_`), for want of something (`unavailable`), or of a handler."""

    handled: Collection[str]
    unavailable: Mapping[str, str]
    only: Collection[str] = ()
    except_: Collection[str] = ()

    def why(self, name: str) -> tuple[Reason, str | None] | None:
        """None: by choice, and another fleet has them."""
        if name in self.except_:
            return None
        if name not in self.handled:
            return "no handler", None
        if name in self.unavailable and (not self.only or name in self.only):
            return "not possible here", self.unavailable[name]
        return None

    def unhandled(self, queue: str, foreign: Iterable[ForeignJobs], now_ms: int) -> Iterator[UnhandledJobs]:
        """Those that have waited for so long that nobody beside us seems to have a handler either."""
        for jobs in foreign:
            why = self.why(jobs.name)
            if why is not None and jobs.waiting > 0 and now_ms - jobs.since_ms > LONG_MS:
                yield UnhandledJobs(queue, short(jobs.name), jobs.waiting, jobs.since_ms, *why)


def short(name: str) -> str:
    """A name as it can be told anywhere: cut, and with a question mark for a lone surrogate, as Node writes it."""
    cut = name if len(name) <= MAX_NAME_CHARACTERS else f"{name[: MAX_NAME_CHARACTERS - 1]}…"
    return cut.encode("utf-8", "replace").decode()


def told(names: Iterable[str]) -> list[str]:
    """At most MAX_NAMES of them, and then how many there are besides."""
    every = [*names]
    more = len(every) - MAX_NAMES
    return [*every[:MAX_NAMES], *([f"and {more} more"] if more > 0 else [])]


def merged(every: Iterable[UnhandledJobs]) -> tuple[UnhandledJobs, ...]:
    """What several workers of the same queues have seen: each name of a queue once, the longest wait first."""
    found: dict[tuple[str, str], UnhandledJobs] = {}
    for jobs in every:
        known = found.get((jobs.queue, jobs.name), jobs)
        found[jobs.queue, jobs.name] = replace(
            known, waiting=max(known.waiting, jobs.waiting), since_ms=min(known.since_ms, jobs.since_ms)
        )
    return tuple(sorted(found.values(), key=lambda jobs: jobs.since_ms))
