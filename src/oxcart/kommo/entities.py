"""What does Kommo have, and how is each of it read? One record per stream; adding one is adding a record.

A list without a column here loses nothing: the whole row is kept as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oxcart.kommo.entity import Column, Entity, Events, Form, Link, Walk


def _columns(form: Form, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, (name,), form) for name in names)


_NAME = _columns(Form.TEXT, "name")
_CREATED_AND_UPDATED = (
    Column("remote_created_at", ("created_at",), Form.MOMENT),
    Column("remote_updated_at", ("updated_at",), Form.MOMENT),
)
_OWNED = (
    *_columns(Form.REF, "responsible_user_id", "group_id", "created_by", "updated_by"),
    *_CREATED_AND_UPDATED,
)
_CARD = (*_NAME, *_OWNED, *_columns(Form.MOMENT, "closest_task_at"))


def _hooks(kind: str, *actions: str) -> tuple[str, ...]:
    return tuple(f"{action}_{kind}" for action in actions)


ACCOUNT = Entity(
    "account",
    "/account",
    "",
    "crm_accounts",
    Walk.ONCE,
    columns=(
        *_columns(Form.TEXT, "name", "subdomain", "country", "currency"),
        Column("timezone", ("_embedded", "datetime_settings", "timezone"), Form.TEXT),
        *_CREATED_AND_UPDATED,
    ),
    query=(("with", "amojo_id,users_groups,task_types,version,datetime_settings,drive_url,is_api_filter_enabled"),),
)

PIPELINES = Entity(
    "pipelines",
    "/leads/pipelines",
    "pipelines",
    "kommo_pipelines",
    Walk.ONCE,
    columns=(*_NAME, *_columns(Form.WHOLE, "sort"), *_columns(Form.TRUTH, "is_main", "is_archive")),
    names_stay=True,
)

STAGES = Entity(
    "stages",
    "",
    "statuses",
    "kommo_stages",
    Walk.INSIDE,
    columns=(
        *_NAME,
        *_columns(Form.REF, "pipeline_id"),
        Column("status_id", ("id",), Form.REF),
        *_columns(Form.WHOLE, "sort", "type"),
        *_columns(Form.TEXT, "color"),
    ),
    inside="pipelines",
    is_composite=True,  # 142 and 143 are in every pipeline
    names_stay=True,
)

GROUPS = Entity(
    "groups", "", "users_groups", "crm_groups", Walk.INSIDE, columns=_NAME, inside="account", names_stay=True
)

TASK_TYPES = Entity(
    "task_types",
    "",
    "task_types",
    "crm_task_types",
    Walk.INSIDE,
    columns=_columns(Form.TEXT, "name", "code", "color"),
    inside="account",
    names_stay=True,
)

USERS = Entity(
    "users",
    "/users",
    "users",
    "crm_users",
    Walk.PAGES,
    columns=(
        *_columns(Form.TEXT, "name", "email", "lang"),
        Column("is_admin", ("rights", "is_admin"), Form.TRUTH),
        Column("is_active", ("rights", "is_active"), Form.TRUTH),
        Column("group_id", ("rights", "group_id"), Form.REF),
        Column("role_id", ("rights", "role_id"), Form.REF),
    ),
    query=(("with", "role,group,uuid,amojo_id"),),
    needs_admin=True,
    names_stay=True,
)

CONTACTS = Entity(
    "contacts",
    "/contacts",
    "contacts",
    "crm_contacts",
    Walk.CHANGES,
    columns=(*_CARD, *_columns(Form.TEXT, "first_name", "last_name")),
    cursor="updated_at",
    order="updated_at",
    by_id=True,
    links=(Link("companies", "companies"),),
    has_custom_fields=True,
    has_tags=True,
    events=Events("contact", "contact_deleted", "contact_restored"),
    hook="contacts",
    hook_settings=_hooks("contact", "add", "update", "delete", "restore", "responsible", "note"),
)

LEADS = Entity(
    "leads",
    "/leads",
    "leads",
    "crm_leads",
    Walk.CHANGES,
    quiet=("catalog_elements",),
    columns=(
        *_CARD,
        *_columns(Form.MONEY, "price"),
        *_columns(Form.REF, "status_id", "pipeline_id", "loss_reason_id", "source_id"),
        *_columns(Form.MOMENT, "closed_at"),
        *_columns(Form.WHOLE, "score", "labor_cost"),
    ),
    query=(("with", "contacts,loss_reason,source_id,catalog_elements"),),
    cursor="updated_at",
    order="updated_at",
    by_id=True,
    links=(
        Link("contacts", "contacts", main="is_main"),
        Link("companies", "companies"),
        Link("catalog_elements", "catalog_elements", quantity=("metadata", "quantity")),
    ),
    has_custom_fields=True,
    has_tags=True,
    events=Events("lead", "lead_deleted", "lead_restored"),
    hook="leads",
    hook_settings=_hooks("lead", "add", "update", "delete", "restore", "status", "responsible", "note"),
)

COMPANIES = Entity(
    "companies",
    "/companies",
    "companies",
    "crm_companies",
    Walk.CHANGES,
    columns=_CARD,
    cursor="updated_at",
    order="updated_at",
    by_id=True,
    has_custom_fields=True,
    has_tags=True,
    events=Events("company", "company_deleted", "company_restored"),
    hook="contacts",  # companies arrive under contacts, with type=company
    hook_settings=_hooks("company", "add", "update", "delete", "restore", "responsible", "note"),
)

# No order by updated_at is documented for tasks: a watermark taken from such a stream would skip rows.
TASKS = Entity(
    "tasks",
    "/tasks",
    "tasks",
    "kommo_tasks",
    Walk.WINDOW,
    columns=(
        *_columns(Form.TEXT, "text"),
        *_columns(Form.KIND, "entity_type"),
        *_columns(Form.REF, "entity_id", "task_type_id"),
        *_OWNED,
        *_columns(Form.TRUTH, "is_completed"),
        *_columns(Form.WHOLE, "duration"),
        *_columns(Form.MOMENT, "complete_till"),
        Column("result", ("result", "text"), Form.TEXT),
    ),
    cursor="updated_at",
    order="id",
    by_id=True,
    events=Events("task", "task_deleted"),
    hook="task",
    hook_settings=_hooks("task", "add", "update", "delete", "responsible"),
)


def _notes(of: str) -> Entity:
    return Entity(
        f"{of}_notes",
        f"/{of}/notes",
        "notes",
        "crm_notes",
        Walk.CHANGES,
        columns=(
            *_columns(Form.TEXT, "note_type"),
            Column("text", ("params", "text"), Form.TEXT),
            *_columns(Form.REF, "entity_id"),
            *_OWNED,
            *(Column(name, ("params", name), Form.TEXT) for name in ("phone", "link", "source", "uniq", "subject")),
            *(Column(name, ("params", name), Form.TEXT) for name in ("call_status", "call_result")),
            Column("duration", ("params", "duration"), Form.WHOLE),  # seconds, of a call
            Column("mail_from", ("params", "from", "email"), Form.TEXT),
            Column("mail_to", ("params", "to", "email"), Form.TEXT),
        ),
        cursor="updated_at",
        order="updated_at",
        by_id=True,
        of=of,
    )


# 50 a page: documented at amoCRM, and found by those who asked for more.
def _custom_fields(of: str) -> Entity:
    return Entity(
        f"{of}_custom_fields",
        f"/{of}/custom_fields",
        "custom_fields",
        "kommo_custom_fields",
        Walk.PAGES,
        columns=(
            *_columns(Form.TEXT, "name", "type", "code"),
            *_columns(Form.WHOLE, "sort"),
            *_columns(Form.REF, "group_id"),
        ),
        limit=50,
        of=of,
        names_stay=True,
    )


def _tags(of: str) -> Entity:
    return Entity(
        f"{of}_tags",
        f"/{of}/tags",
        "tags",
        "crm_tags",
        Walk.PAGES,
        columns=_columns(Form.TEXT, "name", "color"),
        of=of,
        names_stay=True,
    )


# 100 a page: Kommo's page says 250, those who use it found 100. Ordered by nothing that is documented.
EVENTS = Entity(
    "events",
    "/events",
    "events",
    "crm_events",
    Walk.WINDOW,
    columns=(
        *_columns(Form.TEXT, "type"),
        *_columns(Form.KIND, "entity_type"),
        *_columns(Form.REF, "entity_id", "created_by"),
        Column("remote_created_at", ("created_at",), Form.MOMENT),
        *(  # of a lead that moved to another stage
            Column(f"{which}_{name}", (value, 0, "lead_status", source), Form.REF)
            for which, value in (("old", "value_before"), ("new", "value_after"))
            for name, source in (("pipeline_id", "pipeline_id"), ("status_id", "id"))
        ),
    ),
    cursor="created_at",
    limit=100,
)

# The leads in the bin: {id, updated_at, is_deleted}. There is no such list of contacts, companies or tasks.
DELETED_LEADS = Entity(
    "deleted_leads",
    "/leads",
    "leads",
    "crm_leads",
    Walk.CHANGES,
    query=(("with", "only_deleted"),),
    cursor="updated_at",
    order="updated_at",
    marks_deleted=True,
)

CUSTOMERS = Entity(
    "customers",
    "/customers",
    "customers",
    "crm_customers",
    Walk.CHANGES,
    columns=(
        *_CARD,
        *_columns(Form.MONEY, "next_price", "ltv", "average_check"),
        *_columns(Form.MOMENT, "next_date"),
        *_columns(Form.REF, "status_id"),
        *_columns(Form.WHOLE, "periodicity", "purchases_count"),
    ),
    query=(("with", "contacts"),),
    cursor="updated_at",
    order="updated_at",
    by_id=True,
    links=(Link("contacts", "contacts", main="is_main"), Link("companies", "companies")),
    needs="customers_mode",
    has_custom_fields=True,
    has_tags=True,
    events=Events("customer", "customer_deleted"),
)

# What nobody has accepted yet; an id of its own is in `uid`. Who accepts one, or declines it, takes it out of the list.
UNSORTED = Entity(
    "unsorted",
    "/leads/unsorted",
    "unsorted",
    "crm_unsorted",
    Walk.PAGES,
    columns=(
        *_columns(Form.TEXT, "category", "source_name", "source_uid"),
        *_columns(Form.REF, "pipeline_id"),
        *_CREATED_AND_UPDATED,
        Column("lead_id", ("_embedded", "leads", 0, "id"), Form.REF),
        Column("contact_id", ("_embedded", "contacts", 0, "id"), Form.REF),
    ),
    needs="is_unsorted_on",
)

_HOURLY = 3600.0


def _seldom(name: str, path: str, *columns: Column, **more: Any) -> Entity:
    """A list that hardly changes, and that nothing tells of."""
    found: dict[str, Any] = {"columns": (*_NAME, *columns), "seldom_seconds": _HOURLY, "names_stay": True, **more}
    return Entity(name, path, path.rpartition("/")[2], f"crm_{name}", Walk.PAGES, **found)


LOSS_REASONS = _seldom("loss_reasons", "/leads/loss_reasons", *_columns(Form.WHOLE, "sort"))
ROLES = _seldom("roles", "/roles", needs_admin=True)
SOURCES = _seldom("sources", "/sources", *_columns(Form.REF, "pipeline_id"), *_columns(Form.TEXT, "origin_code"))
CATALOGS = _seldom(
    "catalogs", "/catalogs", *_columns(Form.TEXT, "type"), *_columns(Form.WHOLE, "sort"), *_CREATED_AND_UPDATED
)
CATALOG_ELEMENTS = _seldom(
    "catalog_elements",
    "/catalogs/{}/elements",
    *_columns(Form.REF, "catalog_id"),
    *_CREATED_AND_UPDATED,
    each="catalogs",
    has_custom_fields=True,
)

_ALL = (
    ACCOUNT,
    PIPELINES,
    USERS,
    ROLES,
    LOSS_REASONS,
    SOURCES,
    CATALOGS,
    CATALOG_ELEMENTS,
    COMPANIES,
    CONTACTS,
    LEADS,
    CUSTOMERS,
    UNSORTED,
    TASKS,
    *(make(of) for make in (_notes, _custom_fields, _tags) for of in ("leads", "contacts", "companies")),
    EVENTS,
    DELETED_LEADS,
)

ENTITIES: Mapping[str, Entity] = {entity.name: entity for entity in _ALL}
"""Every stream by name, in the order of a first sync: what is pointed at comes before what points."""

INSIDE = (STAGES, GROUPS, TASK_TYPES)
"""Rows that come with those of a stream."""

SHAPE = 3
"""The number of this state of the columns above. Rows that were written under a smaller one say more than their
columns do, and are told anew from their raw; raise it when a column, a link or a reading of one is added.
"""
