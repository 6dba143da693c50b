"""What is there to say about a code or a check? Hand-written texts, with summary and advice from the failure table."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from oxcart.checks import Check
from oxcart.connection.failure_table import Row as FailureRow
from oxcart.connection.failures import BY_CODE
from oxcart.doctor import upstash, verify
from oxcart.doctor.examine import CHECKS
from oxcart.errors import InvalidInput, Kind
from oxcart.language import ENGLISH, speaking, spoken, tr

AGAIN = {
    Kind.TRANSIENT: "It may pass by itself; the worker goes on trying.",
    Kind.QUOTA: "It passes when the quota is renewed; the worker tries every 5 to 60 s.",
    Kind.CONFIGURATION: "Trying again does not help: something must be changed. The worker tries slowly and says so.",
    Kind.PERMANENT: "Trying again does not help; only this one request fails.",
    Kind.UNKNOWN: "Nobody knows; the worker goes on trying.",
}


def explain(name: str) -> str:
    """The section of a code or check, in any case. Raises InvalidInput with a guess."""
    sections = _sections(spoken())
    wanted = name.strip().upper().replace("_", "-")
    by_plain_name = {key.upper().replace("_", "-"): key for key in sections}
    if wanted not in by_plain_name:
        guesses = difflib.get_close_matches(wanted, by_plain_name, n=1, cutoff=0.6)
        guess = tr(" Did you mean {guess}?", guess=by_plain_name[guesses[0]]) if guesses else ""
        raise InvalidInput(
            tr(
                'Nothing is known about "{name}".{guess} oxcart doctor --list shows the checks.',
                name=name[:60],
                guess=guess,
            )
        )
    return _section(by_plain_name[wanted])


def render_page() -> str:
    """The whole of docs/doctor.md, or of the same page in the language that is spoken."""
    return _text("introduction.md") + "\n".join(_parts())


def _parts() -> Iterator[str]:
    for heading, file in PARTS:
        yield f"# {tr(heading)}\n"
        yield from (_section(name) for name in _read(file))


PARTS = (
    ("Checks", "checks.md"),
    ("Verdicts and warnings of the doctor", "verdicts.md"),
    ("Kommo: checks, verdicts and warnings", "kommo.md"),
    ("Failures of the CRM's database", "database.md"),
    ("Failures on the way to the server", "network.md"),
    ("Failures that the server answers with", "answers.md"),
    ("Checks and verdicts of oxcart verify", "verify.md"),
)


@cache
def _sections(language: str) -> dict[str, str]:
    with speaking(language):
        return {name: text for _, file in PARTS for name, text in _read(file).items()}


def _read(file: str) -> dict[str, str]:
    """The sections of one text, by their headings, in order."""
    parts = re.split(r"^## (\S+)\n", _text(file), flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _text(file: str) -> str:
    folder = () if spoken() == ENGLISH else (spoken(),)
    return files("oxcart.doctor").joinpath("texts", *folder, file).read_text(encoding="utf-8")


def _section(name: str) -> str:
    known: tuple[Check[Any], ...] = (*CHECKS, *verify.CHECKS)
    check = next((check for check in known if check.id == name), None)
    told = [f"## {name}", ""]
    if check is not None:
        told += _of_check(check)
    if name in BY_CODE:
        told += _of_failure(BY_CODE[name])
    row = next((row for row in upstash.ROWS if row.code == name), None)
    if row is not None:
        told += [tr(row.summary), "", f"**{tr('What to do')}:** {tr(row.action)}", ""]
        told += [f"**{tr('Not certain')}:** {tr(row.doubt)}", ""] if row.doubt else []
    told += [_sections(spoken())[name], ""]
    return "\n".join(told)


def _of_check(check: Check[Any]) -> list[str]:
    title, group = tr(check.title), tr("Group {group}.", group=check.group)
    needs = " " + tr("Needs: {checks}.", checks=", ".join(check.needs)) if check.needs else ""
    return [f"*{title[0].upper()}{title[1:]}.* {group}{needs}", "", tr(check.matters), ""]


def _of_failure(row: FailureRow) -> list[str]:
    places = {"address": "HOST:PORT", "host": "HOST", "port": "PORT"}
    told = [tr(row.summary, **places), "", f"**{tr('What to do')}:** {tr(row.advice, **places)}"]
    for provider, advice in row.by_provider.items():
        told.append(f"- {provider.value}: {tr(advice, **places)}")
    return [*told, "", f"**{tr('Trying again')}:** {tr(AGAIN[row.kind])}", ""]
