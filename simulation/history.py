"""What happened? A list that only grows: who did what when, in virtual seconds; the same for the same seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Fact(NamedTuple):
    """`actor` is "server" for what the simulation did to it. `facts` are JSON values."""

    at: float
    actor: str
    what: str
    facts: dict[str, Any]

    def line(self) -> str:
        return json.dumps([round(self.at, 6), self.actor, self.what, self.facts], sort_keys=True)

    def told(self) -> str:
        details = " ".join(f"{name}={value}" for name, value in self.facts.items() if value not in (None, [], ""))
        return f"{self.at - 1000:9.3f}  {self.actor:<8} {self.what} {details}".rstrip()


@dataclass
class History:
    facts: list[Fact] = field(default_factory=list)

    def add(self, at: float, actor: str, what: str, **facts: Any) -> None:
        self.facts.append(Fact(at, actor, what, facts))

    def of(self, *kinds: str) -> Iterator[Fact]:
        return (fact for fact in self.facts if fact.what in kinds)

    def text(self) -> str:
        return "\n".join(fact.line() for fact in self.facts)

    def digest(self) -> str:
        return hashlib.sha256(self.text().encode()).hexdigest()
