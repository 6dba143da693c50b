"""Does a person get answers from the database, and a note into the account, by a command each?"""

from __future__ import annotations

import csv
import io

from kommo.commands.conftest import Crm


async def test_reports_are_tables_csv_and_json_and_notes_and_tasks_are_written_once(crm: Crm) -> None:
    await crm.connect("--no-sync")
    await crm.oxcart("kommo", "sync", "--now")

    shown = await crm.oxcart("kommo", "report", "stages", "--limit", "2")
    as_json = await crm.oxcart("kommo", "report", "--json", "--limit", "3")
    as_csv = await crm.oxcart("kommo", "report", "leads", "--csv")
    lead = next(iter(crm.remote.truth("leads")))["id"]
    note = ("kommo", "note", "leads", str(lead), "Called back", "--key", "k", "--json")
    written, again = await crm.oxcart(*note), await crm.oxcart(*note)
    task = await crm.oxcart("kommo", "task", "leads", str(lead), "Call", "--due", "2026-12-02T09:00+01:00", "--json")
    refused = await crm.oxcart("kommo", "task", "leads", str(lead), "Call", "--due", "tomorrow")

    assert (shown.code, as_json.code, as_csv.code) == (0, 0, 0), shown.err
    assert shown.out.count("\n") == 2 + 1 + 2 + 1 + 1, shown.out
    assert "There are more; --limit shows them." in shown.out
    assert as_json.json.keys() == {"leads", "stages", "funnel", "tasks", "calls"}
    assert len(as_json.json["leads"]) == 3
    rows = list(csv.DictReader(io.StringIO(as_csv.out)))
    assert len(rows) == len(list(crm.remote.truth("leads")))
    assert rows[0].keys() >= {"lead", "price", "pipeline", "stage", "manager"}
    assert (written.code, written.json) == (0, again.json), written.err
    assert crm.remote.find("leads_notes", written.json["id"])["params"]["text"].startswith("Called back")
    assert task.code == 0, task.err
    assert crm.remote.find("tasks", task.json["id"])["complete_till"] == 1_796_198_400
    assert (refused.code, "tomorrow is no time" in refused.err) == (64, True)
