"""What can happen in an account? Adding, editing, deleting, restoring, merging; each leaves events and webhooks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from oxcart.errors import InvalidInput
from oxcart_sandbox.clock import SandboxClock
from oxcart_sandbox.rows import Row, Table
from oxcart_sandbox.scenario import Scenario
from oxcart_sandbox.seed import (
    FIRST_IDS,
    LOST,
    TAGS,
    TASK_TYPES,
    USER_GROUPS,
    WON,
    Seed,
    field_definitions,
    mix,
    pipelines,
    small_lists,
    user,
)

ENTITIES = ("leads", "contacts", "companies", "tasks", "leads_notes", "contacts_notes", "companies_notes", "customers")
CARDS = ("leads", "contacts", "companies")
_MORE_ORDERS = {"leads": ("created_at",), "tasks": ("created_at", "complete_till")}
_SINGULAR = {"leads": "lead", "contacts": "contact", "companies": "company", "tasks": "task", "customers": "customer"}
_EVENT_OF_FIELD = {
    "name": "name_field_changed",
    "price": "sale_field_changed",
    "custom_fields_values": "custom_field_value_changed",
    "responsible_user_id": "entity_responsible_changed",
}
_SILENT = frozenset({"_tags", "_contacts", "_company", "_elements"})
"""Tags and links: they move no updated_at."""

_FIRST_NEW_TAG = 100


class Change(NamedTuple):
    """One thing a webhook may tell. `before` is None for what is new."""

    entity: str
    action: str
    row: Row
    before: Row | None


@dataclass(slots=True)
class Subscription:
    """A webhook. `invalid` are the times of its invalid answers, for two hours."""

    id: int
    destination: str
    settings: list[str]
    created_at: int
    sort: int
    disabled: bool = False
    invalid: deque[float] = field(default_factory=deque)


class Account:
    """`on_change` hears of every change. Calls are synchronous: what one request does is done at once."""

    def __init__(
        self, seed: Seed, subdomain: str, top_domain: str, clock: SandboxClock, scenario: Callable[[], Scenario]
    ) -> None:
        self.seed = seed
        self.id = seed.account_id
        self.subdomain = subdomain
        self.top_domain = top_domain
        self.unpaid = False
        self.hidden: set[tuple[str, int]] = set()
        self.pipelines = pipelines(self.id)
        self.users = [user(number) for number in range(seed.counts["users"])]
        self.tags = dict(TAGS)
        self.customers_mode = "disabled"
        self.groups = [dict(group) for group in USER_GROUPS]
        self.task_types = [dict(kind) for kind in TASK_TYPES]
        self.lists = small_lists(self.id)
        """What has neither filters nor webhooks, by path: roles, leads/loss_reasons, catalogs/7/elements…"""
        self.custom_fields = {of: field_definitions(of, self.id) for of in CARDS}
        self.events: list[Row] = []
        self.subscriptions: list[Subscription] = []
        self.on_change: Callable[[Change], None] = lambda change: None  # noqa: ARG005 - until someone listens
        self._clock = clock
        self._scenario = scenario
        self._leads_of: dict[int, set[int]] = {}
        self._changed_at: dict[tuple[str, int], float] = {}
        self.tables = {name: self._table(name) for name in ENTITIES}

    @property
    def domain(self) -> str:
        return f"{self.subdomain}.{self.top_domain}"

    def settle(self) -> None:
        now = self._clock.now()
        for table in self.tables.values():
            table.settle(now)

    def find(self, entity: str, row_id: int, *, deleted: bool = False) -> Row:
        """Raises InvalidInput if there is no such row, or it is deleted; with `deleted`, if it is not."""
        row = self.table(entity).get(row_id)
        if row is None or bool(row.get("is_deleted")) != deleted:
            which = "deleted row" if deleted else "row"
            raise InvalidInput(f"There is no {which} {row_id} in {entity} of {self.domain}.")
        return row

    def table(self, entity: str) -> Table:
        if entity not in self.tables:
            raise InvalidInput(f'There is no entity "{entity}"; there are {", ".join(ENTITIES)}.')
        return self.tables[entity]

    # ------------------------------------------------------------------------------------------ what users do
    def add(self, entity: str, fields: Mapping[str, Any], *, by: int | None = None) -> Row:
        now = self._clock.seconds()
        row = _blank(entity) | {
            "id": self.table(entity).new_id(),
            "created_at": now,
            "updated_at": now,
            "created_by": by or 0,
            "updated_by": by or 0,
            "responsible_user_id": by or FIRST_IDS["users"],
            "group_id": 0,
            "account_id": self.id,
            "is_deleted": False,
        }
        row |= fields
        self._put(entity, row, None, "add")
        self._event(entity, row, "added", by)
        return row

    def edit(self, entity: str, row_id: int, fields: Mapping[str, Any], *, by: int | None = None) -> Row:
        """`fields` as the row has them. An `updated_at` among them is kept, also one that goes back or is to come."""
        before = self.find(entity, row_id)
        is_silent = bool(fields) and fields.keys() <= _SILENT and not self._scenario().links_move_time
        now = before["updated_at"] if is_silent else self._clock.seconds()
        row = {**before, "updated_at": now, "updated_by": by or 0, **fields}
        if entity == "leads" and "status_id" in fields and "closed_at" not in fields:
            row["closed_at"] = row["updated_at"] if row["status_id"] in {WON, LOST} else None
        changed = [name for name in fields if row[name] != before.get(name)]
        self._put(entity, row, before, self._action_of(entity, changed))
        for name in changed:
            if name == "status_id" and entity == "leads":
                self._event(entity, row, "lead_status_changed", by, before=_stage(before), after=_stage(row))
            elif name in _EVENT_OF_FIELD and entity in CARDS:
                self._event(entity, row, _EVENT_OF_FIELD[name], by, before=[{name: before.get(name)}])
            elif name in _SILENT:
                self._tell_of_links(entity, row, name, before, by)
        return row

    def _tell_of_links(self, entity: str, row: Row, name: str, before: Row, by: int | None) -> None:
        new, old = _linked(row, name), _linked(before, name)
        added, gone = ("tag_added", "tag_deleted") if name == "_tags" else ("linked", "unlinked")
        for linked in sorted(new - old):
            self._event(entity, row, f"entity_{added}", by, after=[_value(*linked)])
        for linked in sorted(old - new):
            self._event(entity, row, f"entity_{gone}", by, before=[_value(*linked)])

    def delete(self, entity: str, row_id: int, *, by: int | None = None) -> Row:
        before = self.find(entity, row_id)
        row = {**before, "updated_at": self._clock.seconds(), "is_deleted": True}
        self._put(entity, row, before, "delete")
        self._event(entity, row, "deleted", by)
        return row

    def restore(self, entity: str, row_id: int, *, by: int | None = None) -> Row:
        before = self.find(entity, row_id, deleted=True)
        row = {**before, "updated_at": self._clock.seconds(), "is_deleted": False}
        self._put(entity, row, before, "restore")
        self._event(entity, row, "restored", by)
        return row

    def merge(self, into: int, others: list[int], *, by: int | None = None) -> Row:
        """Contacts become one. The others vanish: no webhook and no list tells of them (seen), an event names them."""
        kept = self.find("contacts", into)
        for other in others:
            before = self.find("contacts", other)
            for lead_id in self.leads_of(other):
                lead = self.find("leads", lead_id)
                links = [[into if contact == other else contact, main] for contact, main in lead["_contacts"]]
                unique = list({contact: [contact, main] for contact, main in reversed(links)}.values())[::-1]
                self.edit("leads", lead_id, {"_contacts": unique}, by=by)
            self.tables["contacts"].put(int(before["id"]), None, self._visible_at())
            merged = {"merged_entity": {"type": "contact", "id": other}}
            self._event("contacts", kept, "entity_merged", by, after=[merged])
        return self.edit("contacts", into, {}, by=by)

    # ------------------------------------------------------------------------------------------ looking
    def leads_of(self, contact_id: int) -> list[int]:
        """The leads that this contact is linked to now."""
        number = contact_id - FIRST_IDS["contacts"]
        first = FIRST_IDS["leads"]
        computed = self.seed.leads_of_contact(number) if 0 <= number < self.seed.contacts else []
        candidates = {*(first + lead for lead in computed), *self._leads_of.get(contact_id, ())}
        return [lead_id for lead_id in sorted(candidates) if self._is_linked(lead_id, contact_id)]

    def tag_ids(self, wanted: list[Row]) -> list[int]:
        """By id or name; a new name makes a tag."""
        found = []
        for tag in wanted:
            by_name = next((tag_id for tag_id, name in self.tags.items() if name == tag.get("name")), None)
            tag_id = tag["id"] if tag.get("id") in self.tags else by_name
            if tag_id is None and tag.get("name"):
                tag_id = max([_FIRST_NEW_TAG, *self.tags]) + 1
                self.tags[tag_id] = str(tag["name"])
            if tag_id is not None:
                found.append(tag_id)
        return found

    def truth(self, entity: str, *, after: int = 0) -> Iterator[Row]:
        """Every row as it is, past filters, lateness and pages: what a mirror should have. In the order of ids."""
        table = self.table(entity)
        for row_id in table.ids(after):
            row = table.get(row_id)
            if row is not None and (entity, row_id) not in self.hidden:
                yield row

    def hides_by_id(self, entity: str, row_id: int, seconds: float) -> bool:
        """Whether it changed so shortly ago."""
        return self._changed_at.get((entity, row_id), -seconds) > self._clock.now() - seconds

    def random_id(self, entity: str, *numbers: int) -> int | None:
        """Some row that is there, the same for the same numbers."""
        ids = list(self.table(entity).ids())
        return ids[mix(self.seed.seed, *numbers) % len(ids)] if ids else None

    # ------------------------------------------------------------------------------------------ inside
    def _put(self, entity: str, row: Row, before: Row | None, action: str) -> None:
        self.tables[entity].put(int(row["id"]), row, self._visible_at())
        self._changed_at[entity, int(row["id"])] = self._clock.now()
        for contact, _main in row.get("_contacts", ()):
            self._leads_of.setdefault(contact, set()).add(int(row["id"]))
        self.on_change(Change(entity, action, row, before))

    def _visible_at(self) -> float:
        return self._clock.now() + self._scenario().late_seconds

    def _event(
        self,
        entity: str,
        row: Row,
        kind: str,
        by: int | None,
        *,
        before: list[Row] | None = None,
        after: list[Row] | None = None,
    ) -> None:
        if entity.endswith("_notes"):
            of, kind = entity.removesuffix("_notes"), f"common_note_{kind}"
            subject, subject_id = _SINGULAR[of], row["entity_id"]
            note = [{"note": {"id": row["id"]}}]
            before, after = (note, None) if kind.endswith("deleted") else (None, note)
        else:
            subject, subject_id = _SINGULAR[entity], row["id"]
            kind = f"{subject}_{kind}" if kind in {"added", "deleted", "restored"} else kind
        if kind == "common_note_restored":
            return
        number = len(self.events)
        self.events.append(
            {
                "id": f"01{mix(self.seed.seed, self.id, number):016x}{number:08x}",
                "type": kind,
                "entity_id": subject_id,
                "entity_type": subject,
                "created_by": by or 0,
                "created_at": self._clock.seconds(),
                "value_after": after or [],
                "value_before": before or [],
                "account_id": self.id,
            }
        )

    def _action_of(self, entity: str, changed: list[str]) -> str:
        if entity == "leads" and "status_id" in changed:
            return "status"
        return "responsible" if "responsible_user_id" in changed and entity != "tasks" else "update"

    def _is_linked(self, lead_id: int, contact_id: int) -> bool:
        lead = self.tables["leads"].get(lead_id)
        return (
            lead is not None
            and not lead["is_deleted"]
            and any(contact == contact_id for contact, _main in lead["_contacts"])
        )

    def _table(self, name: str) -> Table:
        seed = self.seed
        return Table(
            FIRST_IDS[name],
            seed.counts[name],
            lambda number: seed.row(name, number),
            lambda number: seed.stamps(name, number),
            _MORE_ORDERS.get(name, ()),
        )


def _linked(row: Row, name: str) -> set[tuple[str, int]]:
    """What it is linked to by this field: (type, id)."""
    if name == "_tags":
        return {("tag", tag) for tag in row["_tags"]}
    if name == "_contacts":
        return {("contact", contact) for contact, _main in row["_contacts"]}
    if name == "_elements":
        return {("catalog_element", element) for element, _quantity in row.get("_elements", ())}
    return set() if row["_company"] is None else {("company", row["_company"])}


def _stage(lead: Row) -> list[Row]:
    return [{"lead_status": {"id": lead["status_id"], "pipeline_id": lead["pipeline_id"]}}]


def _value(kind: str, linked_id: int) -> Row:
    return {"tag": {"id": linked_id}} if kind == "tag" else {"link": {"entity": {"type": kind, "id": linked_id}}}


def _blank(entity: str) -> Row:
    card: Row = {"name": "", "closest_task_at": None, "custom_fields_values": None, "_tags": [], "_company": None}
    match entity:
        case "leads":
            pipeline = pipelines(0)[0]
            first_open = pipeline["_statuses"][1]["id"]
            nothing = dict.fromkeys(("loss_reason_id", "source_id", "closed_at", "score", "labor_cost"))
            return {
                **card, "price": 0, "status_id": first_open, "pipeline_id": pipeline["id"], **nothing, "_contacts": []
            }  # fmt: skip
        case "customers":
            return {**card, "next_price": 0, "next_date": 0, "ltv": 0, "purchases_count": 0, "_contacts": []}
        case "contacts":
            return {**card, "first_name": "", "last_name": "", "is_unsorted": False}
        case "companies":
            return card
        case "tasks":
            nothing = {"entity_id": None, "entity_type": None, "result": []}
            return {**nothing, "duration": 0, "is_completed": False, "task_type_id": 1, "text": "", "complete_till": 0}
    return {"entity_id": None, "note_type": "common", "params": {}}
