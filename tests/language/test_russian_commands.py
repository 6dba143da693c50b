"""Does a Russian operator read Russian, whatever is wrong, and a program the same ids and codes?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.command import Oxcart
from support.examined import TOKEN
from support.fake_redis import FakeRedis
from support.ports import closed_port
from support.russian import english_in, lines_without_russian, not_russian

RUSSIAN = "ru_RU.UTF-8"


@pytest.fixture
def oxcart(tmp_path: Path) -> Oxcart:
    return Oxcart(tmp_path, {"LC_ALL": "", "LC_MESSAGES": "", "LANG": "C.UTF-8", "PYTHONUTF8": "1"})


def assert_russian(text: str) -> None:
    assert english_in(text) == []
    assert TOKEN not in text
    assert "Traceback" not in text


async def both(oxcart: Oxcart, *arguments: str, **environ: str) -> tuple[Any, Any]:
    """The JSON of a command in both languages; every id, state and code of them is the same."""
    english = await oxcart(*arguments, "--json", "--lang", "en", **environ)
    russian = await oxcart(*arguments, "--json", **{**environ, "LANG": RUSSIAN})
    assert english.code == russian.code
    assert TOKEN not in english.out + english.err + russian.out + russian.err
    kept = ("id", "group", "state", "docs")
    assert [[check[name] for name in kept] for check in english.json["checks"]] == [
        [check[name] for name in kept] for check in russian.json["checks"]
    ]
    assert english.json.keys() == russian.json.keys()
    return english.json, russian.json


async def test_a_healthy_server(oxcart: Oxcart, redis_url: str, queue_name: str) -> None:
    environ = {"REDIS_URL": redis_url, "JOB_QUEUE_NAME": queue_name}

    done = await oxcart("doctor", "-v", "--lang", "ru", **environ)
    _, content = await both(oxcart, "doctor", **environ)

    assert done.code == 0
    assert_russian(done.out)
    assert "Ошибок нет, но есть предупреждения: NO_PERSISTENCE." in done.out
    assert "✓ задача проходит от начала до конца" in done.out
    assert list(not_russian(content)) == []


@pytest.mark.parametrize("fault", ["password", "refused", "no-such-name", "settings", "half-a-pair", "damaged-token"])
async def test_whatever_is_wrong(oxcart: Oxcart, fault: str) -> None:
    with FakeRedis({"AUTH": "-WRONGPASS invalid username-password pair or user is disabled."}) as fake:
        environ, verdict = {
            "password": ({"REDIS_URL": f"redis://:{TOKEN}@127.0.0.1:{fake.port}"}, "AUTH_BAD"),
            "refused": ({"REDIS_URL": f"redis://:{TOKEN}@127.0.0.1:{closed_port()}"}, "TCP_REFUSED"),
            "no-such-name": ({"REDIS_URL": f"rediss://:{TOKEN}@missing-host.invalid:6379"}, "DNS_NX"),
            "settings": ({"REDIS_URL": "https://some.upstash.io", "JOB_CONCURRENCY": "many"}, "SETTINGS_PROBLEM"),
            "half-a-pair": ({"UPSTASH_REDIS_REST_TOKEN": TOKEN}, "ENV_HALF"),
            "damaged-token": (
                {"UPSTASH_REDIS_REST_URL": "https://some.upstash.io", "UPSTASH_REDIS_REST_TOKEN": f'"{TOKEN}"'},
                "UPSTASH_TOKEN_DAMAGED",
            ),
        }[fault]
        english, russian = await both(oxcart, "doctor", **environ)
        done = await oxcart("doctor", "--lang", "ru", **environ)

    assert (english["verdict"]["id"], russian["verdict"]["id"]) == (verdict, verdict)
    assert list(not_russian(russian)) == []
    assert done.code in {69, 78}
    assert_russian(done.out)
    assert "Что делать" in done.out
    assert [line for line in lines_without_russian(done.out) if "oxcart explain" not in line] == []


async def test_a_report_is_in_the_language_of_those_who_read_it(oxcart: Oxcart) -> None:
    done = await oxcart("doctor", "--report", REDIS_URL=f"redis://127.0.0.1:{closed_port()}", LANG=RUSSIAN)

    assert "| check | state | code | ms | evidence |" in done.out
    assert "none is set" not in done.out
    assert not any("а" <= letter <= "я" for letter in done.out)


async def test_waiting_is_told_in_russian(oxcart: Oxcart) -> None:
    done = await oxcart(
        "doctor", "--wait", "1s", "--lang", "ru", "--only", "tcp", REDIS_URL=f"redis://127.0.0.1:{closed_port()}"
    )

    assert "Повторяем ещё" in done.err
    assert_russian(done.err)


async def test_verify_of_what_is_not_there(oxcart: Oxcart) -> None:
    url = f"http://127.0.0.1:{closed_port()}"

    done = await oxcart("verify", url, "--wait", "1s", "--lang", "ru")
    _, content = await both(oxcart, "verify", url)

    assert done.code == 69
    assert done.err.startswith("ждём: По адресу 127.0.0.1 никто не слушает.")
    assert_russian(done.out + done.err)
    assert content["verdict"]["id"] == "VERIFY_REFUSED"
    assert list(not_russian(content)) == []


async def test_explain_prints_the_russian_section(oxcart: Oxcart) -> None:
    done = await oxcart("explain", "dns-nx", LANG=RUSSIAN)
    english = await oxcart("explain", "dns-nx", "--lang", "en", LANG=RUSSIAN)

    assert done.out.startswith("## DNS_NX\n\nИмя HOST не находится.")
    assert "**Что делать:**" in done.out
    assert_russian(done.out)
    assert "**What to do:**" in english.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["doctor", "--only", "dsn"], "Может быть, dns?"),
        (["doctor", "--wait", "soon"], "не время"),
        (["explain", "nothing-of-the-kind"], "ничего не известно"),
        (["verify", "ftp://x"], "не адрес сервиса HTTP"),
        (["verify", "localhost", "--wait", "soon"], "напишите время"),
        (["verify", "localhost", "--token-file", "nowhere"], "файл не читается"),
    ],
)
async def test_a_mistake_is_told_in_russian(oxcart: Oxcart, arguments: list[str], told: str) -> None:
    done = await oxcart(*arguments, "--lang", "ru")

    assert done.code == 64
    assert told in done.err
    assert len(done.err.splitlines()) == 1


async def test_a_language_that_nobody_speaks_ends_with_64(oxcart: Oxcart) -> None:
    done = await oxcart("doctor", "--lang", "xx")

    assert done.code == 64
    assert "'en', 'ru'" in done.err
