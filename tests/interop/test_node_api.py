"""Does the table of BullMQ's methods and options know all of them, and none that is gone, and name what is here?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from oxcart import Job, Queue
from oxcart.queue.inspect import StoredJob
from oxcart.queue.job_handle import JobHandle
from oxcart.worker.controls import Controls

from .node_api import CLASSES, OPTIONS, members
from .node_install import installed

PAGE = Path(__file__).parents[2] / "docs" / "node-interop.md"


@pytest.fixture(scope="module")
def rows() -> dict[str, list[tuple[str, str]]]:
    """(what Node has, what is here) by class."""
    text = PAGE.read_text(encoding="utf-8").partition("## Every method and option of BullMQ 6")[2]
    parts = re.split(r"^### (\w+)$", text, flags=re.MULTILINE)
    return {
        owner: re.findall(r"^\| (`.*?) \| (.*) \|$", part, flags=re.MULTILINE)
        for owner, part in zip(parts[1::2], parts[2::2], strict=True)
    }


@pytest.mark.parametrize("owner", [*CLASSES, *OPTIONS])
def test_the_table_has_every_member_and_no_other(owner: str, rows: dict[str, list[tuple[str, str]]]) -> None:
    told = [name for node, _ in rows[owner] for name in re.findall(r"`(\w+)`", node)]

    assert set(told) == members(installed("6"))[owner]
    assert len(told) == len(set(told))


OBJECTS: dict[str, tuple[type, ...]] = {
    "queue": (Queue,),
    "job": (Job, JobHandle),
    "queue.job(id)": (JobHandle,),
    "queue.get(id)": (StoredJob,),
    "app.worker": (Controls,),
}


def test_what_the_table_names_of_ours_is_there(rows: dict[str, list[tuple[str, str]]]) -> None:
    """`queue.x`, `queue.job(id).x`, `job.x`, `app.worker.x`; a name with a point alone is of the object before it."""
    missing = []
    for owner in CLASSES:
        for _, ours in rows[owner]:
            of: tuple[type, ...] = (Queue,)
            for whole in re.findall(r"`([^`]+)`", ours):
                found = re.match(r"(queue\.job\(id\)|queue\.get\(id\)|app\.worker|queue|job|)\.(\w+)", whole)
                if found is None:
                    continue
                of = OBJECTS.get(found[1], of)
                names = {name for kind in of for name in (*dir(kind), *getattr(kind, "__slots__", ()))}
                if found[2] not in names:
                    missing.append(whole)
    assert missing == []
