"""What does docs/events.md say? One table from the events' own docstrings and the log's table of lines."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

from oxcart.telemetry.events import Event, FinishedJob
from oxcart.telemetry.lines import RULES, SUMMARY_EVENT, VERDICT_RULES, Rule

_HEAD = """# Events and the log

Oxcart emits an event when something has happened; the log, the metrics and the alerts subscribe. Each event becomes
one line of the log, with the event's fields as keys in camelCase (`job_id` is `jobId`, a job's `name` is `jobName`, a
`failure` is `errorCode`, `error` and `advice`). Every line has `timestamp` (UTC), `level`, `message`, `event` and
`service`. No line carries job data or a secret.

A level means: *debug* a step; *info* a job or service changed state; *warn* someone should look this week; *error*
someone should look today. `LOG_LEVEL` sets the lowest level that is written, `OXCART_LOG_FORMAT` json or human.

This page is generated from `telemetry/events.py` and `telemetry/lines.py`.
"""

_JOBS = f"""
## How a job's end is written

One line per job, up to 20 a second and process, failures up to 50 a second. What is beyond is counted in one
`{SUMMARY_EVENT}` line a second: `jobs` is their number, then one key per verdict, and `avgDurationMs`; its level is the
highest of the lines it stands for. Other events about one job share the cap of the failures.

| `event` in the log | level | verdict | message |
|---|---|---|---|
"""

_OTHER = """
## Lines that are no event

| `event` in the log | level | meaning |
|---|---|---|
| `log.message` | its own | a message of a library or of a handler (Python's `logging`); `logger` names it |
| `log.printed` | info | a line that a handler has printed |
| `log.lines_lost` | warn | whatever reads the log was stuck or away; `lines` were lost |
"""


def render_events_page() -> str:
    rows = "".join(_event_row(kind) for kind in get_args(Event))
    verdicts = "".join(
        f"| `{rule.event}` | {_level(rule)} | {verdict} | {_message(rule)} |\n"
        for verdict, rule in VERDICT_RULES.items()
    )
    columns = "| event | `event` in the log | level | message | meaning | fields |\n|---|---|---|---|---|---|\n"
    return f"{_HEAD}\n## Events\n\n{columns}{rows}{_JOBS}{verdicts}\n{_finished_fields()}{_OTHER}"


def _event_row(kind: type) -> str:
    rule = RULES[kind]
    meaning = " ".join((kind.__doc__ or "").split())
    names = ", ".join(f"`{field.name}`" for field in fields(kind))
    return f"| `{kind.__name__}` | `{rule.event}` | {_level(rule)} | {_message(rule)} | {meaning} | {names} |\n"


def _level(rule: Rule) -> str:
    return f"{rule.level}; error if {rule.error_when}" if rule.error_when else rule.level


def _message(rule: Rule) -> str:
    shown = rule.message.replace("{show}", "oxcart jobs show {job_id} --queue {queue}")
    return shown.replace("{e.", "{").replace("|", "\\|")


def _finished_fields() -> str:
    names = ", ".join(f"`{name}`" for name in FinishedJob._fields)
    return f"A job in `JobsFinished` has {names}; the log calls `run_ms` `durationMs`.\n"
