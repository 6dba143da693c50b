"""Do the jobs kommo:note and kommo:task, and the commands of the same names, write once what they were given?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from support.sandbox import DEMO, Sandbox

from kommo.push.pushed import LEAD, texts
from oxcart.builtin import CRM_JOBS
from oxcart.errors import Discard
from oxcart.kommo import jobs
from oxcart.kommo.crm import Crm


async def run(crm: Crm, name: str, data: Any, job_id: str = "1") -> dict[str, Any]:
    job: Any = SimpleNamespace(name=name, id=job_id, queue_name="oxcart", data=data)
    return dict(await getattr(jobs, CRM_JOBS[name])(crm, job))


async def test_a_note_and_a_task_are_written_once_for_each_job(sandbox: Sandbox, crm: Crm, connection_id: str) -> None:
    note = {"connectionId": connection_id, "entityType": "leads", "entityId": LEAD, "text": "Hello"}
    task = {"domain": DEMO, "entityId": str(LEAD), "text": "Call", "completeTill": 1_800_000_000}
    task |= {"taskTypeId": 1, "responsibleUserId": sandbox.demo.users[1]["id"]}

    first, again = await run(crm, "kommo:note", note), await run(crm, "kommo:note", note)
    made = await run(crm, "kommo:task", task, job_id="2")

    assert first == again == {"ok": True, "id": first["id"]}
    assert texts(sandbox)["Hello"] == 1
    row = sandbox.demo.find("tasks", made["id"])
    assert (row["entity_id"], row["complete_till"]) == (LEAD, 1_800_000_000)
    assert row["responsible_user_id"] == sandbox.demo.users[1]["id"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"entityId": "x"}, "entityId is no whole number"),
        ({"completeTill": None}, "completeTill is no whole number"),
        ({"text": " "}, "its text is empty"),
        ({"entityType": "deals"}, "it is leads, contacts or companies"),
        ({"entityId": 999}, "Kommo refuses it"),
    ],
)
async def test_what_cannot_be_written_is_discarded_in_a_sentence(
    crm: Crm, connection_id: str, change: dict[str, Any], words: str
) -> None:
    data = {"connectionId": connection_id, "entityType": "leads", "entityId": LEAD, "text": "x", "completeTill": 1}

    with pytest.raises(Discard, match=words):
        await run(crm, "kommo:note" if change.get("entityId") == 999 else "kommo:task", data | change)
