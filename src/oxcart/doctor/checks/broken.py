"""Is anything in the queues broken, so that jobs never come, and do producers add where we look?"""

from __future__ import annotations

from oxcart.checks import Check, Finding, ok, warning
from oxcart.doctor.visit import Visit
from oxcart.language import tr

GROUP = "queue"


async def broken(visit: Visit) -> Finding:
    """What a repair would find beyond what other checks look at; the first 20 000 keys of the database."""
    found = [
        f"{name}: {each.kind} ({each.count})"
        for name in visit.queue_names
        for each in await (await visit.queue(name)).broken()
    ]
    if not found:
        return ok(tr("nothing is broken"))
    return warning(
        "QUEUE_BROKEN",
        tr("Something in the queues is broken: jobs or schedules that will never come by themselves."),
        tr("oxcart repair --dry-run says what and what it would do; oxcart repair does it. Workers may go on."),
        evidence="; ".join(found[:5]),
    )


async def prefix(visit: Visit) -> Finding:
    """Only where ours has never had a job: else both are in use, and mean something."""
    elsewhere = []
    for name in visit.queue_names:
        queue = await visit.queue(name)
        if not await visit.known_link.request("EXISTS", queue.keys.meta, queue.keys.id, queue.keys.completed):
            elsewhere += [f"{found}:{name}" for found in await queue.other_prefixes()]
    if not elsewhere:
        return ok(tr("no queue of these names has another prefix"))
    return warning(
        "OTHER_PREFIX",
        tr("No job was ever added here, and queues of the same name exist under another prefix."),
        tr("Set OXCART_PREFIX to the prefix of the producers: what they add elsewhere is seen by nobody here."),
        evidence=", ".join(elsewhere[:5]),
    )


CHECKS: tuple[Check[Visit], ...] = (
    Check(
        "broken",
        GROUP,
        "a repair would find nothing",
        broken,
        "What no list names, waits for what is gone, or is kept away by what is left over, never runs.",
        ("layout",),
    ),
    Check(
        "prefix",
        GROUP,
        "producers add where we look",
        prefix,
        "A producer with another prefix adds to another queue, and nobody notices.",
        ("layout",),
    ),
)
