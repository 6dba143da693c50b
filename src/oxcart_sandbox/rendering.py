"""How does the API write a row? With its links and embedded lists, and PHP's habit of writing {} as []."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from oxcart_sandbox.account import Account
from oxcart_sandbox.rows import Row
from oxcart_sandbox.seed import CATALOG

DEFAULT_EMBEDS = ("tags", "companies")


def render(account: Account, entity: str, row: Row, with_: Collection[str], *, php_empty: bool) -> Row:
    """A row of one of the account's tables, as lists and single reads have it."""
    if row["is_deleted"] and "only_deleted" in with_:
        return {
            "id": row["id"], "updated_at": row["updated_at"], "is_deleted": True, "_links": _self(account, entity, row)
        }  # fmt: skip
    hides = {"is_deleted"} if entity == "tasks" or entity.endswith("_notes") else set()
    item = {name: value for name, value in row.items() if name[0] != "_" and name not in hides}
    item["_links"] = _self(account, entity, row)
    if "_tags" in row:
        item["_embedded"] = _embedded(account, entity, row, with_, [] if php_empty else {})
    return item


def render_pipeline(account: Account, pipeline: Row, *, php_empty: bool) -> Row:
    nothing: Any = [] if php_empty else {}
    statuses = [{**status, "_links": nothing} for status in pipeline["_statuses"]]
    item = {name: value for name, value in pipeline.items() if name[0] != "_"}
    return {
        **item,
        "_links": {"self": {"href": f"https://{account.domain}/api/v4/leads/pipelines/{pipeline['id']}"}},
        "_embedded": {"statuses": statuses},
    }


def render_account(account: Account, with_: Collection[str], *, filters: bool, now: int) -> Row:
    item: Row = {
        "id": account.id,
        "name": account.subdomain.title(),
        "subdomain": account.subdomain,
        "created_at": 1_735_603_200,
        "created_by": 0,
        "updated_at": 1_735_603_200,
        "updated_by": 0,
        "current_user_id": account.users[0]["id"],  # api.py writes whose token it is
        "country": "ES",
        "currency": "EUR",
        "currency_symbol": "€",
        "customers_mode": account.customers_mode,
        "is_unsorted_on": True,
        "is_loss_reason_enabled": True,
        "is_helpbot_enabled": False,
        "is_technical_account": False,
        "contact_name_display_order": 1,
        "_links": {"self": {"href": f"https://{account.domain}/api/v4/account"}},
    }
    plain = {
        "amojo_id": f"00000000-0000-4000-8000-{account.id:012d}",
        "amojo_rights": {"can_direct": True, "can_create_groups": True},
        "version": 12,
        "drive_url": f"https://drive-c.{account.top_domain}",
        "is_api_filter_enabled": filters,
    }
    embedded = {
        "users_groups": account.groups,
        "task_types": account.task_types,
        "datetime_settings": {
            "timezone": "Europe/Madrid",
            "timezone_offset": "+01:00",
            "date_pattern": "d.m.Y H:i",
            "timestamp": now,
        },
    }
    item |= {name: value for name, value in plain.items() if name in with_}
    chosen = {name: value for name, value in embedded.items() if name in with_}
    return {**item, "_embedded": chosen} if chosen else item


def _embedded(account: Account, entity: str, row: Row, with_: Collection[str], nothing: Any) -> Row:
    found: Row = {"tags": [{"id": tag, "name": account.tags[tag], "color": None} for tag in row["_tags"]]}
    if entity != "companies":
        company = row["_company"]
        found["companies"] = [] if company is None else [{"id": company, "_links": nothing}]
    if entity in {"leads", "customers"} and "contacts" in with_:
        found["contacts"] = [{"id": contact, "is_main": main, "_links": nothing} for contact, main in row["_contacts"]]
    if entity == "contacts" and "leads" in with_:
        found["leads"] = [{"id": lead, "_links": nothing} for lead in account.leads_of(row["id"])]
    if entity == "leads" and "catalog_elements" in with_:
        found["catalog_elements"] = [
            {"id": element, "metadata": {"quantity": quantity, "catalog_id": CATALOG}, "_links": nothing}
            for element, quantity in row.get("_elements", ())
        ]
    if entity == "leads" and "loss_reason" in with_:
        found["loss_reason"] = []
    return found


def _self(account: Account, entity: str, row: Row) -> Row:
    of, _, notes = entity.partition("_")
    path = f"{of}/{row['entity_id']}/{notes}/{row['id']}" if notes else f"{entity}/{row['id']}"
    return {"self": {"href": f"https://{account.domain}/api/v4/{path}"}}
