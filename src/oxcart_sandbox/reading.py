"""What do the API's reads answer? Lists with their links, single rows, 204 for what is empty or unknown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from oxcart_sandbox.account import CARDS, Account
from oxcart_sandbox.clock import SandboxClock
from oxcart_sandbox.listing import LARGEST_PAGE, BadQuery, ListQuery, read_query, select_rows
from oxcart_sandbox.rendering import render, render_account, render_pipeline
from oxcart_sandbox.rows import Row
from oxcart_sandbox.scenario import Scenario

_FILTERED = (*CARDS, "customers")  # the filters of which an account may lack
MOST_ENTITY_IDS = 10  # of filter[entity_id] for events

Pairs = Sequence[tuple[str, str]]


class Reads:
    """One account's answers. None is a 204, NotThere a 404. Raises BadQuery."""

    def __init__(self, account: Account, scenario: Scenario, clock: SandboxClock) -> None:
        self._account = account
        self._scenario = scenario
        self._clock = clock

    def account(self, pairs: Pairs) -> Row:
        query = self._query(pairs)
        now = self._clock.seconds()
        return render_account(self._account, query.with_, filters=self._scenario.filters, now=now)

    def rows(self, entity: str, path: str, pairs: Pairs, *, of: int | None = None) -> Row | None:
        """A list of a table; `of` is the row whose notes are asked for."""
        query = self._query(pairs, of=entity)
        if of is not None:
            query.filters["entity_id"] = [((), str(of))]
        rows, more = select_rows(self._account, entity, query, self._scenario)
        key = "notes" if entity.endswith("_notes") else entity
        php_empty = self._scenario.php_empty
        items = [render(self._account, entity, row, query.with_, php_empty=php_empty) for row in rows]
        return self._envelope(path, pairs, query, key, items, more=more)

    def row(self, entity: str, row_id: int, pairs: Pairs) -> Row | None:
        query = self._query(pairs)
        found = self._account.table(entity).get(row_id, as_listed=self._scenario.late_by_id)
        is_hidden = self._account.hides_by_id(entity, row_id, self._scenario.empty_by_id_seconds)
        if found is None or found["is_deleted"] or is_hidden or (entity, row_id) in self._account.hidden:
            return None
        return render(self._account, entity, found, query.with_, php_empty=self._scenario.php_empty)

    def pipelines(self) -> Row:
        """Not in pages."""
        account = self._account
        items = [render_pipeline(account, one, php_empty=self._scenario.php_empty) for one in account.pipelines]
        return {
            "_total_items": len(items),
            "_links": {"self": {"href": f"https://{account.domain}/api/v4/leads/pipelines"}},
            "_embedded": {"pipelines": items},
        }

    def pipeline(self, pipeline_id: int) -> Row | None:
        items = self.pipelines()["_embedded"]["pipelines"]
        return next((item for item in items if item["id"] == pipeline_id), None)

    def users(self, pairs: Pairs) -> Row | None:
        answer = self._simple("/users", pairs, "users", self._account.users)
        if answer is not None:
            query = self._query(pairs)
            total = len(self._account.users)
            answer |= {"_page_count": -(-total // query.limit), "_total_items": total}
        return answer

    def custom_fields(self, of: str, pairs: Pairs) -> Row | None:
        return self._simple(f"/{of}/custom_fields", pairs, "custom_fields", self._account.custom_fields[of])

    def small(self, path: str, pairs: Pairs) -> Row | None:
        return self._simple(f"/{path}", pairs, path.rpartition("/")[2], self._account.lists[path])

    def tags(self, of: str, pairs: Pairs) -> Row | None:
        """Tags are by entity at Kommo; here every entity has them all."""
        items = [{"id": tag, "name": name, "color": None} for tag, name in self._account.tags.items()]
        return self._simple(f"/{of}/tags", pairs, "tags", items)

    def events(self, pairs: Pairs) -> Row | None:
        """The newest first, as far as lists show them by now."""
        query = self._query(pairs, largest=self._scenario.events_limit)
        subjects = query.texts("entity_id")
        if len(subjects) > MOST_ENTITY_IDS:
            raise BadQuery(f"Not more than {MOST_ENTITY_IDS} entity ids")
        low, high = query.range("created_at") or (None, None)
        shown_until = self._clock.now() - self._scenario.late_seconds
        types, kinds = query.texts("type"), query.texts("entity")
        found = [
            event
            for event in reversed(self._account.events)
            if (not types or event["type"] in types)
            and (not kinds or event["entity_type"] in kinds)
            and (not subjects or str(event["entity_id"]) in subjects)
            and (low is None or event["created_at"] >= low)
            and (high is None or event["created_at"] <= high)
            and event["created_at"] <= shown_until
        ]
        return self._paged("/events", pairs, query, "events", [self._event(event) for event in found])

    def webhooks(self, pairs: Pairs) -> Row | None:
        wanted = self._query(pairs).texts("destination")
        items = [
            webhook_item(self._account, one)
            for one in self._account.subscriptions
            if not wanted or one.destination in wanted
        ]
        return {"_total_items": len(items), "_embedded": {"webhooks": items}} if items else None

    # ------------------------------------------------------------------------------------------ inside
    def _query(self, pairs: Pairs, *, largest: int = LARGEST_PAGE, of: str = "") -> ListQuery:
        query = read_query(pairs, filters=self._scenario.filters or of not in _FILTERED, largest=largest)
        if self._scenario.page_rows and "id" not in query.filters:
            query.limit = min(query.limit, self._scenario.page_rows)
        return query

    def _simple(self, path: str, pairs: Pairs, key: str, items: Sequence[Row]) -> Row | None:
        nothing: Any = [] if self._scenario.php_empty else {}
        return self._paged(path, pairs, self._query(pairs), key, [{**item, "_links": nothing} for item in items])

    def _paged(self, path: str, pairs: Pairs, query: ListQuery, key: str, items: Sequence[Row]) -> Row | None:
        first = (query.page - 1) * query.limit
        shown = list(items[first : first + query.limit])
        return self._envelope(path, pairs, query, key, shown, more=len(items) > first + query.limit)

    def _envelope(
        self, path: str, pairs: Pairs, query: ListQuery, key: str, items: list[Row], *, more: bool
    ) -> Row | None:
        if not items:
            return None
        pairs = [(name, str(query.limit) if name == "limit" else value) for name, value in pairs]
        links = {"self": self._link(path, pairs, query.page, all_of_it=True)}
        keeps_with = self._scenario.next_link_keeps_with
        if {"always": True, "never": False}.get(self._scenario.next_link, more):
            links["next"] = self._link(path, pairs, query.page + 1, all_of_it=keeps_with)
        if query.page > 1:
            links["first"] = self._link(path, pairs, 1, all_of_it=keeps_with)
            links["prev"] = self._link(path, pairs, query.page - 1, all_of_it=keeps_with)
        return {"_page": query.page, "_links": links, "_embedded": {key: items}}

    def _link(self, path: str, pairs: Pairs, page: int, *, all_of_it: bool) -> Row:
        kept = [(name, value) for name, value in pairs if name != "page" and (all_of_it or name != "with")]
        return {"href": f"https://{self._account.domain}/api/v4{path}?{urlencode([*kept, ('page', str(page))])}"}

    def _event(self, event: Row) -> Row:
        nothing: Any = [] if self._scenario.php_empty else {}
        entity = {"id": event["entity_id"], "_links": nothing}
        return {**event, "_links": nothing, "_embedded": {"entity": entity}}


def webhook_item(account: Account, subscription: Any) -> Row:
    return {
        "id": subscription.id,
        "destination": subscription.destination,
        "created_at": subscription.created_at,
        "updated_at": subscription.created_at,
        "account_id": account.id,
        "created_by": account.users[0]["id"],
        "sort": subscription.sort,
        "disabled": subscription.disabled,
        "settings": list(subscription.settings),
    }
