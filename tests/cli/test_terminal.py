"""Does a command show hostile jobs at a terminal, whatever their producer wrote, and at any depth?"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import subprocess

import pytest
from redis import Redis
from support.command import COMMAND, Oxcart
from unit.test_terminal import harm_in

from oxcart import Queue

HOSTILE = "crm\x1b]0;title\x07\x9b31m\u202egnp.exe\u2066\u200b\x7f"
DEEP = 100_000
LISTS = "[" * DEEP + "]" * DEEP
OBJECTS = '{"a":' * DEEP + "1" + "}" * DEEP
_OWN_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


async def at_terminal(oxcart: Oxcart, *arguments: str) -> tuple[int, str]:
    """The exit code, and what the terminal was sent, without the colours that are ours."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=oxcart.folder,
        env={**os.environ, **oxcart.environ, "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    sent = await asyncio.to_thread(_read_all, ours)
    os.close(ours)
    return process.wait(10), _OWN_COLOURS.sub("", sent.decode()).replace("\r\n", "\n")


def _read_all(descriptor: int) -> bytes:
    sent = bytearray()
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # the other end is closed
            return bytes(sent)
        if not chunk:
            return bytes(sent)
        sent += chunk


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs", "list", "--state", "waiting"),
        ("jobs", "list", "--state", "waiting", "--json"),
        ("jobs", "show", "ID"),
        ("jobs", "show", "ID", "--json"),
        ("jobs", "show", HOSTILE),
        ("jobs", "retry", HOSTILE),
        ("enqueue", "x", "--data", HOSTILE),
        ("counts", f"--{HOSTILE}"),
        ("env", "--json"),
    ],
    ids=" ".join,
)
async def test_nothing_but_letters_reaches_a_terminal(oxcart: Oxcart, queue: Queue, arguments: tuple[str, ...]) -> None:
    added = await queue.add(HOSTILE, {HOSTILE: [HOSTILE]})
    given = [added.id if word == "ID" else word for word in arguments]

    _, sent = await at_terminal(oxcart, *given)

    assert sent
    assert harm_in(sent) == []
    if "--json" in arguments:
        assert json.loads(sent) == (await oxcart(*given)).json


@pytest.mark.parametrize("text", [LISTS, OBJECTS, "[" * DEEP], ids=["lists", "objects", "broken"])
async def test_a_job_of_any_depth_is_shown(oxcart: Oxcart, queue: Queue, redis_url: str, text: str) -> None:
    added = await queue.add("deep")
    with Redis.from_url(redis_url, protocol=2) as client:
        fields = dict.fromkeys(("data", "opts", "returnvalue", "progress", "stacktrace"), text)
        client.hset(f"bull:{queue.name}:{added.id}", mapping=fields)

    shown, page, listed = await asyncio.gather(
        oxcart("jobs", "show", added.id, "--json"),
        oxcart("jobs", "show", added.id),
        oxcart("jobs", "list", "--state", "waiting", "--json"),
    )

    assert (shown.code, page.code, listed.code) == (0, 0, 0), shown.err + page.err + listed.err
    assert shown.json["id"] == added.id
    assert shown.json["data"] == text
