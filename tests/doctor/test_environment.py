"""Does each mistake in the environment get its code, the exit code 78, and JSON all the same?"""

from __future__ import annotations

import pytest
from support.examined import TOKEN, examined

from oxcart.checks import State
from oxcart.doctor.pages import explain

UPSTASH = "https://some-name-1234.upstash.io"


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({"UPSTASH_REDIS_REST_URL": UPSTASH}, "ENV_HALF"),
        ({"UPSTASH_REDIS_REST_TOKEN": TOKEN}, "ENV_HALF"),
        ({"UPSTASH_REDIS_REST_URL": UPSTASH, "UPSTASH_REDIS_REST_TOKEN": ""}, "ENV_HALF"),
        ({"UPSTASH_REDIS_REST_URL": TOKEN, "UPSTASH_REDIS_REST_TOKEN": UPSTASH}, "ENV_SWAPPED"),
        ({"UPSTASH_REDIS_REST_URL": UPSTASH, "UPSTASH_REDIS_REST_TOKEN": "${{Redis.TOKEN}}"}, "ENV_REFERENCE"),
        ({"UPSTASH_REDIS_REST_URL": UPSTASH, "UPSTASH_REDIS_REST_TOKEN": "••••••••"}, "UPSTASH_TOKEN_DAMAGED"),
        ({"REDIS_URL": UPSTASH}, "URL_SCHEME"),
        ({"REDIS_URL": "some-name-1234.upstash.io"}, "URL_SCHEME"),
        ({"REDIS_URL": f"rediss://:{TOKEN}@{UPSTASH}:6379"}, "URL_NEST"),
        ({"REDIS_URL": "rediss://default:pa/ss@w#rd@db.example.com:6379"}, "URL_ESCAPE"),
        ({"REDIS_URL": "${{Redis.REDIS_URL}}"}, "ENV_REFERENCE"),
        ({"REDIS_URL": f"redis://:{TOKEN}@-bad-:6379"}, "URL_BAD"),
        ({"RAILWAY_PROJECT_ID": "1", "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "40"}, "ENV_NONE"),
        ({"REDIS_URL": "redis://127.0.0.1:1", "JOB_CONCURRENCY": "many"}, "SETTINGS_PROBLEM"),
    ],
)
async def test_a_mistake_has_its_code(environ: dict[str, str], code: str) -> None:
    seen = await examined(environ)

    assert seen.verdict == code
    assert seen.diagnosis.exit_code == 78
    assert seen.as_json["ok"] is False
    assert seen.action
    assert code in explain(code)


async def test_two_problems_are_told_together() -> None:
    seen = await examined({"REDIS_URL": "redis://127.0.0.1:1", "JOB_CONCURRENCY": "many", "LOG_LEVEL": "loud"})

    assert "JOB_CONCURRENCY" in seen["settings"].finding.evidence
    assert "LOG_LEVEL" in seen["settings"].finding.evidence


async def test_a_typing_error_in_a_name_is_a_warning_with_a_guess() -> None:
    seen = await examined({"OXCART_LOCK_DURATON_SECONDS": "5", "REDIS_URL": "redis://h"}, only=["settings"])

    assert seen["settings"].finding.state is State.WARNING
    assert "OXCART_LOCK_DURATION_SECONDS" in seen["settings"].finding.hint


async def test_what_was_ignored_is_said() -> None:
    environ = {"UPSTASH_REDIS_REST_URL": UPSTASH, "UPSTASH_REDIS_REST_TOKEN": TOKEN, "REDIS_URL": "redis://other"}

    seen = await examined(environ, only=["redis-url"])

    assert "ignored: REDIS_URL" in seen["redis-url"].finding.evidence
