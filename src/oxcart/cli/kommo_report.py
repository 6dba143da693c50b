"""How are the owner's questions answered in a terminal? kommo report: tables, CSV or JSON."""

from __future__ import annotations

import csv
import io
import os
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from oxcart.cli.exits import Refused
from oxcart.cli.kommo_sync import account_option
from oxcart.cli.options import json_option
from oxcart.cli.output import say, say_json, say_table
from oxcart.language import tr

if TYPE_CHECKING:
    from oxcart.kommo.store.connections import StoredConnection

_SHOWN_ROWS = 50
NAMES = ("leads", "stages", "funnel", "tasks", "calls")


@click.command("report")
@click.argument("name", metavar="[NAME]", required=False, type=click.Choice(NAMES))
@account_option
@click.option("--limit", type=click.IntRange(1), metavar="N", help="So many rows at most; a table shows 50 else.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV with a heading, for one NAME.")
@json_option
def report(name: str | None, *, domain: str | None, limit: int | None, as_csv: bool, as_json: bool) -> None:
    """Answer from the database: leads with names, time in stages, funnel by month, open tasks, calls. NAME takes one.

    It is as current as the last sync, and asks Kommo nothing. docs/kommo-queries.md has the views behind it.
    """
    from oxcart.cli.session import run_async

    if as_csv and (name is None or as_json):
        raise Refused(f"--csv takes one report, and not --json: {', '.join(NAMES)}.")
    names = NAMES if name is None else (name,)
    found = run_async(_read(names, domain, limit if as_csv or as_json else (limit or _SHOWN_ROWS) + 1))
    if as_csv:
        say(_csv(found[names[0]]), end="")
    elif as_json:
        say_json({one: [_jsonable(row) for row in rows] for one, rows in found.items()})
    else:
        for one, rows in found.items():
            _say_report(one, rows, limit or _SHOWN_ROWS)


async def _read(names: tuple[str, ...], chosen: str | None, limit: int | None) -> dict[str, list[dict[str, Any]]]:
    from oxcart.kommo.report import read_report
    from oxcart.kommo.store.connections import list_connections
    from oxcart.kommo.store.database_url import database_of
    from oxcart.kommo.store.opening import open_database
    from oxcart.settings import load

    async with (
        open_database(database_of(load(os.environ))) as database,
        database.reading("Reading a report") as connection,
    ):
        stored = _one_of(await list_connections(connection), chosen)
        where: dict[str, Any] = {"schema": database.target.schema, "limit": limit}
        return {name: await read_report(connection, name, stored.id, **where) for name in names}


def _one_of(every: list[StoredConnection], chosen: str | None) -> StoredConnection:
    found = [one for one in every if chosen is None or chosen.lower() in {one.id, one.domain}]
    if len(found) == 1:
        return found[0]
    if not found:
        raise Refused("There is no such Kommo account here. See: oxcart kommo status")
    raise Refused(f"{len(found)} accounts are here ({', '.join(one.domain for one in found)}); say which by --domain.")


def _say_report(name: str, rows: list[dict[str, Any]], most: int) -> None:
    from oxcart.kommo.report import REPORTS

    one = REPORTS[name]
    say(f"{one.title}\n")
    if rows:
        headings = [column.replace("_", " ").upper() for column in one.columns]
        say_table(headings, [[_text(value) for value in row.values()] for row in rows[:most]])
        if len(rows) > most:
            say(tr("There are more; --limit shows them."))
    else:
        say("Nothing.")
    say()


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return "" if value is None else str(value)


def _jsonable(row: dict[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, Decimal):
            return int(value) if value == value.to_integral_value() else float(value)
        return value.isoformat() if isinstance(value, datetime) else value

    return {name: plain(value) for name, value in row.items()}


def _csv(rows: list[dict[str, Any]]) -> str:
    """A text that a spreadsheet would take for a formula begins with an apostrophe."""
    lines = io.StringIO()
    if rows:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows([[_safe(_text(value)) for value in row.values()] for row in rows])
    return lines.getvalue()


def _safe(cell: str) -> str:
    return f"'{cell}" if cell[:1] in {"=", "+", "-", "@", "\t", "\r"} and not _is_number(cell) else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
