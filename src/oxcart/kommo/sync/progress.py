"""How far is a walk? What a job shows as its progress, and a terminal as a bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """Of `entities` streams `entities_done` are done; `pages` and `rows` are of the one that is being read."""

    entity: str
    entities_done: int
    entities: int
    pages: int
    rows: int
    rows_per_second: float
    eta_seconds: float | None

    def as_json(self) -> dict[str, Any]:
        return {
            "entity": self.entity,
            "entitiesDone": self.entities_done,
            "entities": self.entities,
            "pages": self.pages,
            "rows": self.rows,
            "rowsPerSecond": round(self.rows_per_second, 1),
            "etaSeconds": None if self.eta_seconds is None else round(self.eta_seconds, 1),
        }
