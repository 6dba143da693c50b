"""What do people do in the account? Each drawn change, on some row that there is by then; nothing if there is none."""

from __future__ import annotations

from typing import Any

from kommo.convergence import steps
from oxcart_sandbox import Account, World
from oxcart_sandbox.seed import FIRST_IDS, WON, user

NEW_STAGE, NEW_PIPELINE, NEW_FIELD, NEW_TAG, NEW_LISTED = 60_000_000, 7_000_000, 900_000, 500, 600


class Changes:
    """Numbered, so that no two say the same. `silent` are rows that went or came without a trace in any list."""

    def __init__(self, world: World, account: Account) -> None:
        self.silent: dict[str, set[str]] = {name: set() for name in steps.TABLES}
        self._world = world
        self._account = account
        self._deleted: list[tuple[str, int]] = []
        self._number = 0

    def make(self, change: steps.Change) -> None:
        self._number += 1
        match change:
            case steps.Add():
                self._add(change.entity, change.pick)
            case steps.Edit():
                self._edit(change)
            case steps.Delete():
                self._delete(change)
            case steps.Restore() if self._deleted:
                entity, row_id = self._deleted.pop(change.pick % len(self._deleted))
                self._account.restore(entity, row_id)
            case steps.Merge():
                self._merge(change)
            case steps.Hide():
                self._hide(change)
            case steps.Show() if self._account.hidden:
                hidden = sorted(self._account.hidden)
                self._account.hidden.discard(hidden[change.pick % len(hidden)])
            case steps.Settings():
                self._settings(change.what, change.pick)
            case steps.Listed():
                self._list(change.name, change.pick)
            case steps.Pass():
                self._world.clock.advance(change.seconds)

    def _hide(self, change: steps.Hide) -> None:
        row_id = self._some(change.entity, change.pick)
        if row_id is not None:
            self._account.hidden.add((change.entity, row_id))
            self.silent[change.entity].add(str(row_id))

    def _some(self, entity: str, pick: int) -> int | None:
        ids = list(self._account.table(entity).ids())
        return ids[pick % len(ids)] if ids else None

    # ------------------------------------------------------------------------------------------ rows
    def _add(self, entity: str, pick: int) -> None:
        fields: dict[str, Any]
        if entity in (*steps.CARDS, "customers"):
            fields = {"name": f"New {self._number}"}
            contact = self._some("contacts", pick)
            if entity in {"leads", "customers"} and contact is not None:
                fields |= {"_contacts": [[contact, True]]}
        else:
            of = "leads" if entity == "tasks" else entity.removesuffix("_notes")
            parent = self._some(of, pick)
            if parent is None:
                return
            fields = {"entity_id": parent}
            if entity == "tasks":
                fields |= {"entity_type": of, "text": f"Call {self._number}", "complete_till": 1_800_000_000}
            else:
                fields |= {"params": {"text": f"Note {self._number}"}}
        self._account.add(entity, fields)
        self._touch(entity, fields)

    def _edit(self, change: steps.Edit) -> None:
        row_id = self._some(change.entity, change.pick)
        if row_id is not None:
            fields = self._fields(change)
            row = self._account.edit(change.entity, row_id, fields)
            if change.what == "back":  # in no window of changes
                self.silent[change.entity].add(str(row_id))
            self._touch(change.entity, row)

    def _fields(self, change: steps.Edit) -> dict[str, Any]:
        """Whoever writes a row may set when it was changed."""
        now, days = self._world.clock.seconds(), 3 * 86_400
        times = {"back": {"updated_at": now - days}, "ahead": {"updated_at": now + days}}
        return {**self._plain_fields(change), **times.get(change.what, {})}

    def _plain_fields(self, change: steps.Edit) -> dict[str, Any]:
        if change.entity == "tasks":
            return {"text": f"Again {self._number}", "is_completed": change.what == "stage"}
        if change.entity.endswith("_notes"):
            return {"params": {"text": f"Note, again {self._number}"}}
        match change.what:
            case "owner":
                return {"responsible_user_id": FIRST_IDS["users"] + self._number % 5}
            case "stage" if change.entity == "leads":
                pipeline = self._account.pipelines[change.pick % len(self._account.pipelines)]
                stages = [status["id"] for status in pipeline["_statuses"]] or [WON]
                return {"pipeline_id": pipeline["id"], "status_id": stages[self._number % len(stages)]}
            case "tags":
                tags = list(self._account.tags)
                return {"_tags": sorted({tags[change.pick % len(tags)], tags[self._number % len(tags)]})}
            case "links" if change.entity in {"leads", "customers"}:
                linked = {self._some("contacts", change.pick), self._some("contacts", self._number)} - {None}
                return {"_contacts": [[contact, not at] for at, contact in enumerate(sorted(linked, key=str))]}
            case "company" if change.entity != "companies":
                return {"_company": self._some("companies", self._number)}
            case "products" if change.entity == "leads":
                products = [row["id"] for _path, rows in self._elements() for row in rows]
                return {"_elements": [[one, self._number] for one in products[: change.pick % 3]]}
            case "nothing":
                return {}
            case "odd":
                return {"name": "odd:half"}
        return {"name": f"Edited {self._number}"}

    def _touch(self, entity: str, row: dict[str, Any]) -> None:
        """Where a note or task moves the time of what it hangs on."""
        of = entity.removesuffix("_notes") if entity.endswith("_notes") else row.get("entity_type")
        if not self._world.scenario.notes_touch_parent or not entity.endswith(("_notes", "tasks")) or of is None:
            return
        parent = self._account.table(of).get(int(row["entity_id"]))
        if parent is not None and not parent["is_deleted"]:
            self._account.edit(of, int(row["entity_id"]), {})

    def _delete(self, change: steps.Delete) -> None:
        row_id = self._some(change.entity, change.pick)
        if row_id is not None:
            self._account.delete(change.entity, row_id)
            if change.entity in steps.CARDS:
                self._deleted.append((change.entity, row_id))
            if change.entity in steps.NOTES:
                self.silent[change.entity].add(str(row_id))

    def _merge(self, change: steps.Merge) -> None:
        into, other = self._some("contacts", change.into), self._some("contacts", change.other)
        if into is not None and other is not None and into != other:
            self._account.merge(into, [other])
            self.silent["contacts"].add(str(other))

    # ------------------------------------------------------------------------------------------ small lists
    def _elements(self) -> list[tuple[str, list[dict[str, Any]]]]:
        return [(path, rows) for path, rows in self._account.lists.items() if path.endswith("/elements")]

    def _list(self, name: str, pick: int) -> None:
        account, number = self._account, self._number
        if name == "elements":
            catalogs = self._elements()
            name = catalogs[pick % len(catalogs)][0] if catalogs else "catalogs"
        own = {"groups": account.groups, "task_types": account.task_types}
        rows = own[name] if name in own else account.lists[name]
        named = "source_name" if name == "leads/unsorted" else "name"
        at = pick % len(rows) if rows else 0
        if rows and pick % 4 == 0:
            gone = rows.pop(at)
            account.lists.pop(f"catalogs/{gone.get('id')}/elements", None)
        elif rows and pick % 4 == 1:
            rows[at] = {**rows[at], named: f"Other {number}"}
        else:
            self._list_new(name, rows, {named: f"New {number}"})

    def _list_new(self, name: str, rows: list[dict[str, Any]], fields: dict[str, Any]) -> None:
        new_id = NEW_LISTED + self._number
        match name.split("/"):
            case ["leads", "unsorted"]:
                lead, contact = self._some("leads", self._number), self._some("contacts", self._number)
                inside = {"leads": [{"id": lead}] if lead else [], "contacts": [{"id": contact}] if contact else []}
                rows.append({"uid": f"u-{new_id}", "category": "sip", "pipeline_id": 1, "_embedded": inside, **fields})
            case ["catalogs", catalog, "elements"]:
                rows.append({"id": new_id, "catalog_id": int(catalog), "custom_fields_values": None, **fields})
            case ["catalogs"]:
                rows.append({"id": new_id, "type": "regular", **fields})
                self._account.lists[f"catalogs/{new_id}/elements"] = []
            case _:
                rows.append({"id": new_id, **fields})

    # ------------------------------------------------------------------------------------------ settings
    def _settings(self, what: str, pick: int) -> None:
        account, number = self._account, self._number
        pipeline = account.pipelines[pick % len(account.pipelines)]
        match what:
            case "stage" if pipeline["_statuses"]:
                status = pipeline["_statuses"][pick % len(pipeline["_statuses"])]
                status |= {"name": f"Stage {number}", "sort": number}
            case "stages":
                keep = [status for at, status in enumerate(pipeline["_statuses"]) if at != pick]
                pipeline["_statuses"] = [*keep, {**keep[0], "id": NEW_STAGE + number, "name": f"Stage {number}"}]
            case "archive":
                pipeline["is_archive"] = not pipeline["is_archive"]
            case "pipeline" if pick % 2 and len(account.pipelines) > 1:
                account.pipelines.remove(pipeline)
            case "pipeline":
                added = {**pipeline, "id": NEW_PIPELINE + number, "name": f"Pipeline {number}"}
                statuses = [{**status, "pipeline_id": added["id"]} for status in pipeline["_statuses"]]
                account.pipelines.append({**added, "_statuses": statuses})
            case "field":
                self._change_field(pick)
            case "tag":
                account.tags[NEW_TAG + number] = f"tag {number}"
            case "rename tag":
                account.tags[list(account.tags)[pick % len(account.tags)]] = f"tag {number}"
            case "user":
                account.users[pick % len(account.users)]["name"] = f"User {number}"
            case "leaving user" if len(account.users) > 1:
                account.users.pop()
            case "leaving user":
                account.users.append(user(1))

    def _change_field(self, pick: int) -> None:
        of = steps.CARDS[pick % len(steps.CARDS)]
        fields, number = self._account.custom_fields[of], self._number
        if pick % 3 == 0 and fields:
            fields.pop()
        elif pick % 3 == 1 and fields:
            fields[0]["name"] = f"Field {number}"
        else:
            template = {"name": f"Field {number}", "type": "text", "code": None, "sort": number, "is_api_only": False}
            more: dict[str, Any] = {
                "enums": None,
                "group_id": None,
                "required_statuses": [],
                "is_deletable": True,
                "entity_type": of,
            }
            fields.append({"id": NEW_FIELD + number, "account_id": self._account.id, **template, **more})
