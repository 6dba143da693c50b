"""How does a person add a tree of jobs, and look at one? flow add FILE, flow show ID."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from oxcart.cli.exits import FAILED, Refused
from oxcart.cli.json_input import read_json
from oxcart.cli.options import Group, json_option, queue_option
from oxcart.cli.output import one_line, say, say_json, shorten
from oxcart.language import tr

if TYPE_CHECKING:
    from oxcart.queue.flow_tree import FlowTree
    from oxcart.queue.flows import AddedFlow

flow = Group(name="flow", help="Add trees of jobs, in which a parent waits for its children, and look at them.")


@flow.command("add")
@click.argument("file", metavar="FILE|-")
@queue_option
@json_option
def add_flow(file: str, queue: str | None, as_json: bool) -> None:
    """Add a flow, or a list of them, from a JSON file. The last line of stdout is the id of its root.

    A job is {"name", "data", "queue", "options", "children"}; options are those of Python: delay_seconds, attempts …
    """
    from oxcart.cli.session import run_async

    given = read_json("FILE", file if file == "-" else f"@{file}")
    run_async(_add(given if isinstance(given, list) else [given], queue, as_json, is_list=isinstance(given, list)))


@flow.command("show")
@click.argument("job_id", metavar="ID")
@queue_option
@json_option
def show_flow(job_id: str, queue: str | None, as_json: bool) -> None:
    """Show a job and those below it, a line each: id, name, queue, and how it ended."""
    from oxcart.cli.session import run_async

    run_async(_show(job_id, queue, as_json))


async def _add(trees: list[Any], queue_name: str | None, as_json: bool, *, is_list: bool) -> None:
    from oxcart.cli.session import open_queue

    async with open_queue(queue_name, may_be_new=True) as queue:
        added = await queue.add_flows(trees)
    if as_json:
        told = [_added(tree) for tree in added]
        say_json(told if is_list else told[0])
    else:
        for tree in added:
            say(tree.id)


def _added(tree: AddedFlow) -> dict[str, Any]:
    children = [_added(child) for child in tree.children]
    return {"id": tree.id, "name": tree.name, "queue": tree.queue_name, "children": children}


async def _show(job_id: str, queue_name: str | None, as_json: bool) -> None:
    from oxcart.cli.session import open_queue

    async with open_queue(queue_name) as queue:
        tree = await queue.get_flow(job_id)
        name = queue.name
    if tree is None:
        raise Refused(tr('There is no job "{job_id}" in queue {name}.', job_id=shorten(job_id, 80), name=name), FAILED)
    if as_json:
        say_json(_shown(tree))
    else:
        _say(tree, 0)


def _say(tree: FlowTree, depth: int) -> None:
    job = tree.job
    say(one_line(f"{'  ' * depth}{job.id}  {job.name}  {job.queue_name}  {_ended(tree)}"))
    for child in tree.children:
        _say(child, depth + 1)


def _ended(tree: FlowTree) -> str:
    if tree.job.finished_on_ms is None:
        return tr("not ended")
    return (
        "completed"
        if tree.job.failed_reason is None
        else tr("failed: {failed_reason}", failed_reason=tree.job.failed_reason)
    )


def _shown(tree: FlowTree) -> dict[str, Any]:
    job = tree.job
    return {
        "id": job.id,
        "name": job.name,
        "queue": job.queue_name,
        "ended": None if job.finished_on_ms is None else "completed" if job.failed_reason is None else "failed",
        "failedReason": job.failed_reason,
        "children": [_shown(child) for child in tree.children],
    }
