"""How does an operator mend a queue in which jobs wait for ever?"""

from __future__ import annotations

import click

from oxcart.cli.options import json_option, queue_option
from oxcart.cli.output import one_line, say, say_json, say_wrapped
from oxcart.language import tr


@click.command()
@queue_option
@click.option("--dry-run", is_flag=True, help="Only say what is wrong; change nothing.")
@click.option("--adopt-lost", is_flag=True, help="Put back jobs that exist and that no list or set names.")
@json_option
def repair(*, queue: str | None, dry_run: bool, adopt_lost: bool, as_json: bool) -> None:
    """Find what is broken in a queue, and mend what can be mended safely. Workers may go on meanwhile.

    It says what it found and what it did, a line each: ids without a job, jobs that no worker will find, locks that
    nobody holds, parents that wait for nothing. Jobs whose worker vanished need two passes of the stalled check.
    """
    from oxcart.cli.session import run_async

    run_async(_repair(queue, as_json, dry_run=dry_run, adopt_lost=adopt_lost))


async def _repair(queue_name: str | None, as_json: bool, *, dry_run: bool, adopt_lost: bool) -> None:
    from oxcart.cli.session import open_server, refuse_misspelt
    from oxcart.queue.producer import Queue

    async with open_server() as (planned, server):
        worker = planned.settings.worker
        await refuse_misspelt(server, queue_name, worker.prefix)
        async with Queue(queue_name or worker.queues[0].name, prefix=worker.prefix, server=server) as queue:
            repairs = await queue.repair(
                dry_run=dry_run,
                adopt_lost=adopt_lost,
                max_stalled_count=worker.max_stalled_count,
                stalled_interval_seconds=worker.stalled_interval_ms / 1000,
            )
    if as_json:
        found = [
            {
                "kind": each.kind,
                "found": each.found,
                "done": each.done,
                "mended": each.mended,
                "count": each.count,
                "jobIds": list(each.job_ids),
            }
            for each in repairs
        ]
        say_json({"queue": queue.name, "dryRun": dry_run, "repairs": found})
        return
    if not repairs:
        say_wrapped(tr("Queue {name}: nothing is broken.", name=queue.name))
    for each in repairs:
        say(f"{each.kind:<8}  {one_line(str(each))}")
        if each.job_ids:
            ids, more = each.job_ids[:10], each.count - 10
            say(f"          {one_line(', '.join(ids))}{f' and {more} more' if more > 0 else ''}")
