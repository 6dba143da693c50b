"""What is an alert? One change that someone should hear of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["raised", "cleared"]
Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One change. `name`, `account` and `state` identify it, `text` is the sentence for a person.

    `since` is epoch seconds; `account` is the domain of the Kommo account that it is about, if it is about one, and
    `queue` the queue.
    """

    name: str
    state: State
    severity: Severity
    text: str
    advice: str
    since: float
    code: str | None = None
    account: str | None = None
    queue: str | None = None


def span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
