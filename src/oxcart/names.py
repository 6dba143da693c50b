"""Which job names does a worker claim, and why does it leave another? Pure: an app's handlers and the settings in."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from oxcart.handlers import Handlers
from oxcart.settings import WorkerSettings

NO_HANDLER = "no handler"
NOT_POSSIBLE = "not possible here"
LEFT_OUT = "left out by --only or --except"


@dataclass(frozen=True, slots=True)
class NameFilter:
    """The names that a worker claims: these, or with `excludes` all others."""

    names: frozenset[str]
    excludes: bool

    def passes(self, name: str) -> bool:
        return (name in self.names) is not self.excludes

    @property
    def wire_names(self) -> tuple[bytes, ...]:
        """As jobs carry them, in an order that is always the same; a lone surrogate matches no job, as everywhere."""
        return tuple(sorted(name.encode("utf-8", "surrogatepass") for name in self.names))


def names_to_claim(handlers: Handlers, settings: WorkerSettings) -> NameFilter | None:
    """None claims every name, and what nobody handles fails.

    Ask again when what a handler lacks has changed. `fail` is about names that this worker is to claim: those of
    OXCART_ONLY_JOBS, all but those of OXCART_EXCEPT_JOBS, or all.
    """
    only, excluded = frozenset(settings.only_jobs), frozenset(settings.except_jobs)
    if settings.unknown_jobs == "fail":
        if only:
            return NameFilter(only, excludes=False)
        return NameFilter(excluded, excludes=True) if excluded else None
    possible = frozenset(spec.name for spec in handlers if spec.lack() is None)
    return NameFilter(possible & only if only else possible - excluded, excludes=False)


def why_left(name: str, handlers: Handlers, settings: WorkerSettings, *, is_own_queue: bool = False) -> str | None:
    """Why jobs of a name that is not claimed wait here, in words; None if the settings leave them to another worker.

    `is_own_queue`: only Oxcart's workers serve it, so what all of them leave out is run by nobody.
    """
    spec = handlers.get(name)
    is_chosen = name in settings.only_jobs if settings.only_jobs else name not in settings.except_jobs
    if not is_chosen and (spec is not None or name in settings.except_jobs):
        return LEFT_OUT if is_own_queue else None
    if spec is None:
        return NO_HANDLER
    lack = spec.lack()
    return None if lack is None else f"{NOT_POSSIBLE}: {lack}"


def unknown_choices(handlers: Handlers, settings: WorkerSettings) -> list[str]:
    """One sentence for each name of --only and --except that the app has no handler for, with a guess."""
    sentences = []
    for variable, chosen in (("OXCART_ONLY_JOBS", settings.only_jobs), ("OXCART_EXCEPT_JOBS", settings.except_jobs)):
        for name in chosen:
            if name not in handlers:
                guesses = difflib.get_close_matches(name, handlers.names, n=1, cutoff=0.6)
                guess = f"Did you mean {guesses[0]}? " if guesses else ""
                sentences.append(
                    f'{variable} (--only, --except) has "{name}", which has no handler here. {guess}'
                    f"Known here: {', '.join(handlers.names)}."
                )
    return sentences
