"""What is in the sandbox at the start? Rows computed from a seed and a number; only what is changed is stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Row = dict[str, Any]

FIRST_IDS = {
    "leads": 20_000_001,
    "contacts": 30_000_001,
    "companies": 40_000_001,
    "tasks": 7_000_001,
    "leads_notes": 50_000_001,
    "contacts_notes": 60_000_001,
    "companies_notes": 70_000_001,
    "users": 8_000_001,
    "customers": 9_000_001,
}
USERS = 5
PIPELINE_IDS = (6_950_551, 6_950_552)
OPEN_STATUS_IDS = (58_141_807, 58_141_810, 58_141_813)
WON, LOST = 142, 143

PHONE_FIELD, EMAIL_FIELD, TYPE_FIELD, DATE_FIELD, SOURCE_FIELD = 771_906, 771_908, 1_016_236, 1_016_240, 1_016_244
TYPE_ENUMS = {867_968: "New", 867_970: "Regular", 867_972: "Partner"}
SOURCE_ENUMS = {566_640: "Site", 566_642: "Fair"}
USER_GROUPS: tuple[Row, ...] = ({"id": 0, "name": "Sales", "uuid": None},)
TASK_TYPES: tuple[Row, ...] = ({"id": 1, "name": "Follow up", "color": None, "icon_id": None, "code": "FOLLOW_UP"},)
TAGS = {11: "site", 12: "fair", 13: "call back", 14: "newsletter"}

_BEGIN, _END = 1_735_689_600, 1_761_955_200  # all of it happened from January to October 2025
_LATER_AT_MOST = 20 * 86_400
_IMPORTED_AT = 1_764_547_200  # a bulk import: many rows with one updated_at, after all others
_IMPORTED = 300

_GIVEN = ("Ana", "Ben", "Chloé", "Dmitri", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jan", "Kira", "Léo", "Marta")
_FAMILY = ("Ruiz", "Novak", "Schmidt", "Иванова", "Öztürk", "O'Neil", "García", "Costa", "Kowalski", "Nguyen", "Åberg")
_TRADES = ("Bakery", "Print", "Travel", "Dental", "Garden", "Motors", "Legal", "Fitness")
_MASK = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """A number of 64 bits that depends on all of these; the same on every machine (SplitMix64)."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


@dataclass(frozen=True, slots=True)
class Seed:
    """`contacts` and `leads` say how large the account is; the rest follows from them. A row's number counts from 0."""

    seed: int
    account_id: int
    contacts: int
    leads: int

    counts: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        counts = {
            "contacts": self.contacts,
            "leads": self.leads,
            "companies": max(self.contacts // 20, min(self.contacts, 1)),
            "tasks": self.leads // 10,
            "leads_notes": self.leads // 10,
            "contacts_notes": self.contacts // 20,
            "companies_notes": self.contacts // 200,
            "users": USERS,
            "customers": 0,
        }
        object.__setattr__(self, "counts", counts)

    def stamps(self, name: str, number: int) -> tuple[int, int]:
        """created_at, which grows with the id, and updated_at, which does not; ties are many."""
        created = _BEGIN + number * (_END - _BEGIN) // max(self.counts[name], 1)
        if number < min(_IMPORTED, self.counts[name] // 10):
            return created, _IMPORTED_AT
        chance = self._chance(name, number)
        updated = created + chance % _LATER_AT_MOST
        return created, updated - updated % 3600 if chance % 5 == 0 and updated - updated % 3600 > created else updated

    def row(self, name: str, number: int) -> Row:
        return getattr(self, f"_{name}")(number)  # type: ignore[no-any-return]

    def leads_of_contact(self, contact: int) -> list[int]:
        """The numbers of the leads that begin with this contact."""
        if not self.contacts or not self.leads:
            return []
        mains = self._leads_with_main(contact)
        seconds = [lead for lead in self._leads_with_main(contact - 1) if lead % 4 == 0] if contact else []
        return sorted({*mains, *seconds})

    def _leads_with_main(self, contact: int) -> range:
        return range(-(-contact * self.leads // self.contacts), -(-(contact + 1) * self.leads // self.contacts))

    def _chance(self, name: str, number: int) -> int:
        return mix(self.seed, FIRST_IDS[name], number)

    def _base(self, name: str, number: int) -> Row:
        created, updated = self.stamps(name, number)
        user = FIRST_IDS["users"] + self._chance(name, number) % USERS
        return {
            "id": FIRST_IDS[name] + number,
            "responsible_user_id": user,
            "group_id": 0,
            "created_by": user,
            "updated_by": 0 if updated == created else user,
            "created_at": created,
            "updated_at": updated,
            "account_id": self.account_id,
        }

    def _card(self, name: str, number: int) -> Row:
        chance = self._chance(name, number)
        tags = [tag for place, tag in enumerate(TAGS) if chance >> (20 + place) & 7 == 0]
        return {**self._base(name, number), "closest_task_at": None, "is_deleted": False, "_tags": tags}

    def _contacts(self, number: int) -> Row:
        chance = self._chance("contacts", number)
        given, family = _GIVEN[chance % len(_GIVEN)], _FAMILY[(chance >> 8) % len(_FAMILY)]
        phone = field_value(PHONE_FIELD, f"+34600{number % 1_000_000:06d}")
        email = field_value(EMAIL_FIELD, f"contact{number}@example.com")
        values = [value for place, value in enumerate((phone, email)) if chance >> (40 + place) & 3]
        company = FIRST_IDS["companies"] + number % self.counts["companies"] if chance & 1 else None
        return {
            **self._card("contacts", number),
            "name": f"{given} {family}",
            "first_name": given,
            "last_name": family,
            "is_unsorted": False,
            "custom_fields_values": values or None,
            "_company": company,
        }

    def _companies(self, number: int) -> Row:
        trade = _TRADES[self._chance("companies", number) % len(_TRADES)]
        return {**self._card("companies", number), "name": f"{trade} {number + 1}", "custom_fields_values": None}

    def _leads(self, number: int) -> Row:
        chance = self._chance("leads", number)
        status = (*OPEN_STATUS_IDS, WON, LOST)[(chance >> 4) % 5]
        row = self._card("leads", number)
        main = self._main_contact(number)
        contacts = [] if main is None else [[FIRST_IDS["contacts"] + main, True]]
        if main is not None and number % 4 == 0 and main + 1 < self.contacts:
            contacts.append([FIRST_IDS["contacts"] + main + 1, False])
        companies = self.counts["companies"]
        return {
            **row,
            "name": f"Deal {number + 1}",
            "price": chance % 50_000 + (0.5 if chance & 0xF00 == 0 else 0),
            "status_id": status,
            "pipeline_id": PIPELINE_IDS[(chance >> 16) & 1],
            "loss_reason_id": None,
            "source_id": None,
            "closed_at": row["updated_at"] if status in {WON, LOST} else None,
            "score": None,
            "labor_cost": None,
            "custom_fields_values": _lead_fields(chance, row["created_at"]),
            "_contacts": contacts,
            "_company": FIRST_IDS["companies"] + number % companies if companies and chance & 2 else None,
        }

    def _main_contact(self, lead: int) -> int | None:
        return lead * self.contacts // self.leads if self.contacts else None

    def _tasks(self, number: int) -> Row:
        row = self._base("tasks", number)
        done = bool(self._chance("tasks", number) & 1)
        return {
            **row,
            "entity_id": FIRST_IDS["leads"] + number * 10,
            "entity_type": "leads",
            "duration": 0,
            "is_completed": done,
            "task_type_id": 1,
            "text": f"Call about deal {number * 10 + 1}",
            "result": {"text": "Done"} if done else [],
            "complete_till": row["created_at"] + 86_400,
            "is_deleted": False,
        }

    def _leads_notes(self, number: int) -> Row:
        return self._note("leads", number, number * 10)

    def _contacts_notes(self, number: int) -> Row:
        return self._note("contacts", number, number * 20)

    def _companies_notes(self, number: int) -> Row:
        return self._note("companies", number, number % max(self.counts["companies"], 1))

    def _note(self, of: str, number: int, parent: int) -> Row:
        return {
            **self._base(f"{of}_notes", number),
            "entity_id": FIRST_IDS[of] + parent,
            "note_type": "common",
            "params": {"text": f"Note {number + 1}"},
            "is_deleted": False,
        }


def _lead_fields(chance: int, created_at: int) -> list[Row] | None:
    """Of the three shapes that a webhook writes `values` in, each by some leads."""
    found = []
    if chance >> 44 & 1:
        enums = list(TYPE_ENUMS)
        found.append(field_value(TYPE_FIELD, TYPE_ENUMS[enums[chance % 3]], enums[chance % 3]))
    if chance >> 45 & 1:
        found.append(field_value(DATE_FIELD, created_at - created_at % 86_400))
    if chance >> 46 & 1:
        enum = list(SOURCE_ENUMS)[chance & 1]
        found.append(field_value(SOURCE_FIELD, SOURCE_ENUMS[enum], enum))
    return found or None


_FIELDS = {
    PHONE_FIELD: ("Phone", "PHONE", "multitext"),
    EMAIL_FIELD: ("Email", "EMAIL", "multitext"),
    TYPE_FIELD: ("Client type", None, "select"),
    DATE_FIELD: ("Contract date", None, "date"),
    SOURCE_FIELD: ("Source", None, "radiobutton"),
}
_WORK_ENUMS = {PHONE_FIELD: 552_476, EMAIL_FIELD: 552_480}


def field_value(field_id: int, value: Any, enum_id: int | None = None) -> Row:
    """As in a row's custom_fields_values."""
    name, code, kind = _FIELDS[field_id]
    held: Row = {"value": value}
    if field_id in _WORK_ENUMS:
        held |= {"enum_id": _WORK_ENUMS[field_id], "enum_code": "WORK"}
    elif enum_id is not None:
        held |= {"enum_id": enum_id, "enum_code": None}
    return {"field_id": field_id, "field_name": name, "field_code": code, "field_type": kind, "values": [held]}


def field_definitions(of: str, account_id: int) -> list[Row]:
    wanted = {"leads": (TYPE_FIELD, DATE_FIELD, SOURCE_FIELD), "contacts": (PHONE_FIELD, EMAIL_FIELD), "companies": ()}
    enums = {TYPE_FIELD: TYPE_ENUMS, SOURCE_FIELD: SOURCE_ENUMS}
    return [
        {
            "id": field_id,
            "name": _FIELDS[field_id][0],
            "type": _FIELDS[field_id][2],
            "account_id": account_id,
            "code": _FIELDS[field_id][1],
            "sort": 500 + place,
            "is_api_only": False,
            "enums": [
                {"id": enum, "value": value, "sort": 500 + at}
                for at, (enum, value) in enumerate(enums.get(field_id, {}).items())
            ]
            or None,
            "group_id": None,
            "required_statuses": [],
            "is_deletable": field_id not in _WORK_ENUMS,
            "is_predefined": field_id in _WORK_ENUMS,
            "entity_type": of,
        }
        for place, field_id in enumerate(wanted[of])
    ]


def pipelines(account_id: int) -> list[Row]:
    found = []
    for place, pipeline_id in enumerate(PIPELINE_IDS):
        incoming = pipeline_id + 51_191_252
        named = [
            (incoming, "Incoming leads", 10, 1),
            *((status, f"Step {at}", 10 + at * 10, 0) for at, status in enumerate(OPEN_STATUS_IDS, 1)),
            (WON, "Closed - won", 10_000, 0),
            (LOST, "Closed - lost", 11_000, 0),
        ]
        statuses = [
            {
                "id": status,
                "name": name,
                "sort": sort,
                "is_editable": kind == 0 and status not in {WON, LOST},
                "pipeline_id": pipeline_id,
                "color": "#99ccff",
                "type": kind,
                "account_id": account_id,
            }
            for status, name, sort, kind in named
        ]
        found.append(
            {
                "id": pipeline_id,
                "name": ("Sales", "Support")[place],
                "sort": place + 1,
                "is_main": place == 0,
                "is_unsorted_on": True,
                "is_archive": False,
                "account_id": account_id,
                "_statuses": statuses,
            }
        )
    return found


CATALOG, LOSS_REASONS = 2_077, {401: "Too expensive", 402: "No answer"}


def small_lists(account_id: int) -> dict[str, list[Row]]:
    times = {"created_at": _BEGIN, "updated_at": _BEGIN, "account_id": account_id}
    reasons = [{"id": one, "name": name, "sort": one, **times} for one, name in LOSS_REASONS.items()]
    elements = [
        {"id": 5_001 + at, "catalog_id": CATALOG, "name": name, "custom_fields_values": None, **times}
        for at, name in enumerate(("Bread", "Flyers"))
    ]
    return {
        "roles": [{"id": 301, "name": "Manager", "rights": {}}],
        "leads/loss_reasons": reasons,
        "sources": [
            {"id": 77, "name": "Site", "pipeline_id": PIPELINE_IDS[0], "external_id": "s-1", "origin_code": None}
        ],
        "catalogs": [{"id": CATALOG, "name": "Products", "type": "products", "sort": 10, **times}],
        f"catalogs/{CATALOG}/elements": elements,
        "leads/unsorted": [],
    }


def user(number: int) -> Row:
    allowed = dict.fromkeys(("view", "edit", "add", "delete", "export"), "A")
    return {
        "id": FIRST_IDS["users"] + number,
        "name": f"{_GIVEN[number]} {_FAMILY[number]}",
        "email": f"user{number}@example.com",
        "lang": "en",
        "rights": {
            "leads": allowed,
            "contacts": allowed,
            "companies": allowed,
            "tasks": {"edit": "A", "delete": "A"},
            "mail_access": False,
            "catalog_access": False,
            "status_rights": [],
            "is_admin": number == 0,
            "is_free": False,
            "is_active": True,
            "group_id": None,
            "role_id": None,
        },
    }


def text_date(seconds: int) -> str:
    """As webhooks write dates: without a zone."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
