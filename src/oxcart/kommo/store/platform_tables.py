"""Which tables does the platform bring along? Its names and columns; used as they are where they exist.

Where those of METADATA do not (a database of our own), we make them; nothing there points at `organizations`, and
`org_id` is what `org_of_domain` says. What they have no column for is in crm_connection_states.
Source: the platform's supabase/schema.sql and its migrations.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, Integer, MetaData, Table, Text, UniqueConstraint, false, func, true

from oxcart.kommo.store.columns import JSON_VALUE, TEXTS, UUID, Moment, new_id, random_uuid

METADATA = MetaData()
"""Ours, and those of the platform that we live in: its connections, credentials, logins and saved webhooks."""

EXPORTED = MetaData()
"""Those of the platform that platform_export.py writes where they are; we make none of them."""

PLATFORM = "platform"
"""Key of Table.info: true for the tables of this file."""


def _table(name: str, *items: Any, metadata: MetaData = METADATA) -> Table:
    return Table(
        name,
        metadata,
        Column("id", UUID, primary_key=True, default=new_id, server_default=random_uuid()),
        *items,
        info={PLATFORM: True},
    )


def _times() -> tuple[Column[Any], ...]:
    return (
        Column("created_at", Moment, server_default=func.now()),
        Column("updated_at", Moment, server_default=func.now(), onupdate=func.now()),
    )


def _provider() -> Column[Any]:
    return Column("provider", Text, nullable=False, server_default="kommo", default="kommo")


crm_credentials = _table(
    "crm_credentials",
    Column("org_id", UUID, nullable=False),
    _provider(),
    Column("client_id", Text, nullable=False),
    Column("client_secret", Text, nullable=False),
    Column("redirect_uri", Text),
    *_times(),
    UniqueConstraint("org_id", "provider"),
)

crm_connections = _table(
    "crm_connections",
    Column("org_id", UUID, nullable=False),
    _provider(),
    Column("base_domain", Text, nullable=False),
    Column("access_token", Text, nullable=False),
    Column("refresh_token", Text),
    Column("expires_at", Moment),
    Column("scope", TEXTS),
    Column("account_id", Text),
    Column("metadata", JSON_VALUE),
    *_times(),
    UniqueConstraint("org_id", "provider", "base_domain"),
)

crm_pipelines = _table(
    "crm_pipelines",
    Column("connection_id", UUID, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("is_active", Boolean, server_default=true()),
    Column("sort_order", Integer),
    Column("metadata", JSON_VALUE),
    *_times(),
    UniqueConstraint("connection_id", "external_id"),
    metadata=EXPORTED,
)

crm_pipeline_stages = _table(
    "crm_pipeline_stages",
    Column("pipeline_id", UUID, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("sort_order", Integer),
    Column("metadata", JSON_VALUE),
    *_times(),
    UniqueConstraint("pipeline_id", "external_id"),
    metadata=EXPORTED,
)

crm_custom_fields = _table(
    "crm_custom_fields",
    Column("connection_id", UUID, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("entity_type", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("field_type", Text, nullable=False),
    Column("code", Text),
    Column("is_required", Boolean),
    Column("is_deletable", Boolean),
    Column("is_api_only", Boolean),
    Column("sort_order", Integer),
    Column("enums", JSON_VALUE),
    Column("metadata", JSON_VALUE),
    *_times(),
    UniqueConstraint("connection_id", "external_id", "entity_type"),
    metadata=EXPORTED,
)

crm_tasks = _table(
    "crm_tasks",
    Column("org_id", UUID, nullable=False),
    Column("task_id", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    Column("entity_type", Text, nullable=False),
    Column("task_text", Text, nullable=False),
    Column("task_type_id", Integer),
    Column("complete_till", Moment),
    Column("responsible_user_id", Integer),
    Column("is_completed", Boolean, nullable=False, server_default=false()),
    Column("metadata", JSON_VALUE),
    *_times(),
    UniqueConstraint("org_id", "task_id"),
    metadata=EXPORTED,
)

oauth_states = _table(
    "oauth_states",
    Column("org_id", UUID, nullable=False),
    _provider(),
    Column("state", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("base_domain", Text, nullable=False),
    Column("created_at", Moment, server_default=func.now()),
    Column("expires_at", Moment, nullable=False),
    UniqueConstraint("provider", "state"),
)

webhook_events = _table(
    "webhook_events",
    Column("org_id", UUID, nullable=False),
    Column("provider", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("event_subtype", Text),
    Column("entity_id", Text),
    Column("entity_type", Text),
    Column("payload", JSON_VALUE, nullable=False),
    Column("status", Text, server_default="pending"),
    Column("error", Text),
    Column("retry_count", Integer, server_default="0"),
    Column("max_retries", Integer, server_default="3"),
    Column("next_retry_at", Moment),
    Column("processing_started_at", Moment),
    Column("processed_at", Moment),
    Column("created_at", Moment, server_default=func.now()),
)
