"""What does work on one account need? Its mirror, its API, and who it is: every sync, sweep and push gets this."""

from __future__ import annotations

from dataclasses import dataclass

from oxcart.kommo.client import Client
from oxcart.kommo.store.database import Database
from oxcart.telemetry.bus import Emit


@dataclass(frozen=True, slots=True)
class Account:
    """One row of crm_connections at work. `client` calls on its behalf, at the caller's priority."""

    connection_id: str
    org_id: str
    domain: str
    database: Database
    client: Client
    emit: Emit
    skips: frozenset[str] = frozenset()
    """Streams that are not read unless by name."""
