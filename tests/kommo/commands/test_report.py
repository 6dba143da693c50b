"""Does a person get answers from the database, and a note into the account, by a command each?"""

from __future__ import annotations

import csv
import io

from kommo.commands.conftest import Crm


async def test_reports_are_tables_csv_and_json_and_a_note_is_written_once(crm: Crm) -> None:
    await crm.connect("--no-sync")
    await crm.oxcart("kommo", "sync", "--now")

    shown = await crm.oxcart("kommo", "report", "stages")
    as_json = await crm.oxcart("kommo", "report", "--json", "--limit", "3")
    as_csv = await crm.oxcart("kommo", "report", "leads", "--csv")
    lead = next(iter(crm.remote.truth("leads")))["id"]
    note = ("kommo", "note", "leads", str(lead), "Called back", "--key", "k", "--json")
    written, again = await crm.oxcart(*note), await crm.oxcart(*note)

    assert (shown.code, as_json.code, as_csv.code) == (0, 0, 0), shown.err
    assert "PIPELINE" in shown.out
    assert as_json.json.keys() == {"leads", "stages", "funnel", "tasks", "calls"}
    assert len(as_json.json["leads"]) == 3
    rows = list(csv.DictReader(io.StringIO(as_csv.out)))
    assert len(rows) == len(list(crm.remote.truth("leads")))
    assert rows[0].keys() >= {"lead", "price", "pipeline", "stage", "manager"}
    assert (written.code, written.json) == (0, again.json), written.err
    assert crm.remote.find("leads_notes", written.json["id"])["params"]["text"].startswith("Called back")
