"""How does the sandbox behave? Every switch with what it stands for; a scenario is one setting of them.

The facts are in docs/kommo-sandbox.md, each with the words "documented", "seen" or "assumed".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from oxcart.errors import InvalidInput

FAULTS = ("500", "502", "504", "hang", "truncate", "lost")
"""What a random fault is: a status, no answer, half of the JSON, or a write that is done and whose answer is cut."""


def switch(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True)
class Scenario:
    """Seconds are the sandbox's own (its clock can be moved) unless the name says real."""

    filters: bool = switch(
        True, "Whether leads, contacts, companies and customers obey `filter`, as `is_api_filter_enabled` says."
    )
    next_link_keeps_with: bool = switch(False, "Whether the `next` link repeats `with`. Kommo's may drop it.")
    next_link: str = switch("right", "Where a `next` link stands: right, always (also on the last page), or never.")
    bom: bool = switch(False, "Whether answers begin with a byte order mark.")
    php_empty: bool = switch(True, "Whether an empty object is written as `[]`, as PHP does.")
    events_limit: int = switch(100, "The largest page of events; more is answered with 422.")
    page_rows: int = switch(
        0, "The most rows of a page, whatever its limit; its `self` link says so. 0: as asked. Never of reads by id."
    )
    url_limit: int = switch(8192, "The longest request line in bytes; a longer one is answered with 414.")
    late_seconds: float = switch(0.0, "How long after a change lists still show what was before (0 to 300 were seen).")
    late_by_id: bool = switch(False, "Whether reads by id are as late as lists.")
    empty_by_id_seconds: float = switch(0.0, "How long after a change reads by id find no such row.")
    links_move_time: bool = switch(False, "Whether tags and links move the updated_at of their row.")
    notes_touch_parent: bool = switch(False, "Whether a note or task moves the updated_at of what it hangs on.")
    strict_rotation: bool = switch(
        False, "Whether a refresh ends the old refresh token at once; else the first use of the new pair does."
    )
    refusal_status: int = switch(400, "The status of a refused refresh token: 400 or 401.")
    code_seconds: float = switch(1200.0, "How long an authorization code lives.")
    access_seconds: float = switch(86_400.0, "How long an access token lives.")
    refresh_seconds: float = switch(90 * 86_400.0, "How long a refresh token lives.")
    deny_access: bool = switch(False, "Whether the user refuses at the authorization page.")
    requests_per_second: int = switch(7, "Requests in any real second from one address before the next is a 429.")
    retry_after_real_seconds: float = switch(5.0, "The `retry_after` of a 429. Kommo's example has 300.")
    retry_after_in: str = switch("body", "Where it stands: body, header, or none (a 429 without JSON).")
    penalty: bool = switch(True, "Whether a request before `retry_after` is over is refused, and counts as another.")
    block_after: int = switch(25, "So many 429s lead to the HTML 403 for every request from the address; 0: never.")
    block_real_seconds: float = switch(0.0, "How long the block lasts; 0: until the control API lifts it.")
    fault_rate: float = switch(0.0, "The share of requests, from 0 to 1, that meet a random fault.")
    faults: tuple[str, ...] = switch(FAULTS, "Which faults those are.")
    hang_real_seconds: float = switch(60.0, "How long a request hangs that is never answered.")
    latency_real_seconds: float = switch(0.0, "How long every answer takes.")
    hook_timeout_real_seconds: float = switch(2.0, "How long a webhook's receiver may take.")
    hook_drop: float = switch(0.0, "The share of webhooks that are never sent.")
    hook_duplicate: float = switch(0.0, "The share that are sent twice.")
    hook_reorder: float = switch(0.0, "The share that are sent after the one behind them.")
    hook_mix: float = switch(0.0, "The share that wait for the next change and share its body.")
    hooks_held: bool = switch(False, "Whether webhooks wait until they are released.")
    hook_at_once: int = switch(8, "How many webhooks are under way together; 1 keeps their order.")
    hook_disable_after: int = switch(100, "More invalid answers than this in 2 h disable a webhook.")


SCENARIOS: Mapping[str, Scenario] = {
    "calm": Scenario(),
    "late": Scenario(late_seconds=300.0),
    "strict-tokens": Scenario(strict_rotation=True, refusal_status=401, access_seconds=300.0),
    "no-filters": Scenario(filters=False),
    "lossy-hooks": Scenario(hook_drop=0.3, hook_duplicate=0.2, hook_reorder=0.3, hook_mix=0.3),
    "faulty": Scenario(fault_rate=0.1, hang_real_seconds=5.0),
    "harsh": Scenario(
        late_seconds=60.0,
        strict_rotation=True,
        fault_rate=0.05,
        hang_real_seconds=5.0,
        hook_drop=0.3,
        hook_duplicate=0.2,
        hook_reorder=0.3,
        hook_mix=0.3,
    ),
}


def change_scenario(scenario: Scenario, changes: Mapping[str, Any]) -> Scenario:
    """With some switches set otherwise. Raises InvalidInput for a name or value that does not fit."""
    defaults = {item.name: item.default for item in fields(Scenario)}
    for name, value in changes.items():
        if name not in defaults:
            raise InvalidInput(f"{name} is no switch of the sandbox; there are {', '.join(sorted(defaults))}.")
        wanted = type(defaults[name])
        fits = isinstance(value, bool) if wanted is bool else not isinstance(value, bool)
        kinds = {float: (int, float), tuple: (list, tuple)}.get(wanted, (wanted,))
        if not fits or not isinstance(value, kinds):
            raise InvalidInput(f"The switch {name} wants a value like {defaults[name]!r}, not {value!r}.")
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()
    }
    unknown = set(given.get("faults", ())) - set(FAULTS)
    if unknown:
        raise InvalidInput(f"{', '.join(sorted(unknown))} is no fault; there are {', '.join(FAULTS)}.")
    return replace(scenario, **given)


def find_scenario(name: str) -> Scenario:
    """Raises InvalidInput."""
    if name not in SCENARIOS:
        raise InvalidInput(f'There is no scenario "{name}"; there are {", ".join(SCENARIOS)}.')
    return SCENARIOS[name]
