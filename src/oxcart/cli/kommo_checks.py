"""How do Kommo's checks join the doctor's? Neither knows the other: here each check is given what it looks at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from oxcart.checks import Check, Finding
from oxcart.doctor.examine import CHECKS
from oxcart.doctor.visit import Visit
from oxcart.kommo import checks
from oxcart.kommo.visit import CrmVisit

Run = Callable[[CrmVisit], Awaitable[Finding]]


def all_checks() -> tuple[Check[Visit], ...]:
    """The doctor's and Kommo's; those of Kommo say nothing, and import little, where no account is connected."""
    side = _KommoSide()
    own: tuple[Check[Any], ...] = checks.CHECKS  # all but `run` is the same for either visit
    return (*CHECKS, *(replace(check, run=side.runs(check.run)) for check in own))


class _KommoSide:
    """One CrmVisit for each Visit; what it opens is closed with that."""

    def __init__(self) -> None:
        self._last: tuple[Visit, CrmVisit] | None = None

    def runs(self, run: Run) -> Callable[[Visit], Awaitable[Finding]]:
        async def of_visit(visit: Visit) -> Finding:
            return await run(self._of(visit))

        return of_visit

    def _of(self, visit: Visit) -> CrmVisit:
        if self._last is None or self._last[0] is not visit:
            self._last = (visit, CrmVisit(visit.settings, visit.server, visit.stack))
        self._last[1].server = visit.server
        return self._last[1]
