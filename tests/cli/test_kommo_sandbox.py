"""Does `kommo sandbox` serve a Kommo that an integration can be tried on?"""

from __future__ import annotations

import json
import signal

import aiohttp
from support.command import Oxcart
from support.programs import free_port
from support.waiting import wait_until


async def test_it_prints_how_to_reach_it_and_serves_until_it_is_told_to_stop(bare_oxcart: Oxcart) -> None:
    port = free_port()
    options = ("--port", str(port), "--contacts", "7", "--leads", "3", "--seed", "4", "--json")
    async with bare_oxcart.running("kommo", "sandbox", *options) as running, aiohttp.ClientSession() as session:
        await wait_until(lambda: running.out.endswith("\n"), describe="it has said how to reach it", timeout=30)
        told = json.loads(running.out)
        account = told["accounts"][0]
        headers = {"Host": account["domain"], "Authorization": f"Bearer {account['token']}"}
        async with session.get(f"{told['url']}/api/v4/contacts?limit=250", headers=headers) as answer:
            contacts = (await answer.json(content_type=None))["_embedded"]["contacts"]
        code = await running.stopped_by(signal.SIGINT)

    assert told["url"] == f"http://127.0.0.1:{port}"
    assert (account["domain"], len(contacts)) == ("demo.kommo.com", 7)
    assert code == 0
    assert running.err == ""


async def test_a_scenario_that_there_is_not_names_those_that_there_are(bare_oxcart: Oxcart) -> None:
    done = await bare_oxcart("kommo", "sandbox", "--scenario", "nice")

    assert done.code == 64
    assert "calm" in done.err
    assert done.out == ""


async def test_a_port_that_is_taken_is_named(bare_oxcart: Oxcart) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = await bare_oxcart("kommo", "sandbox", "--port", str(port))

    assert done.code == 1
    assert str(port) in done.err
    assert "--port" in done.err


async def test_a_size_that_cannot_be_is_one_sentence(bare_oxcart: Oxcart) -> None:
    done = await bare_oxcart("kommo", "sandbox", "--contacts", "-1")

    assert (done.code, done.err.count("\n")) == (64, 1)
