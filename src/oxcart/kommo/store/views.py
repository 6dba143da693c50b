"""Which questions does the database answer by itself? One view each, in the SQL of SQLite and of PostgreSQL."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from oxcart.kommo.store.entity_tables import ENTITY_TABLES

_PHONES = """
SELECT connection_id, entity_type, entity_id, text AS {what}, enum_code AS kind, position
FROM {schema}crm_field_values WHERE code = '{code}'
"""

_LEADS_NAMED = """
SELECT l.connection_id, l.external_id AS lead_id, l.name AS lead, l.price, l.pipeline_id, p.name AS pipeline,
  l.status_id, s.name AS stage, s.sort AS stage_sort,
  CASE l.status_id WHEN '142' THEN 'won' WHEN '143' THEN 'lost' ELSE 'open' END AS outcome,
  l.responsible_user_id, u.name AS manager, l.loss_reason_id, r.name AS loss_reason,
  c.external_id AS contact_id, c.name AS contact, f.external_id AS company_id, f.name AS company,
  (SELECT {join_names} FROM {schema}crm_entity_tags t WHERE t.connection_id = l.connection_id
    AND t.entity_type = 'leads' AND t.entity_id = l.external_id) AS tags,
  l.remote_created_at AS created_at, l.remote_updated_at AS updated_at, l.closed_at
FROM {schema}crm_leads l
LEFT JOIN {schema}kommo_pipelines p ON p.connection_id = l.connection_id AND p.external_id = l.pipeline_id
LEFT JOIN {schema}kommo_stages s
  ON s.connection_id = l.connection_id AND s.pipeline_id = l.pipeline_id AND s.status_id = l.status_id
LEFT JOIN {schema}crm_users u ON u.connection_id = l.connection_id AND u.external_id = l.responsible_user_id
LEFT JOIN {schema}crm_loss_reasons r ON r.connection_id = l.connection_id AND r.external_id = l.loss_reason_id
LEFT JOIN {schema}crm_links lc ON lc.connection_id = l.connection_id AND lc.from_type = 'leads'
  AND lc.from_id = l.external_id AND lc.to_type = 'contacts' AND lc.is_main
LEFT JOIN {schema}crm_contacts c ON c.connection_id = l.connection_id AND c.external_id = lc.to_id
LEFT JOIN {schema}crm_links lf ON lf.connection_id = l.connection_id AND lf.from_type = 'leads'
  AND lf.from_id = l.external_id AND lf.to_type = 'companies'
LEFT JOIN {schema}crm_companies f ON f.connection_id = l.connection_id AND f.external_id = lf.to_id
WHERE l.deleted_at IS NULL
"""

# The stage before the first move is the one that this move left; a lead that never moved is where it began.
_STAGE_HISTORY = """
WITH moves AS (
  SELECT connection_id, entity_id AS lead_id, remote_created_at AS entered_at, external_id AS move_id, created_by,
    old_pipeline_id, old_status_id, new_pipeline_id AS pipeline_id, new_status_id AS status_id,
    row_number() OVER (PARTITION BY connection_id, entity_id ORDER BY remote_created_at, external_id) AS number
  FROM {schema}crm_events
  WHERE type = 'lead_status_changed' AND new_status_id IS NOT NULL AND deleted_at IS NULL
), stays AS (
  SELECT connection_id, lead_id, pipeline_id, status_id, entered_at, move_id, created_by FROM moves
  UNION ALL
  SELECT l.connection_id, l.external_id, coalesce(m.old_pipeline_id, l.pipeline_id),
    coalesce(m.old_status_id, l.status_id), l.remote_created_at, '', l.created_by
  FROM {schema}crm_leads l
  LEFT JOIN moves m ON m.connection_id = l.connection_id AND m.lead_id = l.external_id AND m.number = 1
), timed AS (
  SELECT stays.*, lead(entered_at) OVER (PARTITION BY connection_id, lead_id ORDER BY entered_at, move_id) AS left_at
  FROM stays
)
SELECT h.connection_id, h.lead_id, l.name AS lead, h.pipeline_id, p.name AS pipeline, h.status_id, s.name AS stage,
  s.sort AS stage_sort, h.entered_at, h.left_at, {seconds} AS seconds, h.created_by AS moved_by_id, u.name AS moved_by
FROM timed h
JOIN {schema}crm_leads l
  ON l.connection_id = h.connection_id AND l.external_id = h.lead_id AND l.deleted_at IS NULL
LEFT JOIN {schema}kommo_pipelines p ON p.connection_id = h.connection_id AND p.external_id = h.pipeline_id
LEFT JOIN {schema}kommo_stages s
  ON s.connection_id = h.connection_id AND s.pipeline_id = h.pipeline_id AND s.status_id = h.status_id
LEFT JOIN {schema}crm_users u ON u.connection_id = h.connection_id AND u.external_id = h.created_by
"""

# By the month in which a lead was made: how many of them came to each stage, however often.
_FUNNEL = """
WITH came AS (
  SELECT DISTINCT connection_id, lead_id, pipeline_id, pipeline, status_id, stage, stage_sort
  FROM {schema}crm_stage_history
)
SELECT c.connection_id, {month} AS month, c.pipeline_id, c.pipeline, c.status_id, c.stage, c.stage_sort,
  count(*) AS leads, sum(l.price) AS price
FROM came c
JOIN {schema}crm_leads l ON l.connection_id = c.connection_id AND l.external_id = c.lead_id
GROUP BY c.connection_id, {month}, c.pipeline_id, c.pipeline, c.status_id, c.stage, c.stage_sort
"""

_OPEN_TASKS = """
SELECT t.connection_id, t.responsible_user_id, u.name AS manager, count(*) AS open_tasks,
  sum(CASE WHEN t.complete_till < {now} THEN 1 ELSE 0 END) AS overdue_tasks, min(t.complete_till) AS first_due_at
FROM {schema}kommo_tasks t
LEFT JOIN {schema}crm_users u ON u.connection_id = t.connection_id AND u.external_id = t.responsible_user_id
WHERE t.deleted_at IS NULL AND NOT t.is_completed
GROUP BY t.connection_id, t.responsible_user_id, u.name
"""

_CALLS = """
SELECT n.connection_id, {month_of_note} AS month, n.responsible_user_id, u.name AS manager, count(*) AS calls,
  sum(CASE n.note_type WHEN 'call_in' THEN 1 ELSE 0 END) AS incoming,
  sum(CASE n.note_type WHEN 'call_out' THEN 1 ELSE 0 END) AS outgoing,
  sum(CASE WHEN n.duration > 0 THEN 1 ELSE 0 END) AS answered, sum(coalesce(n.duration, 0)) AS seconds
FROM {schema}crm_notes n
LEFT JOIN {schema}crm_users u ON u.connection_id = n.connection_id AND u.external_id = n.responsible_user_id
WHERE n.deleted_at IS NULL AND n.note_type IN ('call_in', 'call_out')
GROUP BY n.connection_id, {month_of_note}, n.responsible_user_id, u.name
"""

_SQLITE = {
    "schema": "",
    "now": "strftime('%Y-%m-%d %H:%M:%f', 'now')",
    "seconds": "CAST(round((julianday(coalesce(h.left_at, 'now')) - julianday(h.entered_at)) * 86400) AS INTEGER)",
    "month": "substr(l.remote_created_at, 1, 7)",
    "month_of_note": "substr(n.remote_created_at, 1, 7)",
    "join_names": "group_concat(t.name, ', ')",
}
_POSTGRESQL = {
    "now": "now()",
    "seconds": "CAST(extract(epoch FROM coalesce(h.left_at, now()) - h.entered_at) AS bigint)",
    "month": "to_char(l.remote_created_at AT TIME ZONE 'UTC', 'YYYY-MM')",
    "month_of_note": "to_char(n.remote_created_at AT TIME ZONE 'UTC', 'YYYY-MM')",
    "join_names": "string_agg(t.name, ', ' ORDER BY t.name)",
}

_VIEWS: Mapping[str, str] = {
    "crm_phones": _PHONES.replace("{what}", "phone").replace("{code}", "PHONE"),
    "crm_emails": _PHONES.replace("{what}", "email").replace("{code}", "EMAIL"),
    "crm_leads_named": _LEADS_NAMED,
    "crm_stage_history": _STAGE_HISTORY,
    "crm_funnel_by_month": _FUNNEL,
    "crm_open_tasks_by_person": _OPEN_TASKS,
    "crm_calls_by_manager": _CALLS,
}

SHORT_NAMES: Mapping[str, str] = {
    "crm_pipelines": "kommo_pipelines",
    "crm_pipeline_stages": "kommo_stages",
    "crm_custom_fields": "kommo_custom_fields",
    "crm_tasks": "kommo_tasks",
}
"""Names that the platform has for tables of its own; where there is no such table, they are ours under another name."""

VIEW_NAMES = tuple(_VIEWS)


def views_for(dialect: str, prefix: str, taken: frozenset[str]) -> dict[str, str]:
    """Name -> SELECT, in an order in which they can be made. `prefix` is a quoted schema with its dot, or nothing;
    `taken` are names of tables.
    """
    words = _SQLITE if dialect == "sqlite" else {**_POSTGRESQL, "schema": prefix}
    selects = {name: select.format(**words).strip() for name, select in _VIEWS.items()}
    for name, of in SHORT_NAMES.items():
        if name not in taken:
            columns = ", ".join(column.name for column in ENTITY_TABLES[of].columns)
            selects[name] = f"SELECT {columns} FROM {words['schema']}{of}"  # noqa: S608 - names of our own
    return selects


def mark_of(select: str) -> str:
    """Tells whether a view that is there is the one that is wanted: no database gives back what it was made of."""
    return hashlib.sha256(select.encode()).hexdigest()[:16]
