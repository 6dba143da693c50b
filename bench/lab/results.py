"""What came of it? Every run of every case, as it was; medians, spread and ratios are worked out from that."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from lab.machine import load_average


@dataclass
class Results:
    """`runs[case][peer]` is a list of figures by name, one entry per round; `failures` what a peer could not do."""

    about: dict[str, Any]
    runs: dict[str, dict[str, list[dict[str, float]]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def note(self, case: str, peer: str, figures: dict[str, float]) -> None:
        self.runs.setdefault(case, {}).setdefault(peer, []).append(figures | {"load": load_average()})

    def values(self, case: str, peer: str, figure: str) -> list[float]:
        return [run[figure] for run in self.runs.get(case, {}).get(peer, []) if figure in run]

    def median(self, case: str, peer: str, figure: str) -> float | None:
        values = self.values(case, peer, figure)
        return median(values) if values else None

    def spread(self, case: str, peer: str, figure: str) -> tuple[float, float] | None:
        values = self.values(case, peer, figure)
        return (min(values), max(values)) if len(values) > 1 else None

    def ratio(self, case: str, figure: str, peer: str, other: str) -> float | None:
        """The ratio of the medians."""
        ours, theirs = self.median(case, peer, figure), self.median(case, other, figure)
        return ours / theirs if ours is not None and theirs else None

    def peers(self, case: str) -> tuple[str, ...]:
        return tuple(self.runs.get(case, {}))

    def as_json(self) -> dict[str, Any]:
        medians = {
            case: {
                peer: {figure: self.median(case, peer, figure) for figure in runs[0]} for peer, runs in by_peer.items()
            }
            for case, by_peer in self.runs.items()
        }
        return {"about": self.about, "medians": medians, "runs": self.runs, "failures": self.failures}
