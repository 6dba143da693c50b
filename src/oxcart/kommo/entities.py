"""What does Kommo have, and how is each of it read? One record per stream; adding one is adding a record.

A list without a column here loses nothing: the whole row is kept as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Walk(StrEnum):
    """How a stream is read from end to end."""

    ONCE = "once"  # one answer, no pages: all there is
    PAGES = "pages"  # no filter by time: every page, each time
    INSIDE = "inside"  # in each row of another stream, all there is
    CHANGES = "changes"  # filtered and ordered by the cursor: its last value is how far we are
    WINDOW = "window"  # filtered by the cursor, in an order of its own: a window counts only when read whole


class Form(StrEnum):
    """How a typed column is stored."""

    TEXT = "text"
    WHOLE = "whole"
    MONEY = "money"  # exact; a price may have a fraction on Kommo
    TRUTH = "truth"
    MOMENT = "moment"  # epoch seconds there, UTC here; 0 and null are none
    REF = "ref"  # another row's external id, kept as text; 0 and null are none
    KIND = "kind"  # what such an id is of, spelt as the streams are: leads, also where Kommo says lead or 2


@dataclass(frozen=True, slots=True)
class Column:
    """`source` is the path in Kommo's row; a number is a place in a list."""

    name: str
    source: tuple[str | int, ...]
    form: Form


@dataclass(frozen=True, slots=True)
class Link:
    """A list of {id, …} under _embedded that says what a row belongs to. `main` is the flag in it, if there is one,
    `quantity` where it says how many.
    """

    embedded: str
    to: str
    main: str | None = None
    quantity: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Events:
    """The event types that say a row of this entity went, or came back. `kind` is the event's entity_type."""

    kind: str
    deleted: str
    restored: str | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """One kind of rows. `path` is below /api/v4, `key` its list under _embedded, `of` the entity that rows hang on.

    `query` goes with every request. `cursor` is the column that filter[cursor][from|to] works on. `by_id` is whether
    filter[id][] does. `hook` is the top key of its webhooks, `hook_settings` what to subscribe to. `inside` is the
    stream whose rows hold these; `is_composite`: only with that row's id are theirs unique, as in 6950551:142. `each`
    is the stream whose ids stand for the {} of the path. `seldom_seconds`: asked for no more often, unless by name.
    `needs`: a setting of the account; where that is off, it has no such rows. `names_stay`: others name a row by its
    id for years, so of one that is gone the name is kept. `quiet` lists under _embedded say nothing where they are
    empty: earlier versions did not ask for them.
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
    inside: str | None = None
    is_composite: bool = False
    each: str | None = None
    seldom_seconds: float = 0.0
    needs: str | None = None
    names_stay: bool = False
    quiet: tuple[str, ...] = ()
    has_custom_fields: bool = False
    has_tags: bool = False
    events: Events | None = None
    hook: str | None = None
    hook_settings: tuple[str, ...] = ()
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
