"""Which Redis does each spelling of the settings lead to, and what is said about one that leads nowhere?"""

from __future__ import annotations

from pathlib import Path

import pytest

from oxcart.connection.target import RedisTarget, TargetReport, parse_redis_url, resolve_target
from oxcart.errors import InvalidInput
from oxcart.secret import Secret

REST_URL = "https://composed-primate-14678.upstash.io"
HOST = "composed-primate-14678.upstash.io"
TOKEN = "ATlWAAIncDE+/hunter2=="
TARGET = RedisTarget(HOST, username="default", password=Secret(TOKEN), tls=True)


def pair(url: str = REST_URL, token: str = TOKEN, **others: str) -> TargetReport:
    return resolve_target({"UPSTASH_REDIS_REST_URL": url, "UPSTASH_REDIS_REST_TOKEN": token} | others)


def redis_url(url: str, **others: str) -> TargetReport:
    return resolve_target({"REDIS_URL": url} | others)


def found(report: TargetReport) -> RedisTarget:
    assert report.problems == ()
    assert report.target is not None
    return report.target


def only_problem(report: TargetReport) -> str:
    assert report.target is None
    assert len(report.problems) == 1, report.problems
    return report.problems[0]


# ------------------------------------------------------------------------------------------------ the Upstash pair
@pytest.mark.parametrize(
    ("url", "warnings"),
    [
        (REST_URL, 0),
        (REST_URL + "/", 0),
        (HOST, 0),
        (HOST.upper(), 0),
        ("HTTPS://Composed-Primate-14678.Upstash.IO", 0),
        (REST_URL + ":443", 0),
        (REST_URL + ":8443/pipeline?x=1", 0),
        ("http://" + HOST, 0),
        (f'"{REST_URL}"', 1),
        (f" {REST_URL}\n", 1),
        (f"UPSTASH_REDIS_REST_URL={REST_URL}", 1),
        (f'UPSTASH_REDIS_REST_URL="{REST_URL}"\nUPSTASH_REDIS_REST_TOKEN="abc"', 1),
        (f"https://default:x@{HOST}", 1),
        (f"rediss://default:ATlWAAIncDE+%2Fhunter2==@{HOST}:6379", 1),
        (f"rediss://{HOST}:6379", 1),
        (f"redis-cli --tls -u redis://default:ATlWAAIncDE+%2Fhunter2==@{HOST}:6379", 2),
        (f"rediss://default:another@{HOST}:6379", 2),
    ],
)
def test_any_reasonable_spelling_of_the_rest_url_gives_the_host(url: str, warnings: int) -> None:
    report = pair(url)

    assert found(report) == TARGET
    assert report.sources == ("UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN")
    assert len(report.warnings) == warnings, report.warnings


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("https://", "no host is named"),
        ("https://x..upstash.io", "no valid name"),
        (f"https://{'x' * 64}.upstash.io", "no valid name"),
        ("https://x.upstash.io https://y.upstash.io", "a space or a line break"),
        ("https://https://x.upstash.io", "it has two addresses"),
        ("ftp://x.upstash.io", "unknown scheme"),
        ("https://console.upstash.com/redis/1", "address of the console"),
        ("ATlWAAIncDEabcdefghijklmnopqrstuvwxyz", "swapped"),
        ("${{Redis.URL}}", "not filled in"),
        ("https://x.upstash.io:port", "neither HOST nor HOST:PORT"),
        ("redis-cli --tls -h x.upstash.io -a hunter2", "is no URL"),
    ],
)
def test_a_rest_url_without_a_host_is_refused_with_the_cure(url: str, part: str) -> None:
    problem = only_problem(pair(url))

    assert problem.startswith("UPSTASH_REDIS_REST_URL ")
    assert part in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "token",
    [
        f'"{TOKEN}"',
        f" {TOKEN}",
        f"{TOKEN}\n",
        f"{TOKEN[:9]}\n{TOKEN[9:]}",
        f"Bearer {TOKEN}",
        f"Authorization: Bearer {TOKEN}",
        f"UPSTASH_REDIS_REST_TOKEN={TOKEN}",
        f"{TOKEN}\u200b",
        f"rediss://default:ATlWAAIncDE+%2Fhunter2==@{HOST}:6379",
    ],
)
def test_a_token_that_needs_stripping_works_with_a_warning(token: str) -> None:
    report = pair(token=token)

    assert found(report) == TARGET
    assert len(report.warnings) == 1
    assert report.warnings[0].startswith("UPSTASH_REDIS_REST_TOKEN ")


@pytest.mark.parametrize(
    ("token", "part"),
    [("********", "masked"), (REST_URL, "swapped"), ("${{x.TOKEN}}", "not filled in"), ('""', "masked or empty")],
)
def test_a_token_that_is_none_is_refused_with_the_cure(token: str, part: str) -> None:
    assert part in only_problem(pair(token=token))


@pytest.mark.parametrize(
    "environ",
    [
        {"UPSTASH_REDIS_REST_URL": REST_URL},
        {"UPSTASH_REDIS_REST_TOKEN": TOKEN},
        {"UPSTASH_REDIS_REST_URL": REST_URL, "UPSTASH_REDIS_REST_TOKEN": ""},
        {"UPSTASH_REDIS_REST_URL": " ", "UPSTASH_REDIS_REST_TOKEN": TOKEN},
        {"UPSTASH_REDIS_REST_URL": "", "UPSTASH_REDIS_REST_TOKEN": ""},
        {"UPSTASH_REDIS_REST_URL": REST_URL, "REDIS_URL": "redis://h"},
    ],
)
def test_half_a_pair_is_a_problem_even_beside_a_redis_url(environ: dict[str, str]) -> None:
    """Falling back to another Redis in silence would run another queue."""
    problem = only_problem(resolve_target(environ))

    assert "belong together" in problem
    assert "hunter2" not in problem


def test_the_pair_wins_over_redis_url_and_says_so() -> None:
    report = pair(REDIS_URL="redis://other:1/2", REDISHOST="third")

    assert found(report) == TARGET
    assert report.ignored == ("REDIS_URL", "REDISHOST")


def test_only_oxcart_redis_port_changes_the_port_of_the_pair() -> None:
    assert found(pair(REST_URL + ":443", OXCART_REDIS_PORT="7000")).port == 7000
    assert found(pair(f"rediss://{HOST}:6380")).port == 6380
    assert found(pair(f"rediss://{HOST}:6380", OXCART_REDIS_PORT="7000")).port == 7000


def test_the_token_is_percent_encoded_nowhere_but_in_a_url() -> None:
    token = "a%2Fb/c+d@e#f?="

    assert found(pair(token=token)).password == Secret(token)


def test_a_local_stand_in_for_upstash_is_reached_over_tls_on_its_tcp_port() -> None:
    target = found(pair("http://127.0.0.1:8079", OXCART_REDIS_PORT="7001"))

    assert (target.host, target.port, target.tls, target.is_loopback) == ("127.0.0.1", 7001, True, True)


# ------------------------------------------------------------------------------------------------ REDISHOST, or nothing
def test_the_separate_variables_of_railway_are_the_last_resort() -> None:
    environ = {"REDISHOST": "Redis.railway.internal", "REDISPORT": "7", "REDISUSER": "default", "REDISPASSWORD": "a@b"}

    report = resolve_target(environ)
    beside_url = resolve_target(environ | {"REDIS_URL": "redis://redis.railway.internal"})
    beside_another = resolve_target(environ | {"REDIS_URL": "redis://elsewhere"})

    assert found(report) == RedisTarget("redis.railway.internal", 7, username="default", password=Secret("a@b"))
    assert report.sources == ("REDISHOST", "REDISPORT", "REDISUSER", "REDISPASSWORD")
    assert beside_url.ignored == ()
    assert beside_another.ignored == ("REDISHOST",)


@pytest.mark.parametrize("host", ["redis://h", "h:6379", "a b"])
def test_a_redishost_that_is_no_host_is_a_problem(host: str) -> None:
    assert only_problem(resolve_target({"REDISHOST": host})).startswith("REDISHOST cannot be used: ")


def test_no_redis_is_fine_on_a_laptop_and_a_problem_on_a_platform() -> None:
    railway = {"RAILWAY_ENVIRONMENT_NAME": "production"}

    assert resolve_target({}) == TargetReport(None, (), (), (), ())
    assert resolve_target(railway, allow_embedded=True).problems == ()
    assert "on Railway there is no server to fall back on" in only_problem(resolve_target(railway))
    assert "REDIS_TLS_URL is set, but not read" in only_problem(
        resolve_target({"DYNO": "worker.1", "REDIS_TLS_URL": "rediss://h"})
    )
    assert "KV_URL is set, but not read" in resolve_target({"KV_URL": "rediss://h"}).warnings[0]


# ------------------------------------------------------------------------------------------------ secrets
@pytest.mark.parametrize(
    ("variable", "first", "second"),
    [
        ("UPSTASH_REDIS_REST_TOKEN_FILE", "first\n", '"second"'),
        ("REDIS_URL_FILE", "rediss://default:first@h\n", "rediss://default:sec%6Fnd@h\n"),
        ("REDISPASSWORD_FILE", "first\n", "second\n"),
    ],
)
def test_a_password_file_is_read_again_at_each_connect(tmp_path: Path, variable: str, first: str, second: str) -> None:
    """So that a rotated token needs no restart."""
    file = tmp_path / "secret"
    file.write_text(first)
    environ = {variable: str(file)}
    if "UPSTASH" in variable:
        environ["UPSTASH_REDIS_REST_URL"] = REST_URL
    if variable == "REDISPASSWORD_FILE":
        environ["REDISHOST"] = "h"

    report = resolve_target(environ)
    target = found(report)
    assert variable in report.sources
    assert report.warnings == ()
    assert target.current_password() == Secret("first")

    file.write_text(second)
    assert target.current_password() == Secret("second")

    file.unlink()
    assert target.current_password() == Secret("first")


def test_a_password_file_that_is_missing_at_the_start_is_one_problem() -> None:
    report = resolve_target({"UPSTASH_REDIS_REST_URL": REST_URL, "UPSTASH_REDIS_REST_TOKEN_FILE": "/nowhere/token"})

    assert only_problem(report).startswith("UPSTASH_REDIS_REST_TOKEN_FILE names a file that cannot be read")


@pytest.mark.parametrize(
    ("target", "url"),
    [
        (TARGET, f"rediss://default:***@{HOST}:6379"),
        (RedisTarget("::1", 7, 2, password=Secret("hunter2")), "redis://:***@[::1]:7/2"),
        (RedisTarget("h", username="hunter2"), "redis://***@h:6379"),
        (RedisTarget("h", password_file="/run/secrets/x"), "redis://:***@h:6379"),
        (RedisTarget("", 0, 3, unix_path="/run/r.sock"), "unix:///run/r.sock?db=3"),
    ],
)
def test_the_masked_url_shows_where_and_no_secret(target: RedisTarget, url: str) -> None:
    assert target.masked_url == url
    assert "hunter2" not in repr(RedisTarget("h", password=Secret("hunter2")))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (RedisTarget("localhost"), True),
        (RedisTarget("127.0.0.2"), True),
        (RedisTarget("::1"), True),
        (RedisTarget("", unix_path="/x"), True),
        (RedisTarget("10.0.0.1"), False),
        (RedisTarget("redis"), False),
    ],
)
def test_loopback_is_recognised(target: RedisTarget, *, expected: bool) -> None:
    assert target.is_loopback is expected


# ------------------------------------------------------------------------------------------------ in code
def test_a_url_given_in_code_takes_the_options_of_the_environment() -> None:
    assert parse_redis_url("redis://h:7", {"OXCART_REDIS_FAMILY": "4"}) == RedisTarget("h", 7, family="4")


def test_a_bad_url_given_in_code_is_invalid_input() -> None:
    with pytest.raises(InvalidInput, match=r"^url has a special character") as caught:
        parse_redis_url("redis://:hunter2/@h")

    assert "hunter2" not in str(caught.value)
