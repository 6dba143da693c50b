"""Does `env` show what was understood of the environment, where it came from, and never a secret?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.command import Oxcart

TOKEN = "AbCdEf0123456789AbCdEf0123456789"
UPSTASH = {
    "UPSTASH_REDIS_REST_URL": "https://Happy-Cow-123.upstash.io",
    "UPSTASH_REDIS_REST_TOKEN": TOKEN,
    "REDIS_URL": "redis://:other-secret@elsewhere:6380",
}
KEYS = {"redis", "ignored", "problems", "warnings", "settings"}


async def test_json_says_where_redis_is_and_which_variables_said_so(bare_oxcart: Oxcart) -> None:
    done = await bare_oxcart("env", "--json", **UPSTASH)

    assert done.code == 0
    assert set(done.json) == KEYS
    assert done.json["redis"] == {
        "url": "rediss://default:***@happy-cow-123.upstash.io:6379",
        "host": "happy-cow-123.upstash.io",
        "port": 6379,
        "tls": True,
        "from": ["UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"],
    }
    assert done.json["ignored"] == ["REDIS_URL"]
    assert done.json["problems"] == []


async def test_people_read_what_was_ignored_and_why(bare_oxcart: Oxcart) -> None:
    done = await bare_oxcart("env", **UPSTASH)

    assert "REDIS_URL is ignored: UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN win." in done.out
    assert "* JOB_QUEUE_NAME" not in done.out
    assert done.err == ""


async def test_without_redis_the_embedded_server_would_be_used(bare_oxcart: Oxcart) -> None:
    assert (await bare_oxcart("env", "--json")).json["redis"] is None
    assert "embedded server is used" in (await bare_oxcart("env")).out
    assert not (bare_oxcart.folder / ".oxcart").exists(), "looking starts nothing"


async def test_settings_are_listed_by_their_variables_in_their_units(bare_oxcart: Oxcart) -> None:
    done = await bare_oxcart(
        "env",
        "--json",
        JOB_QUEUE_NAME="crm,mail:5",
        OXCART_LOCK_DURATION_SECONDS="45.5",
        OXCART_KEEP_FAILED="all",
        OXCART_HTTP_TOKEN=f"{TOKEN},{TOKEN}2",
        ENCRYPTION_KEY="0f" * 32,
        OXCART_REDIS_FAMILY="ipv6",
    )

    settings: dict[str, Any] = done.json["settings"]
    assert settings["JOB_QUEUE_NAME"] == "crm,mail:5"
    assert settings["JOB_CONCURRENCY"] == 25
    assert settings["OXCART_LOCK_DURATION_SECONDS"] == 45.5
    assert settings["OXCART_STALLED_INTERVAL_SECONDS"] == 30
    assert settings["OXCART_KEEP_COMPLETED"] == "1000,24h"
    assert settings["OXCART_KEEP_FAILED"] == "all"
    assert settings["OXCART_HTTP_TOKEN"] == "***,***"
    assert settings["ENCRYPTION_KEY"] == "***"
    assert settings["DATABASE_URL"] is None
    assert settings["OXCART_REDIS_FAMILY"] == "6"


@pytest.mark.parametrize("as_json", [True, False])
async def test_all_problems_are_shown_and_the_exit_code_is_78(bare_oxcart: Oxcart, as_json: bool) -> None:
    done = await bare_oxcart(
        "env",
        *(["--json"] if as_json else []),
        REDIS_URL=f"http://:{TOKEN}@host",
        JOB_CONCURRENCY="many",
        PORT="99999",
        OXCART_LOCK_DURATON_SECONDS="3",
    )

    assert done.code == 78
    for name in ("REDIS_URL", "JOB_CONCURRENCY", "PORT"):
        assert name in done.out
    assert "Did you mean OXCART_LOCK_DURATION_SECONDS?" in done.out
    if as_json:
        assert len(done.json["problems"]) == 3
        assert done.json["redis"] is None
        assert done.json["settings"]["JOB_QUEUE_NAME"] == "agent-jobs"


@pytest.mark.parametrize("arguments", [("env",), ("env", "--json"), ("counts",), ("run",)])
async def test_no_secret_is_shown(bare_oxcart: Oxcart, arguments: tuple[str, ...]) -> None:
    """Each secret is set where it belongs, and once where it does not."""
    done = await bare_oxcart(
        *arguments,
        **UPSTASH,
        SENTRY_DSN=f"https://{TOKEN}@sentry.example/1",
        KOMMO_WEBHOOK_SECRET=TOKEN,
        DATABASE_URL=f"postgresql://user:{TOKEN}@db/x",
        OXCART_HTTP_TOKEN=TOKEN,
        OXCART_ALERT_URL=f"https://hooks.example/{TOKEN}",
        ENCRYPTION_KEY=TOKEN,
    )

    assert done.code == 78, "ENCRYPTION_KEY is not one"
    assert TOKEN not in done.out + done.err
    assert "other-secret" not in done.out + done.err


async def test_a_command_lists_every_problem_one_a_line(bare_oxcart: Oxcart) -> None:
    done = await bare_oxcart("counts", JOB_CONCURRENCY="0", PORT="x")

    assert done.code == 78
    assert done.out == ""
    assert len(done.err.splitlines()) == 2


async def test_on_a_platform_a_missing_redis_is_a_problem(bare_oxcart: Oxcart) -> None:
    done = await bare_oxcart("env", "--json", RAILWAY_SERVICE_ID="abc")

    assert done.code == 78
    assert "on Railway" in json.dumps(done.json["problems"])
