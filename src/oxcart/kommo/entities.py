"""What does Kommo have, and how is each of it read? One record per stream; adding one is adding a record.

A list without a column here loses nothing: the whole row is kept as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Walk(StrEnum):
    """How a stream is read from end to end."""

    ONCE = "once"  # one answer, no pages
    PAGES = "pages"  # no filter by time: every page, each time
    CHANGES = "changes"  # filtered and ordered by the cursor: its last value is how far we are
    WINDOW = "window"  # filtered by the cursor, in an order of its own: a window counts only when read whole


class Form(StrEnum):
    """How a typed column is stored."""

    TEXT = "text"
    WHOLE = "whole"
    NUMBER = "number"  # a price may be a float on Kommo
    TRUTH = "truth"
    MOMENT = "moment"  # epoch seconds there, UTC here; 0 and null are none
    REF = "ref"  # another row's external id, kept as text; 0 and null are none


@dataclass(frozen=True, slots=True)
class Column:
    """`source` is the path in Kommo's row."""

    name: str
    source: tuple[str, ...]
    form: Form


@dataclass(frozen=True, slots=True)
class Link:
    """A list of {id, …} under _embedded that says what a row belongs to. `main` is the flag in it, if there is one."""

    embedded: str
    to: str
    main: str | None = None


@dataclass(frozen=True, slots=True)
class Nested:
    """Rows inside a row, as the statuses of a pipeline. `key` makes them unique: 142 and 143 are in every pipeline."""

    embedded: str
    table: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Events:
    """The event types that say a row of this entity went, or came back. `kind` is the event's entity_type."""

    kind: str
    deleted: str
    restored: str | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """One stream. `path` is below /api/v4, `key` its list under _embedded, `of` the entity that rows hang on.

    `query` goes with every request. `cursor` is the column that filter[cursor][from|to] works on. `by_id` is whether
    filter[id][] does. `hook` is the top key of its webhooks, `hook_settings` what to subscribe to.
    """

    name: str
    path: str
    key: str
    table: str
    walk: Walk
    columns: tuple[Column, ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    cursor: str | None = None
    order: str | None = None
    limit: int = 250
    by_id: bool = False
    of: str | None = None
    links: tuple[Link, ...] = ()
    nested: tuple[Nested, ...] = ()
    has_custom_fields: bool = False
    has_tags: bool = False
    events: Events | None = None
    hook: str | None = None
    hook_settings: tuple[str, ...] = ()
    is_personal: bool = False
    needs_admin: bool = False
    marks_deleted: bool = False


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
    "crm_pipelines",
    Walk.ONCE,
    columns=(*_NAME, *_columns(Form.WHOLE, "sort"), *_columns(Form.TRUTH, "is_main", "is_archive")),
    nested=(
        Nested(
            "statuses",
            "crm_pipeline_stages",
            ("pipeline_id", "id"),
            (*_NAME, *_columns(Form.WHOLE, "sort", "type"), *_columns(Form.TEXT, "color")),
        ),
    ),
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
    is_personal=True,
    needs_admin=True,
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
    is_personal=True,
)

LEADS = Entity(
    "leads",
    "/leads",
    "leads",
    "crm_leads",
    Walk.CHANGES,
    columns=(
        *_CARD,
        *_columns(Form.NUMBER, "price"),
        *_columns(Form.REF, "status_id", "pipeline_id", "loss_reason_id", "source_id"),
        *_columns(Form.MOMENT, "closed_at"),
        *_columns(Form.WHOLE, "score", "labor_cost"),
    ),
    query=(("with", "contacts,loss_reason,source_id"),),
    cursor="updated_at",
    order="updated_at",
    by_id=True,
    links=(Link("contacts", "contacts", main="is_main"), Link("companies", "companies")),
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
    "crm_tasks",
    Walk.WINDOW,
    columns=(
        *_columns(Form.TEXT, "text", "entity_type"),
        *_OWNED,
        *_columns(Form.REF, "entity_id", "task_type_id"),
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
        ),
        cursor="updated_at",
        order="updated_at",
        by_id=True,
        of=of,
        is_personal=True,
    )


# 50 a page: documented at amoCRM, and found by those who asked for more.
def _custom_fields(of: str) -> Entity:
    return Entity(
        f"{of}_custom_fields",
        f"/{of}/custom_fields",
        "custom_fields",
        "crm_custom_fields",
        Walk.PAGES,
        columns=(
            *_columns(Form.TEXT, "name", "type", "code", "entity_type"),
            *_columns(Form.WHOLE, "sort"),
            *_columns(Form.REF, "group_id"),
        ),
        limit=50,
        of=of,
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
    )


# 100 a page: Kommo's page says 250, those who use it found 100. Ordered by nothing that is documented.
EVENTS = Entity(
    "events",
    "/events",
    "events",
    "crm_events",
    Walk.WINDOW,
    columns=(
        *_columns(Form.TEXT, "type", "entity_type"),
        *_columns(Form.REF, "entity_id", "created_by"),
        Column("remote_created_at", ("created_at",), Form.MOMENT),
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

_ALL = (
    ACCOUNT,
    PIPELINES,
    USERS,
    COMPANIES,
    CONTACTS,
    LEADS,
    TASKS,
    *(make(of) for make in (_notes, _custom_fields, _tags) for of in ("leads", "contacts", "companies")),
    EVENTS,
    DELETED_LEADS,
)

ENTITIES: Mapping[str, Entity] = {entity.name: entity for entity in _ALL}
"""Every stream by name, in the order of a first sync: what is pointed at comes before what points."""
