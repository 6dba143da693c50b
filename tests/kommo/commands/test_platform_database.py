"""Does everything work in the database that the platform brings: connect, its job, a webhook, the commands?"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from kommo.commands.conftest import DOMAIN
from kommo.platform_schema import ORG, make_platform
from oxcart.testing import wait_until

FIRST_SYNC_SECONDS = 60


async def test_an_account_is_connected_synced_and_kept_current_in_the_platforms_database(
    make_crm: Callable[..., Any], postgres_url: str
) -> None:
    await make_platform(postgres_url)
    async with make_crm(postgres_url) as crm:

        async def there_is(sql: str, **values: Any) -> bool:
            return bool(await crm.rows(sql, **values))

        assert (await crm.oxcart("kommo", "migrate")).code == 0
        async with crm.working():
            await crm.connect("--org", ORG)
            job = {"provider": "kommo", "orgId": ORG, "baseDomain": DOMAIN}
            data = json.dumps(job)
            synced = await crm.oxcart("enqueue", "crm:sync-pipelines", "--data", data, "--wait", "40", "--json")
            await wait_until(
                lambda: there_is(
                    "SELECT 1 FROM crm_cursors WHERE entity = 'deleted_leads' AND full_walk_at IS NOT NULL"
                ),
                describe="the first sync is over",
                timeout=FIRST_SYNC_SECONDS,
            )
            lead = next(iter(crm.remote.truth("leads")))["id"]
            crm.remote.edit("leads", lead, {"name": "By webhook"})
            await wait_until(
                lambda: there_is(
                    "SELECT 1 FROM crm_leads WHERE external_id = :id AND name = 'By webhook'", id=str(lead)
                ),
                describe="the edit is in the database",
                timeout=20,
            )
            again = await crm.oxcart("kommo", "sync", "contacts", "tasks", "--json")
        status = await crm.oxcart("kommo", "status", "--json")

        assert synced.json["returnvalue"]["errors"] == {}
        assert (again.code, again.json["errors"]) == (0, {})
        (connection,) = status.json["connections"]
        rows = {one["entity"]: one["rows"] for one in connection["entities"]}
        assert (rows["contacts"], rows["leads"], rows["tasks"]) == (60, 40, 4)
        (stored,) = await crm.rows("SELECT org_id::text AS org_id, metadata FROM crm_connections")
        assert (stored["org_id"], stored["metadata"]["sync"]["pipelines"]["status"]) == (ORG, "completed")
        stages = await crm.rows("SELECT s.id FROM crm_pipeline_stages s JOIN crm_pipelines p ON p.id = s.pipeline_id")
        assert len(stages) == sum(len(pipeline["_statuses"]) for pipeline in crm.remote.pipelines)
        assert len(await crm.rows("SELECT 1 FROM crm_tasks WHERE org_id = :org", org=ORG)) == 4
