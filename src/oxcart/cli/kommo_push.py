"""How is a note or a task written into the account from here? kommo note, kommo task: once, in this process."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from oxcart.cli.exits import FAILED, Refused
from oxcart.cli.kommo_sync import account_option
from oxcart.cli.options import json_option
from oxcart.cli.output import say_json, say_wrapped
from oxcart.language import tr

if TYPE_CHECKING:
    from oxcart.kommo.push.drafts import NewNote, NewTask

_CARDS = click.Choice(("leads", "contacts", "companies"))

card_arguments = [
    click.argument("entity", metavar="leads|contacts|companies", type=_CARDS),
    click.argument("entity_id", metavar="ID", type=click.IntRange(1)),
    click.argument("text"),
    click.option("--key", metavar="TEXT", help="Written once only under this key, however often it is asked for."),
    account_option,
    json_option,
]


def _on_a_card(command: Any) -> Any:
    for decorate in reversed(card_arguments):
        command = decorate(command)
    return command


@click.command("note")
@_on_a_card
def note(entity: str, entity_id: int, text: str, *, key: str | None, domain: str | None, as_json: bool) -> None:
    """Write a note on a lead, contact or company: oxcart kommo note leads 123 "Called back"."""
    from oxcart.kommo.push.drafts import NewNote

    _write(NewNote(entity, entity_id, text), key, domain, as_json=as_json)


@click.command("task")
@_on_a_card
@click.option("--due", required=True, metavar="TIME", help="With its zone, as in 2026-12-01T09:00+01:00.")
@click.option("--type", "task_type_id", type=int, default=1, metavar="ID", help="As in crm_task_types; 1 is follow up.")
@click.option("--user", "user_id", type=int, metavar="ID", help="Whose it is; else the user's who granted the token.")
def task(
    entity: str,
    entity_id: int,
    text: str,
    *,
    due: str,
    task_type_id: int,
    user_id: int | None,
    key: str | None,
    domain: str | None,
    as_json: bool,
) -> None:
    """Give somebody a task on a lead, contact or company."""
    from oxcart.kommo.push.drafts import NewTask

    try:
        at = datetime.fromisoformat(due)
    except ValueError as error:
        raise Refused(tr("--due {due} is no time; give one as in 2026-12-01T09:00+01:00.", due=due[:40])) from error
    _write(NewTask(entity, entity_id, text, at, task_type_id, user_id), key, domain, as_json=as_json)


def _write(new: NewNote | NewTask, key: str | None, domain: str | None, *, as_json: bool) -> None:
    from oxcart.cli.session import run_async

    made = run_async(_pushed(new, key, domain))
    if as_json:
        say_json(made)
    else:
        say_wrapped(tr("It is in {domain} with the id {id}.", domain=made["domain"], id=made["id"]))


async def _pushed(new: NewNote | NewTask, key: str | None, domain: str | None) -> dict[str, Any]:
    from oxcart.cli.session import open_crm
    from oxcart.kommo.push.pushing import push
    from oxcart.kommo.store.columns import new_id

    key = key or f"cli-{new_id()}"
    async with open_crm() as crm:
        stored = await crm.find(domain=domain)
        pushed = await push(crm.account(stored, interactive=True, patience_seconds=10), key, new, retry_failed=True)
    if pushed.remote_id is None:
        raise Refused(_why_not(pushed, key), FAILED)
    return {"domain": stored.domain, "id": int(pushed.remote_id), "key": key}


def _why_not(pushed: Any, key: str) -> str:
    if pushed.error:
        return tr("Kommo refuses it ({error}).", error=pushed.error)
    if pushed.state == "pending":
        return str(pushed.stopped)
    return tr(
        "Its answer was lost, and it may be there. The same command with --key {key} finds out in some minutes.",
        key=key,
    )
