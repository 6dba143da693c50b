"""Does kommo:send-message, as the platform sends it, leave one note at the lead, and fail as a job should?"""

from __future__ import annotations

from typing import Any

import pytest
from support.sandbox import Sandbox

from kommo.push.conftest import ORG
from kommo.push.pushed import LEAD, requests, texts
from kommo.stored import add_account
from oxcart.errors import Discard, Snooze
from oxcart.kommo.crm import Crm
from oxcart.kommo.failures import ServerTrouble
from oxcart.kommo.push.messages import send_message
from oxcart.kommo.push.pushing import SURE_SECONDS
from oxcart.kommo.store.database import Database
from oxcart_sandbox import change_scenario

pytestmark = pytest.mark.usefixtures("connection_id")


def message(**changes: Any) -> dict[str, Any]:
    said = {"subject": "Your offer", "body": "Dear Ana,\nhere it is."}
    return {"orgId": ORG, "dealId": str(LEAD), "channel": "email", "message": said, **changes}


def note_of(sandbox: Sandbox, returned: dict[str, Any]) -> str:
    text: str = sandbox.demo.find("leads_notes", returned["noteId"])["params"]["text"]
    return text.rpartition("\n\nRef. ox-")[0]


async def test_a_mail_is_a_note_with_its_subject_and_attachments(sandbox: Sandbox, crm: Crm) -> None:
    files = [{"name": "offer.pdf", "url": "https://files.example/1"}, "plan.png"]
    said = {"subject": "Your offer", "body": "Dear Ana,\nhere it is.", "attachments": files}

    returned = await send_message(crm, message(message=said), key="agent-jobs:1")

    assert returned == {"ok": True, "noteId": returned["noteId"], "dealId": str(LEAD), "state": "confirmed"}
    expected = "Your offer\n\nDear Ana,\nhere it is.\n\noffer.pdf: https://files.example/1\nplan.png"
    assert note_of(sandbox, returned) == expected
    assert sandbox.demo.find("leads_notes", returned["noteId"])["note_type"] == "common"


async def test_a_chat_message_is_a_note_without_a_subject(sandbox: Sandbox, crm: Crm) -> None:
    returned = await send_message(crm, message(channel="chat", dealId=LEAD), key="agent-jobs:1")

    assert note_of(sandbox, returned) == "Dear Ana,\nhere it is."
    assert sandbox.demo.find("leads_notes", returned["noteId"])["entity_id"] == LEAD


async def test_a_job_that_runs_again_answers_the_same_and_posts_nothing(sandbox: Sandbox, crm: Crm) -> None:
    first = await send_message(crm, message(), key="agent-jobs:1")

    assert await send_message(crm, message(), key="agent-jobs:1") == first
    assert texts(sandbox)["Your offer"] == 1


async def test_a_message_in_doubt_snoozes_until_it_is_found(sandbox: Sandbox, crm: Crm) -> None:
    """A snooze uses no attempt: however few the job has, it is never given up while the note may be there."""
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"late_seconds": 300.0})
    sandbox.world.faults.plan({"kind": "lost", "method": "POST"})
    snoozes = []
    for _ in range(30):
        try:
            returned = await send_message(crm, message(), key="agent-jobs:1")
            break
        except Snooze as snooze:
            snoozes.append(snooze.delay_seconds)
            sandbox.world.clock.advance(snooze.delay_seconds)

    assert returned["state"] == "confirmed"
    assert len(requests(sandbox, "POST")) == 1
    assert 300 <= sum(snoozes) <= SURE_SECONDS


# ------------------------------------------------------------------------------------------------ refusals
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dealId": "999"}, "entity_id NotFound Element not found"),
        ({"dealId": "lead-7"}, "dealId is the number of a lead"),
        ({"channel": "pigeon"}, "channel is email or chat"),
        ({"orgId": None}, "orgId is missing"),
        ({"orgId": "00000000-0000-4000-8000-000000000000"}, "no Kommo connection"),
        ({"message": {"body": " "}, "channel": "chat"}, "message.body is empty"),
        ({"message": {"body": 5}}, "are texts"),
        ({"message": "hi"}, "message is no object"),
    ],
)
async def test_what_no_repetition_mends_is_discarded(
    sandbox: Sandbox, crm: Crm, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(Discard, match=says):
        await send_message(crm, message(**changes), key="agent-jobs:1")

    assert not texts(sandbox)


async def test_an_organisation_with_two_accounts_has_to_say_which(
    sandbox: Sandbox, crm: Crm, database: Database
) -> None:
    await add_account(database, org_id=ORG, base_domain="other.kommo.com", client_secret=None)

    with pytest.raises(Discard, match="say which"):
        await send_message(crm, message(), key="agent-jobs:1")
    returned = await send_message(crm, message(baseDomain="demo.kommo.com"), key="agent-jobs:1")

    assert texts(sandbox)["Your offer"] == 1
    assert returned["ok"]


async def test_a_discarded_message_can_be_retried_once_its_cause_is_gone(sandbox: Sandbox, crm: Crm) -> None:
    sandbox.demo.hidden.add(("leads", LEAD))
    with pytest.raises(Discard):
        await send_message(crm, message(), key="agent-jobs:1")
    sandbox.demo.hidden.clear()

    assert (await send_message(crm, message(), key="agent-jobs:1"))["ok"]


async def test_missing_rights_are_discarded_with_kommo_s_words(sandbox: Sandbox, crm: Crm) -> None:
    sandbox.world.faults.plan({"kind": "403", "method": "POST"})

    with pytest.raises(Discard, match="may not do this"):
        await send_message(crm, message(), key="agent-jobs:1")


async def test_an_unpaid_account_makes_the_message_wait(sandbox: Sandbox, crm: Crm) -> None:
    sandbox.demo.unpaid = True

    with pytest.raises(Snooze) as snoozed:
        await send_message(crm, message(), key="agent-jobs:1")

    assert snoozed.value.delay_seconds == 3600


async def test_a_429_makes_only_this_job_wait_as_long_as_kommo_says(sandbox: Sandbox, crm: Crm) -> None:
    change = {"retry_after_real_seconds": 300.0}
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, change)
    sandbox.world.faults.plan({"kind": "429", "method": "POST"})

    with pytest.raises(Snooze) as snoozed:
        await send_message(crm, message(), key="agent-jobs:1")

    assert snoozed.value.delay_seconds == pytest.approx(300, abs=1)


async def test_a_blocked_address_makes_the_message_wait_for_the_probe(sandbox: Sandbox, crm: Crm) -> None:
    sandbox.world.faults.plan({"kind": "blocked"})

    with pytest.raises(Snooze) as snoozed:
        await send_message(crm, message(), key="agent-jobs:1")

    assert snoozed.value.delay_seconds == pytest.approx(7200, abs=5)


async def test_an_account_that_must_be_connected_again_parks_the_message(sandbox: Sandbox, crm: Crm) -> None:
    sandbox.world.authority.revoke(sandbox.demo)

    with pytest.raises(Snooze) as snoozed:
        await send_message(crm, message(), key="agent-jobs:1")

    assert snoozed.value.delay_seconds == 900


async def test_kommo_out_of_reach_uses_an_attempt(crm_without_kommo: Crm) -> None:
    with pytest.raises(ServerTrouble):
        await send_message(crm_without_kommo, message(), key="agent-jobs:1")
