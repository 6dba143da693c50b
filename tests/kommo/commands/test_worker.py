"""Does a worker do the CRM's jobs: ours, the platform's, and those that webhooks and schedules start?"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from kommo.commands.conftest import Crm
from oxcart.testing import wait_until


async def enqueue(crm: Crm, name: str, data: dict[str, Any], *options: str) -> Any:
    done = await crm.oxcart("enqueue", name, "--data", json.dumps(data), "--wait", "40", "--json", *options)
    assert done.code == 0, done.err + done.out
    return done.json["returnvalue"]


async def test_connecting_makes_a_worker_read_the_account_and_edits_arrive_by_webhook(crm: Crm) -> None:
    async with crm.working():
        await crm.connect()
        await wait_until(
            lambda: _count(crm, "SELECT count(*) AS n FROM crm_cursors WHERE entity = 'events'"),
            describe="the first sync has come to its last entity",
            timeout=60,
        )
        lead = next(iter(crm.remote.truth("leads")))["id"]
        crm.remote.edit("leads", lead, {"name": "By webhook"})
        await wait_until(
            lambda: _count(
                crm, f"SELECT count(*) AS n FROM crm_leads WHERE external_id = '{lead}' AND name = 'By webhook'"
            ),
            describe="the edit is in the database",
            timeout=20,
        )

    assert len(await crm.rows("SELECT external_id FROM crm_contacts WHERE deleted_at IS NULL")) == 60


async def test_connecting_creates_the_schedules(crm: Crm) -> None:
    answer = await crm.connect("--no-sync")
    listed = await crm.oxcart("schedules", "list", "--queue", "oxcart", "--json")

    found = {one["id"]: one for one in listed.json}
    poll, sweep = (found[f"kommo-{what}-{answer['connectionId']}"] for what in ("poll", "sweep"))
    assert (poll["name"], poll["everyMs"]) == ("kommo:sync", 300_000)
    assert (sweep["name"], sweep["cron"], sweep["tz"]) == ("kommo:sweep", "0 3 * * *", answer["timezone"])
    assert found["kommo-refresh-tokens"]["name"] == "kommo:refresh-tokens"


async def test_sync_waits_for_the_worker_and_shows_what_it_did(crm: Crm) -> None:
    await crm.connect("--no-sync")
    async with crm.working():
        done = await crm.oxcart("kommo", "sync", "contacts", "--full", "--json")

    assert done.code == 0, done.err
    assert [(one["entity"], one["rows"]) for one in done.json["entities"]] == [("contacts", 60)]


async def test_the_platforms_sync_jobs_fill_its_tables_and_its_status(crm: Crm) -> None:
    await crm.connect("--no-sync")
    (stored,) = await crm.rows("SELECT id, org_id, base_domain FROM crm_connections")
    async with crm.working():
        by_id = {"provider": "kommo", "orgId": stored["org_id"], "connectionId": stored["id"]}
        by_domain = {"orgId": stored["org_id"], "baseDomain": stored["base_domain"]}
        await enqueue(crm, "crm:sync-pipelines", by_id)
        first = await crm.rows("SELECT external_id FROM crm_pipeline_stages ORDER BY external_id")
        await enqueue(crm, "kommo:sync-pipelines", by_domain)
        await enqueue(crm, "crm:sync-contacts", by_id)

    assert first, "the stages are there"
    assert await crm.rows("SELECT external_id FROM crm_pipeline_stages ORDER BY external_id") == first, "and stay"
    (row,) = await crm.rows("SELECT metadata FROM crm_connections")
    sync = json.loads(row["metadata"])["sync"]
    assert sync["pipelines"]["status"] == sync["contacts"]["status"] == "completed"
    assert sync["contacts"]["contactsCount"] == 60
    assert sync["pipelines"]["stagesCount"] == len(first)
    assert sync["pipelines"]["preview"][0]["stages"]


async def test_a_message_of_the_platform_is_one_note(crm: Crm) -> None:
    await crm.connect("--no-sync")
    (stored,) = await crm.rows("SELECT org_id FROM crm_connections")
    lead = next(iter(crm.remote.truth("leads")))["id"]
    message = {"orgId": stored["org_id"], "dealId": str(lead), "channel": "chat", "message": {"body": "Good day"}}
    async with crm.working():
        answer = await enqueue(crm, "kommo:send-message", message)

    notes = [note for note in crm.remote.truth("leads_notes") if "Good day" in str(note["params"])]
    assert [note["id"] for note in notes] == [answer["noteId"]]


async def test_bad_payloads_fail_their_job_alone_with_a_sentence(crm: Crm) -> None:
    await crm.connect("--no-sync")
    async with crm.working():
        for name, data, said in (
            ("crm:sync-pipelines", {"provider": "hubspot", "orgId": "x"}, "kommo"),
            ("crm:sync-contacts", {"orgId": "00000000-0000-0000-0000-000000000000"}, "oxcart kommo connect"),
            ("kommo:sync", {"entities": ["nonsense"]}, "There is no stream"),
            ("kommo:sync", {"domain": 5}, "domain is no text"),
            ("kommo:send-message", {"dealId": "1"}, "message"),
            ("webhook:retry", {}, "eventId"),
        ):
            done = await crm.oxcart("enqueue", name, "--data", json.dumps(data), "--wait", "40", "--attempts", "5")
            assert done.code == 1, (name, done.out, done.err)
            assert said in done.err, (name, done.err)
            assert "Traceback" not in done.err
        assert (await crm.oxcart("enqueue", "test-job", "--wait", "20")).code == 0


async def test_a_revoked_token_parks_the_account_and_connecting_again_ends_that(crm: Crm) -> None:
    await crm.connect("--no-sync")
    crm.world.authority.revoke(crm.remote)

    refused = await crm.oxcart("kommo", "sync", "--now")
    requests = len(crm.world.seen)
    again = await crm.oxcart("kommo", "sync", "--now")
    status = await crm.oxcart("kommo", "status", "--json")

    assert (refused.code, again.code) == (1, 1)
    assert "oxcart kommo connect" in refused.err
    assert len(crm.world.seen) == requests, "a refused token is not tried again"
    assert status.json["connections"][0]["state"] == "needs_reauth"

    await crm.connect("--no-sync", KOMMO_TOKEN=crm.world.authority.long_lived(crm.remote))
    assert (await crm.oxcart("kommo", "sync", "pipelines", "--now")).code == 0


async def _count(crm: Crm, sql: str) -> int:
    return int((await crm.rows(sql))[0]["n"])


async def test_without_a_database_the_platforms_jobs_are_left_untouched(crm: Crm) -> None:
    """A Node worker beside us has all it needs: its jobs must be there for it, in their place."""
    bare = replace(crm.oxcart, environ={**crm.oxcart.environ, "DATABASE_URL": "", "RENDER": "true"})
    added = await bare("enqueue", "crm:sync-pipelines", "--data", '{"orgId": "x"}', "--attempts", "1")
    async with bare.running("run", PORT="0", OXCART_LOG_FORMAT="json") as running:
        behind = await bare("enqueue", "test-job", "--wait", "30")
        shown = await bare("jobs", "show", added.last_line, "--json")

    assert behind.code == 0
    assert shown.json["state"] == "waiting"
    assert (shown.json["attemptsMade"], shown.json["attemptsStarted"]) == (0, 0)
    (told,) = [line for line in running.lines() if line.get("event") == "job.name_unknown"]
    assert "not possible here: no DATABASE_URL" in told["message"]
