"""How does the CRM's mirror read Kommo, and what does it keep? Part of Settings."""

from __future__ import annotations

from dataclasses import dataclass

from oxcart.settings.knobs import knob
from oxcart.settings.values import KOMMO_NAMES, LOOPBACK_URL, number, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorSettings:
    kommo_base_url: str | None = knob(
        "OXCART_KOMMO_BASE_URL",
        LOOPBACK_URL,
        "Sends every Kommo request to this address instead, with the account in the Host header: for the sandbox "
        "(`oxcart kommo sandbox`) and for tests.",
    )
    kommo_requests_per_second: float = knob(
        "OXCART_KOMMO_REQUESTS_PER_SECOND",
        number(0.1, 1000),
        "How fast all workers that share a Redis ask Kommo. It allows 7; less where others use the same address, more "
        "for a sandbox alone.",
        default="5",
    )
    kommo_keep_hooks_days: int = knob(
        "OXCART_KOMMO_KEEP_HOOKS_DAYS",
        whole(1, 3650),
        "How long Kommo's raw webhooks are kept; what they told of is in the tables long before.",
        default="30",
        unit="days",
    )
    kommo_keep_deleted_days: int = knob(
        "OXCART_KOMMO_KEEP_DELETED_DAYS",
        whole(1, 3650),
        "How long rows that were deleted in Kommo keep what they said, and finished posts theirs; that they are gone "
        "stays known.",
        default="30",
        unit="days",
    )
    kommo_skip: tuple[str, ...] = knob(
        "OXCART_KOMMO_SKIP",
        KOMMO_NAMES,
        "What of the CRM is not read, e.g. `catalogs,customers,roles`; docs/kommo.md says what each costs.",
        without=(),
    )
