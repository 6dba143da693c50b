"""How is a person forgotten? kommo erase CONTACT_ID: in the database, and in the jobs that are over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from oxcart.cli.exits import FAILED
from oxcart.cli.kommo_sync import account_option
from oxcart.cli.options import confirm, json_option, yes_option
from oxcart.cli.output import say_json, say_pairs, say_wrapped
from oxcart.language import tr

if TYPE_CHECKING:
    from oxcart.kommo.crm import ServedCrm


@click.command("erase")
@click.argument("contact_id", metavar="CONTACT_ID")
@account_option
@yes_option
@json_option
def erase(contact_id: str, *, domain: str | None, yes: bool, as_json: bool) -> None:
    """Forget a contact: its row, links, notes, tasks, events, stored webhooks, and the finished jobs about it.

    Delete the contact in Kommo first: else the next sync brings it back, which is then said, with exit 1.
    """
    from oxcart.cli.session import run_async

    confirm(
        tr("Erase what is known here of contact {contact_id}? It cannot be taken back.", contact_id=contact_id), yes=yes
    )
    found = run_async(_erase(contact_id, domain))
    if as_json:
        say_json(found)
    else:
        _say_erased(found)
    if found["advice"] or found["jobsLeft"]:
        raise click.exceptions.Exit(FAILED)


async def _erase(contact_id: str, domain: str | None) -> dict[str, Any]:
    from oxcart.cli.session import open_crm
    from oxcart.kommo.erase import erase_contact

    async with open_crm() as crm:
        stored = await crm.find(domain=domain)
        erased = await erase_contact(crm.account(stored, interactive=True, patience_seconds=10), contact_id)
        removed, left = await _erase_jobs(crm, contact_id)
    return erased.as_json() | {"jobs": removed, "jobsLeft": left}


async def _erase_jobs(crm: ServedCrm, contact_id: str) -> tuple[int, list[str]]:
    """In every queue that a worker with these settings serves."""
    from oxcart.kommo.erase import erase_from_queue
    from oxcart.queue.producer import Queue
    from oxcart.queue.schedules import OWN_QUEUE

    worker = crm.settings.worker
    removed, left = 0, []
    for name in dict.fromkeys([*(share.name for share in worker.queues), OWN_QUEUE]):
        async with Queue(name, prefix=worker.prefix, server=crm.server) as queue:
            jobs = await erase_from_queue(queue, contact_id)
        removed += jobs.removed
        left += [f"{name}:{job_id}" for job_id in jobs.left]
    return removed, left


def _say_erased(found: dict[str, Any]) -> None:
    counted = {name: count for name, count in found.items() if isinstance(count, int) and not isinstance(count, bool)}
    say_wrapped(tr("Contact {contact_id} is erased here.", contact_id=found["contact_id"]))
    say_pairs([(name.replace("_", " "), str(count)) for name, count in counted.items() if count])
    if found["jobsLeft"]:
        say_wrapped(
            tr(
                "Jobs about it that have yet to run: {jobs}. Erase it again when they have run.",
                jobs=", ".join(found["jobsLeft"]),
            )
        )
    if found["advice"]:
        say_wrapped(str(found["advice"]))
