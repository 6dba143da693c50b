"""How is a command written that a person pastes into a shell? The one place that names a queue, id or URL in one."""

from __future__ import annotations

from shlex import quote


def in_queue(queue: str, *arguments: str) -> str:
    """What follows a command: these arguments of its own, and the queue, which is always named.

    Nobody knows what JOB_QUEUE_NAME says where it is pasted. An argument may have any character a shell takes apart,
    and may look like an option.
    """
    named = f"--queue={quote(queue)}" if queue.startswith("-") else f"--queue {quote(queue)}"
    given = " ".join(quote(each) for each in arguments)
    if any(each.startswith("-") for each in arguments):
        return f"{named} -- {given}"
    return f"{given} {named}".lstrip()


def show_job(job_id: str, queue: str) -> str:
    return f"oxcart jobs show {in_queue(queue, job_id)}"
