"""Which of the owner's questions does `kommo report` answer? Five, each a query over the views of store/views.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.store.columns import Moment, Money

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Report:
    """`columns` of `view`, with its rows in this order; `group` where several of its rows are one here."""

    title: str
    view: str
    columns: Mapping[str, str]
    order: str
    group: str = ""


def _plain(*names: str) -> dict[str, str]:
    return {name: name for name in names}


REPORTS: Mapping[str, Report] = {
    "leads": Report(
        "Leads, the newest first",
        "crm_leads_named",
        _plain("lead_id", "lead", "price", "pipeline", "stage", "manager", "contact", "company", "tags", "created_at"),
        "created_at DESC, lead_id DESC",
    ),
    "stages": Report(
        "Time in each stage",
        "crm_stage_history",
        {
            "pipeline": "pipeline",
            "stage": "stage",
            "leads": "count(DISTINCT lead_id)",
            "leads_now": "sum(CASE WHEN left_at IS NULL THEN 1 ELSE 0 END)",
            "hours": "round(CAST(avg(seconds) AS NUMERIC) / 3600, 1)",
        },
        "pipeline, stage_sort",
        group="pipeline, stage, stage_sort",
    ),
    "funnel": Report(
        "Funnel by month of creation",
        "crm_funnel_by_month",
        _plain("month", "pipeline", "stage", "leads", "price"),
        "month DESC, pipeline, stage_sort",
    ),
    "tasks": Report(
        "Open tasks by person",
        "crm_open_tasks_by_person",
        _plain("manager", "open_tasks", "overdue_tasks", "first_due_at"),
        "open_tasks DESC, manager",
    ),
    "calls": Report(
        "Calls by manager",
        "crm_calls_by_manager",
        _plain("month", "manager", "calls", "incoming", "outgoing", "answered", "seconds"),
        "month DESC, manager",
    ),
}


async def read_report(
    connection: AsyncConnection, name: str, connection_id: str, *, schema: str | None = None, limit: int | None = None
) -> list[Row]:
    """Values are texts, numbers, Decimal and UTC datetimes, the same from both databases."""
    report = REPORTS[name]
    preparer = connection.dialect.identifier_preparer
    columns = ", ".join(f"{source} AS {column}" for column, source in report.columns.items())
    query = f"SELECT {columns} FROM {preparer.quote(schema) + '.' if schema else ''}{report.view}"  # noqa: S608
    query += " WHERE connection_id = :connection_id"
    query += f" GROUP BY {report.group}" if report.group else ""
    query += f" ORDER BY {report.order}" + ("" if limit is None else f" LIMIT {int(limit)}")
    times = {column: Moment() for column in report.columns if column.endswith("_at")}
    amounts = {column: Money() for column in report.columns if column in {"price", "hours"}}
    typed: Any = text(query).columns(**times, **amounts)
    whose = {"connection_id": _key(connection, connection_id)}
    return [dict(row) for row in (await connection.execute(typed, whose)).mappings()]


def _key(connection: AsyncConnection, connection_id: str) -> Any:
    """As each database's driver takes it in a query of text."""
    import uuid

    return uuid.UUID(connection_id) if connection.dialect.name == "postgresql" else connection_id
