"""Which tables do we bring along beside the mirror? What keeps it current; entity_tables.py has the mirror itself.

No foreign key leads into the platform's tables: its own deletes must never wait for ours, and `migrate` must leave
its tables as they are. Keys begin with `connection_id`, so that one connection can be erased as a whole.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, Index, Integer, Table, Text, text

from oxcart.kommo.store.columns import BIG, JSON_VALUE, UUID, Moment, Money, new_id
from oxcart.kommo.store.platform_tables import METADATA


def _connection() -> Column[Any]:
    return Column("connection_id", UUID, primary_key=True)


crm_links = Table(
    "crm_links",
    METADATA,
    _connection(),
    Column("from_type", Text, primary_key=True),
    Column("from_id", Text, primary_key=True),
    Column("to_type", Text, primary_key=True),
    Column("to_id", Text, primary_key=True),
    Column("is_main", Boolean),
    Column("quantity", Money),  # of a catalog's element in a lead
    Index("ix_crm_links_to", "connection_id", "to_type", "to_id"),
)

crm_entity_tags = Table(
    "crm_entity_tags",
    METADATA,
    _connection(),
    Column("entity_type", Text, primary_key=True),
    Column("entity_id", Text, primary_key=True),
    Column("tag_id", Text, primary_key=True),
    Column("name", Text),
)

crm_field_values = Table(
    "crm_field_values",  # custom fields; of several values of one field each is a row
    METADATA,
    _connection(),
    Column("entity_type", Text, primary_key=True),
    Column("entity_id", Text, primary_key=True),
    Column("field_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),  # from 0
    Column("code", Text),  # PHONE, EMAIL…
    Column("type", Text),
    Column("text", Text),  # the value, whatever it is, as Kommo writes it
    Column("number", Money),  # where it is one
    Column("time", Moment),  # of dates, times and birthdays
    Column("enum_id", Text),
    Column("enum_code", Text),
    Index("ix_crm_field_values_field", "connection_id", "field_id"),
)

crm_connection_states = Table(
    "crm_connection_states",  # what crm_connections has no column for
    METADATA,
    _connection(),
    Column("token_version", BIG, nullable=False, default=0),
    Column("api_domain", Text),
    Column("reauth_reason", Text),  # not null: Kommo refused these tokens; jobs are parked
    Column("reauth_at", Moment),
    Column("refused_fingerprint", Text),  # of the tokens that were refused: others are tried again
    Column("refreshed_at", Moment),
    Column("webhook_secret", Text),
    Column("old_webhook_secret", Text),
    Column("old_webhook_secret_until", Moment),
    Column("settings", JSON_VALUE),  # time zone, rights, whether filters work: what the account told
)

crm_cursors = Table(
    "crm_cursors",
    METADATA,
    _connection(),
    Column("entity", Text, primary_key=True),
    Column("cursor_at", Moment),  # everything that changed before this is here
    Column("checkpoint", JSON_VALUE),  # where an unfinished walk stands; null between walks
    Column("full_walk_at", Moment),
    Column("swept_at", Moment),
    Column("last_run_at", Moment),
    Column("last_error", Text),
    Column("sweep_error", Text),  # why the last sweep deleted nothing; a poll that succeeds does not end it
    Column("rows_written", BIG, nullable=False, default=0),
    Column("requests", BIG, nullable=False, default=0),
)

crm_dirty = Table(
    "crm_dirty",
    METADATA,
    _connection(),
    Column("entity", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("action", Text, nullable=False),
    Column("hinted_at", Moment),
    Column("marked_at", Moment, nullable=False),
    Column("source", Text),  # hook or event, or a list that may be late
    Column("due_at", Moment),  # asked for in vain, to be asked for again then: what is not there may be late
    Column("mark", Text, nullable=False),  # another one with each marking: a mark made meanwhile is not cleared
    Index("ix_crm_dirty_marked", "connection_id", "entity", "marked_at"),
)

crm_quarantine = Table(
    "crm_quarantine",  # elements of lists that could not be read as rows
    METADATA,
    _connection(),
    Column("entity", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),  # where one can be made out, else a hash of the text
    Column("raw", Text, nullable=False),
    Column("seen_at", Moment, nullable=False),
)

crm_hooks = Table(
    "crm_hooks",
    METADATA,
    _connection(),
    Column("body_hash", Text, primary_key=True),
    Column("received_at", Moment, nullable=False),
    Column("content_type", Text),
    Column("body", Text, nullable=False),
    Column("expanded_at", Moment),
    Column("error", Text),
    Index("ix_crm_hooks_received", "received_at"),
    Index(
        "ix_crm_hooks_waiting",  # holds the few that are not expanded yet, of the many that are kept
        "connection_id",
        "received_at",
        postgresql_where=text("expanded_at IS NULL"),
        sqlite_where=text("expanded_at IS NULL"),
    ),
)

crm_outbox = Table(
    "crm_outbox",
    METADATA,
    Column("id", UUID, primary_key=True, default=new_id),
    Column("connection_id", UUID, nullable=False),
    Column("key", Text, nullable=False),  # what may be posted once only
    Column("kind", Text, nullable=False),
    Column("entity_type", Text),
    Column("entity_id", Text),
    Column("payload", JSON_VALUE, nullable=False),
    Column("state", Text, nullable=False, default="pending"),  # pending, sent (perhaps), confirmed, failed
    Column("marker", Text, nullable=False),  # found again in the account after a lost answer
    Column("attempts", Integer, nullable=False, default=0),
    Column("remote_id", Text),
    Column("error", Text),
    Column("created_at", Moment, nullable=False),
    Column("sent_at", Moment),
    Column("missed_at", Moment),  # when it was first looked for in vain, by Kommo's clock
    Column("finished_at", Moment),
    Index("uq_crm_outbox_key", "connection_id", "key", unique=True),
    Index("ix_crm_outbox_state", "connection_id", "state", "created_at"),
)

crm_leases = Table(
    "crm_leases",
    METADATA,
    Column("scope", Text, primary_key=True),  # as in refresh:CONNECTION or sync:CONNECTION:leads
    Column("holder", Text, nullable=False),
    Column("held_until", Moment, nullable=False),
)
