"""Does `oxcart log` make the JSON log readable, and leave alone what is none of ours?"""

from __future__ import annotations

import io
import json

import pytest
from support.screen import screen

from oxcart.cli import main

LINES: list[dict[str, object]] = [
    {"level": "info", "message": "Job sync 7 completed", "event": "job.completed", "jobId": "7", "durationMs": 12},
    {"level": "error", "message": "Job sync 8 failed", "event": "job.failed", "jobId": "8", "stack": "a\nb"},
]


def told(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    always = {"timestamp": "2026-11-30T02:00:00.000Z", "service": "worker"}
    wrapped = json.dumps({"message": json.dumps({**always, **LINES[1]}), "severity": "error"})
    text = "\n".join([json.dumps({**always, **LINES[0]}), "a line of npm", wrapped, ""])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    monkeypatch.setenv("TZ", "UTC")
    shown = screen(monkeypatch, (80, 24))
    assert main(["log", *arguments]) == 0
    return shown.getvalue()


def test_each_line_is_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    out = told(monkeypatch)

    assert "Job sync 7 completed" in out
    assert "durationMs=12" in out
    assert "a line of npm" in out
    assert "    a\n    b\n" in out
    assert '{"' not in out


def test_only_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Job sync 7" not in told(monkeypatch, "--level", "warn")
    by_job = told(monkeypatch, "--job", "7")
    assert "Job sync 7" in by_job
    assert "npm" not in by_job
    assert "Job sync 7" not in told(monkeypatch, "--event", "job.failed")
