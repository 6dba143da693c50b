"""How do tests look at a diagnosis? It is told in every form, and every form is searched for the secret."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oxcart.checks import Check, State
from oxcart.doctor.examine import CHECKS, examine, visitor
from oxcart.doctor.redact import redactor
from oxcart.doctor.report import Lines, conclusion, to_json, to_paste
from oxcart.doctor.run import Diagnosis, Result, choose
from oxcart.doctor.visit import Visit

TOKEN = "AXqyASQgNzc4ZWU1YTYtMTVhYS00YmQ0LWE3NzktdG9rZW4x"
"""The password or token of every scenario that has one: base64, with a length that 4 divides."""


@dataclass(frozen=True)
class Examined:
    diagnosis: Diagnosis
    as_json: dict[str, Any]
    text: str

    @property
    def verdict(self) -> str | None:
        return self.diagnosis.verdict.id if self.diagnosis.verdict else None

    @property
    def action(self) -> str:
        assert self.diagnosis.verdict is not None, self.text
        return self.diagnosis.verdict.action

    def __getitem__(self, check_id: str) -> Result:
        return next(result for result in self.diagnosis.results if result.check.id == check_id)

    def ids(self, state: State) -> list[str]:
        return [result.check.id for result in self.diagnosis.results if result.finding.state is state]


async def examined(
    environ: Mapping[str, str],
    *,
    only: Sequence[str] = (),
    checks: Sequence[Check[Visit]] = CHECKS,
    wanted: frozenset[str] = frozenset(),
    **options: Any,
) -> Examined:
    """Examine this environment alone, as the command does."""
    make_visit = visitor(environ, **{"known_names": frozenset({"test-job"}), **options})
    diagnosis = await examine(make_visit, checks=choose(checks, only), wanted=wanted)
    content = to_json(diagnosis)
    hide = redactor(make_visit(), diagnosis)
    forms = [json.dumps(content), *map(hide, to_paste(diagnosis, [("provider", "x")]))]
    for verbose in (False, True):
        lines = Lines(verbose=verbose)
        forms += [line.text for result in diagnosis.results for line in lines.add(result)]
        forms += [line.text for line in lines.flush()]
    forms += [line.text for line in conclusion(diagnosis)]
    text = "\n".join(forms)
    for secret in secrets_of(environ):
        assert secret not in text, f"the secret is shown: {text}"
    assert "Traceback" not in text
    assert (diagnosis.verdict is None) is content["ok"]
    return Examined(diagnosis, content, text)


def secrets_of(environ: Mapping[str, str]) -> set[str]:
    """The token as it is, and as it stands in the variables."""
    found = {value for name, value in environ.items() if value and name.endswith(("TOKEN", "PASSWORD"))}
    return {TOKEN, TOKEN[:-4], *found}
