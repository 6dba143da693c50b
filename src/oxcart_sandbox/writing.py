"""What do the API's writes do? They check every row as Kommo does, and change all of a request's rows or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from oxcart.errors import InvalidInput
from oxcart_sandbox.account import Account
from oxcart_sandbox.rows import Row

MOST_ROWS = 250
MOST_COMPLEX = 50
MOST_FIELD_VALUES = 40  # of an entity added by /leads/complex

_NUMBERS = ("price", "created_at", "updated_at", "closed_at", "complete_till", "duration", "score", "labor_cost")
_IDS = ("status_id", "pipeline_id", "responsible_user_id", "loss_reason_id", "task_type_id", "entity_id", "created_by")
_TEXTS = ("name", "first_name", "last_name", "text", "note_type", "entity_type")
_NOTE_PARAMS: Mapping[str, tuple[str, ...]] = {
    "common": ("text",),
    "call_in": ("uniq", "duration", "source", "link", "phone"),
    "call_out": ("uniq", "duration", "source", "link", "phone"),
    "service_message": ("service", "text"),
    "extended_service_message": ("service", "text"),
    "sms_in": ("text", "phone"),
    "sms_out": ("text", "phone"),
    "geolocation": ("text", "address", "longitude", "latitude"),
    "attachment": ("file_uuid",),
}


class Invalid(Exception):  # noqa: N818 - an answer, not a failure
    """Answered with 400; `rows` are its validation errors, empty for a request that is wrong as a whole."""

    def __init__(self, detail: str, rows: Sequence[Row] = ()) -> None:
        self.detail = detail
        self.rows = list(rows)
        super().__init__(detail)


class _Problem(NamedTuple):
    code: str
    path: str
    detail: str


class Writes:
    """One request's writes to one account, by one user. Raises Invalid, and then nothing was changed."""

    def __init__(self, account: Account, user_id: int, *, touch_parent: bool) -> None:
        self._account = account
        self._by = user_id
        self._touch_parent = touch_parent

    def add(self, entity: str, body: Any, *, of: int | None = None, most: int = MOST_ROWS) -> list[Row]:
        """POST of a list; `of` is the row that notes are posted to. The answer's items."""
        rows = [row if of is None else {**row, "entity_id": of} for row in _rows_of(body, most)]
        self._check_all(rows, lambda row: self._problems(entity, row, is_new=True))
        answer = []
        for row in rows:
            made = self._account.add(entity, self._fields(entity, row), by=self._by)
            self._touch(entity, made)
            answer.append(self._item(entity, made, row, with_time=False))
        return answer

    def edit(self, entity: str, body: Any, *, row_id: int | None = None) -> list[Row]:
        """PATCH of a list, or of one row."""
        rows = _rows_of(body if row_id is None else [{**_one(body), "id": row_id}], MOST_ROWS)
        self._check_all(rows, lambda row: self._problems(entity, row, is_new=False))
        answer = []
        for row in rows:
            made = self._account.edit(entity, int(row["id"]), self._fields(entity, row), by=self._by)
            self._touch(entity, made)
            answer.append(self._item(entity, made, row, with_time=True))
        return answer

    def add_complex(self, body: Any) -> list[Row]:
        """POST /leads/complex: a lead with its contact and company."""
        rows = _rows_of(body, MOST_COMPLEX)
        self._check_all(rows, self._complex_problems)
        answer = []
        for row in rows:
            embedded = row.get("_embedded") or {}
            contacts = [self._new_or_known("contacts", one) for one in embedded.get("contacts") or ()]
            companies = [self._new_or_known("companies", one) for one in embedded.get("companies") or ()]
            fields = self._fields("leads", {**row, "_embedded": {"tags": embedded.get("tags") or []}})
            fields |= {"_contacts": [[contact, place == 0] for place, contact in enumerate(contacts)]}
            fields |= {"_company": companies[0] if companies else None}
            lead = self._account.add("leads", fields, by=self._by)
            request_id = str(row.get("request_id", ""))
            ids = {"contact_id": contacts[0] if contacts else None, "company_id": companies[0] if companies else None}
            answer.append({"id": lead["id"], **ids, "request_id": [request_id], "merged": False})
        return answer

    def add_tags(self, body: Any) -> list[Row]:
        rows = _rows_of(body, MOST_ROWS)
        self._check_all(rows, lambda row: [] if row.get("name") else [_Problem("InvalidType", "name", "Expected text")])
        made = self._account.tag_ids([{"name": row["name"]} for row in rows])
        return [{"id": tag, "name": self._account.tags[tag], "color": None} for tag in made]

    # ------------------------------------------------------------------------------------------ checks
    def _check_all(self, rows: Sequence[Row], problems_of: Callable[[Row], list[_Problem]]) -> None:
        found = []
        for place, row in enumerate(rows):
            problems = problems_of(row)
            if problems:
                request_id = str(row.get("request_id", place))
                found.append({"request_id": request_id, "errors": [problem._asdict() for problem in problems]})
        if found:
            raise Invalid("Request validation failed", found)

    def _problems(self, entity: str, row: Row, *, is_new: bool) -> list[_Problem]:
        found = [
            _Problem("InvalidType", name, f"This value should be of type {kind}.")
            for names, kinds, kind in (
                (_NUMBERS, (int, float), "numeric"),
                (_IDS, (int,), "int"),
                (_TEXTS, (str,), "string"),
            )
            for name in names
            if row.get(name) is not None and (not isinstance(row[name], kinds) or isinstance(row[name], bool))
        ]
        if not is_new and not self._is_there(entity, row.get("id")):
            found.append(_Problem("NotFound", "id", "Element not found"))
        if found:
            return found
        return [*self._field_problems(entity, row), *self._choice_problems(entity, row, is_new=is_new)]

    def _field_problems(self, entity: str, row: Row) -> list[_Problem]:
        known = {one["id"] for one in self._account.custom_fields.get(entity, ())}
        values = row.get("custom_fields_values")
        if values is not None and not isinstance(values, list):
            return [_Problem("InvalidType", "custom_fields_values", "This value should be of type array.")]
        return [
            _Problem("NotSupportedChoice", f"custom_fields_values.{place}.field_id", "The value is not supported.")
            for place, value in enumerate(values or ())
            if not isinstance(value, dict) or value.get("field_id") not in known
        ]

    def _choice_problems(self, entity: str, row: Row, *, is_new: bool) -> list[_Problem]:
        if entity == "leads":
            return self._stage_problems(row)
        if entity.endswith("_notes"):
            return self._note_problems(entity, row, is_new=is_new)
        if entity == "tasks" and is_new:
            missing = [name for name in ("text", "complete_till") if not row.get(name)]
            return [_Problem("NotBlank", name, "This value should not be blank.") for name in missing]
        return []

    def _stage_problems(self, row: Row) -> list[_Problem]:
        stages = {one["id"]: {status["id"] for status in one["_statuses"]} for one in self._account.pipelines}
        pipeline, status = row.get("pipeline_id"), row.get("status_id")
        if pipeline is not None and pipeline not in stages:
            return [_Problem("NotSupportedChoice", "pipeline_id", "The value is not supported.")]
        allowed = stages[pipeline] if pipeline is not None else set().union(*stages.values())
        if status is not None and status not in allowed:
            return [_Problem("NotSupportedChoice", "status_id", "The value is not supported.")]
        return []

    def _note_problems(self, entity: str, row: Row, *, is_new: bool) -> list[_Problem]:
        if not is_new:
            return []
        kind, params = row.get("note_type", "common"), row.get("params") or {}
        if kind not in _NOTE_PARAMS:
            return [_Problem("NotSupportedChoice", "note_type", "The value you selected is not a valid choice.")]
        if not self._is_there(entity.removesuffix("_notes"), row.get("entity_id")):
            return [_Problem("NotFound", "entity_id", "Element not found")]
        missing = [name for name in _NOTE_PARAMS[kind] if not isinstance(params, dict) or params.get(name) is None]
        return [_Problem("NotBlank", f"params.{name}", "This value should not be blank.") for name in missing]

    def _complex_problems(self, row: Row) -> list[_Problem]:
        found = self._problems("leads", row, is_new=True)
        if len(row.get("custom_fields_values") or ()) > MOST_FIELD_VALUES:
            found.append(_Problem("TooMany", "custom_fields_values", f"Not more than {MOST_FIELD_VALUES} values."))
        return found

    def _is_there(self, entity: str, row_id: Any) -> bool:
        if not isinstance(row_id, int):
            return False
        try:
            self._account.find(entity, row_id)
        except InvalidInput:
            return False
        return (entity, row_id) not in self._account.hidden

    # ------------------------------------------------------------------------------------------ changes
    def _fields(self, entity: str, row: Row) -> Row:
        """What Kommo keeps of a request's row; anything else is ignored."""
        names = {*_NUMBERS, *_IDS, *_TEXTS, "is_completed", "params", "result"}
        fields = {name: value for name, value in row.items() if name in names}
        if "custom_fields_values" in row:
            fields["custom_fields_values"] = self._values(entity, row)
        embedded = row.get("_embedded")
        if isinstance(embedded, dict):
            if "tags" in embedded:
                fields["_tags"] = self._account.tag_ids(embedded["tags"] or [])
            if entity == "leads" and "contacts" in embedded:
                linked = embedded["contacts"] or []
                fields["_contacts"] = [[one["id"], bool(one.get("is_main", not at))] for at, one in enumerate(linked)]
            if entity in {"leads", "contacts"} and "companies" in embedded:
                companies = embedded["companies"] or []
                fields["_company"] = companies[0]["id"] if companies else None
        return fields

    def _values(self, entity: str, row: Row) -> list[Row] | None:
        """The row's values with those of the request in place of the same fields'; empty values remove one."""
        before = self._account.table(entity).get(row["id"]) if "id" in row else None
        held = {one["field_id"]: one for one in (before or {}).get("custom_fields_values") or ()}
        defined = {one["id"]: one for one in self._account.custom_fields.get(entity, ())}
        for value in row["custom_fields_values"] or ():
            known = defined[value["field_id"]]
            held[known["id"]] = {
                "field_id": known["id"],
                "field_name": known["name"],
                "field_code": known["code"],
                "field_type": known["type"],
                "values": value.get("values") or [],
            }
        return [one for one in held.values() if one["values"]] or None

    def _new_or_known(self, entity: str, row: Row) -> int:
        if isinstance(row.get("id"), int):
            return int(row["id"])
        return int(self._account.add(entity, self._fields(entity, row), by=self._by)["id"])

    def _touch(self, entity: str, row: Row) -> None:
        parent = entity.removesuffix("_notes") if entity.endswith("_notes") else row.get("entity_type")
        if self._touch_parent and entity not in {"leads", "contacts", "companies"} and parent:
            self._account.edit(parent, int(row["entity_id"]), {}, by=self._by)

    def _item(self, entity: str, made: Row, row: Row, *, with_time: bool) -> Row:
        path = f"{entity.removesuffix('_notes')}/notes" if entity.endswith("_notes") else entity
        item = {"id": made["id"], "request_id": str(row.get("request_id", 0))}
        if entity.endswith("_notes"):
            item["entity_id"] = made["entity_id"]
        if with_time:
            item["updated_at"] = made["updated_at"]
        return {**item, "_links": {"self": {"href": f"https://{self._account.domain}/api/v4/{path}/{made['id']}"}}}


def _rows_of(body: Any, most: int) -> list[Row]:
    if not isinstance(body, list) or not body or not all(isinstance(row, dict) for row in body):
        raise Invalid("A list of rows is expected")
    if len(body) > most:
        raise Invalid(f"Not more than {most} rows are allowed")
    return body


def _one(body: Any) -> Row:
    if not isinstance(body, dict):
        raise Invalid("One row is expected")
    return body
