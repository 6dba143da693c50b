"""How do locks look on the wire? Renewing many in one round trip, and taking lapsed ones back (lua/renew.lua)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from oxcart.protocol.codec import pack
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Command, eval_command, ours

MOST_PER_CALL = 500
RENEWED, TAKEN_BACK, TO_BE_CANCELLED, LOST = 0, 1, 2, -6


class HeldLock(NamedTuple):
    job_id: bytes
    token: str
    ats: int
    processed_on_ms: int
    atm: int


def renew_command(keys: QueueKeys, locks: Sequence[HeldLock], lock_ms: int) -> Command:
    """At most MOST_PER_CALL locks of one queue; the reply has one of the numbers above for each."""
    return eval_command(
        ours("renew"),
        (keys.active, keys.stalled, keys.wait, keys.paused, keys.cancellations),
        (keys.base, lock_ms, pack(list(locks))),
    )
