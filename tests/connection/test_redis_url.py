"""What does each spelling of REDIS_URL lead to, and what is said about one that leads nowhere?"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oxcart.connection.target import RedisTarget, TargetReport, resolve_target
from oxcart.secret import Secret


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


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", RedisTarget("h")),
        ("redis://H.Example:7/", RedisTarget("h.example", 7)),
        ("rediss://:s%40cret@h:1/3", RedisTarget("h", 1, 3, password=Secret("s@cret"), tls=True)),
        ("redis://u:p+%2B%25@h", RedisTarget("h", username="u", password=Secret("p++%"))),
        ("valkeys://h", RedisTarget("h", tls=True)),
        ("redis://[::1]:7000/1", RedisTarget("::1", 7000, 1)),
        ("redis://h?db=4", RedisTarget("h", db=4)),
        ("redis://h?family=0", RedisTarget("h")),
        ("redis://h?family=6", RedisTarget("h", family="6")),
        ("redis://h?tls=true", RedisTarget("h", tls=True)),
        ("rediss://h?ssl_cert_reqs=required", RedisTarget("h", tls=True)),
        ("rediss://h?ssl_cert_reqs=CERT_REQUIRED", RedisTarget("h", tls=True)),
        ("redis://h?ssl_cert_reqs=none", RedisTarget("h", tls_verify=False)),
        ("redis://h?connectTimeout=5000", RedisTarget("h", connect_timeout_seconds=5)),
        ("redis://h?socket_connect_timeout=5", RedisTarget("h", connect_timeout_seconds=5)),
        ("redis://h?password=x&username=u", RedisTarget("h", username="u", password=Secret("x"))),
        ("unix:///run/redis.sock", RedisTarget("", 0, unix_path="/run/redis.sock")),
        ("unix://:pw@/run/r.sock?db=2", RedisTarget("", 0, 2, password=Secret("pw"), unix_path="/run/r.sock")),
        ("redis://u:p@h/0?client_name=a@b", RedisTarget("h", username="u", password=Secret("p"))),
    ],
)
def test_a_redis_url_is_understood(url: str, expected: RedisTarget) -> None:
    report = redis_url(url)

    assert found(report) == expected
    assert report.sources == ("REDIS_URL",)
    assert report.warnings == ()


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("https://x.upstash.io", "use the TCP URL (rediss://"),
        ("rediss://default:hunter2@https://x.upstash.io:6379", "remove that"),
        ("rediss://default:p@ss/hunter2#rd@h", "percent-encode"),
        ("rediss://default:hunter2/x@h", "percent-encode"),
        ("rediss://default:hunter2#x@h", "percent-encode"),
        ("rediss://default:hunter2?x@h", "percent-encode"),
        ("rediss://default:p@s?hunter2@h", "percent-encode"),
        ("redis://h:6379#hunter2", "percent-encode"),
        ("redis://default:hunter2", "its port is no number"),
        ("redis://h:70000", "its port is no number"),
        ("redis://h:0", "its port is no number"),
        ("redis://:hunter2@:6379", "no host is named"),
        ("redis://", "no host is named"),
        ("redis://h/hunter2", "no database number"),
        ("redis://h..hunter2", "no valid name"),
        ("redis://hunter2 x", "a space or a line break"),
        ("mysql://hunter2@h", "not for Redis"),
        ("hunter2.upstash.io:6379", "is no URL"),
        ("${{Redis.hunter2}}", "not filled in"),
        ("redis://[::1", "neither HOST:PORT"),
        ("unix://run/redis.sock", "absolute path"),
        ("redis://h?family=5", "auto, 4 or 6"),
        ("rediss://h?ssl_ca_certs=/nowhere/ca.pem", "cannot be read"),
    ],
)
def test_a_redis_url_that_cannot_be_used_is_diagnosed_without_repeating_it(url: str, part: str) -> None:
    """Whatever a broken URL shows may be a piece of the password."""
    problem = only_problem(redis_url(url))

    assert problem.startswith("REDIS_URL ")
    assert part in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("rediss://default:p@ss@h", "an @ in its password"),
        ("'redis://h'", "quotation marks"),
        ("REDIS_URL=redis://h", "a whole line of an env file"),
        ("redis-cli --tls -u redis://h:6379", "a whole redis-cli command"),
        ("redis://hunter2@h", "a password alone is written :PASSWORD@HOST"),
        ("redis://x.upstash.io", "rediss:// is used"),
        ("rediss://x.upstash.io:443", "6379 is used"),
        ("rediss://x.upstash.io/1", "0 is used"),
        ("redis://h?shards=2", "the option shards, which has no meaning here"),
    ],
)
def test_a_redis_url_with_a_common_mistake_works_with_a_warning(url: str, part: str) -> None:
    report = redis_url(url)

    target = found(report)
    assert len(report.warnings) == 1
    assert part in report.warnings[0]
    assert "hunter2" not in report.warnings[0] + target.masked_url
    if "upstash" in url:
        assert (target.tls, target.port, target.db) == (True, 6379, 0)


def test_the_options_of_other_clients_are_ignored_by_name() -> None:
    report = redis_url("redis://h?enableReadyCheck=false&maxRetriesPerRequest=null&hunter2%20=x")

    assert report.ignored == (
        "REDIS_URL?enableReadyCheck",
        "REDIS_URL?maxRetriesPerRequest",
        "REDIS_URL?(unreadable)",
    )


@pytest.mark.parametrize(
    "report",
    [
        redis_url("rediss://h", OXCART_REDIS_TLS_VERIFY="false"),
        redis_url("rediss://h?ssl_cert_reqs=none"),
        redis_url("rediss://h?ssl_cert_reqs=CERT_NONE"),
        redis_url("rediss://h?rejectUnauthorized=false"),
    ],
)
def test_switching_verification_off_is_possible_and_warns(report: TargetReport) -> None:
    assert not found(report).tls_verify
    assert "OXCART_REDIS_TLS_CA_FILE" in report.warnings[0]


def test_our_variables_win_over_the_options_of_the_url(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("-----BEGIN CERTIFICATE-----\n")

    target = found(
        redis_url(
            "rediss://h?ssl_cert_reqs=none&family=4&connectTimeout=1000",
            OXCART_REDIS_TLS_VERIFY="true",
            OXCART_REDIS_FAMILY="6",
            OXCART_REDIS_CONNECT_TIMEOUT_SECONDS="12",
            OXCART_REDIS_TLS_CA_FILE=str(ca_file),
        )
    )

    assert target == RedisTarget("h", tls=True, family="6", connect_timeout_seconds=12, tls_ca_file=str(ca_file))


def test_a_bad_option_is_a_problem_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing")
    report = redis_url(
        "redis://h",
        OXCART_REDIS_FAMILY="5",
        OXCART_REDIS_TLS_VERIFY="maybe",
        OXCART_REDIS_TLS_CA_FILE=str(tmp_path / "no.pem"),
        OXCART_REDIS_CONNECT_TIMEOUT_SECONDS="0",
        OXCART_REDIS_PORT="x",
    )

    assert report.target is None
    assert sorted(problem.split()[0] for problem in report.problems) == [
        "OXCART_REDIS_CONNECT_TIMEOUT_SECONDS",
        "OXCART_REDIS_FAMILY",
        "OXCART_REDIS_PORT",
        "OXCART_REDIS_TLS_CA_FILE",
        "OXCART_REDIS_TLS_VERIFY",
    ]


def test_oxcart_redis_port_fills_in_a_missing_port_only() -> None:
    report = redis_url("redis://h:1", OXCART_REDIS_PORT="2")

    assert found(report).port == 1
    assert report.ignored == ("OXCART_REDIS_PORT",)
    assert "names a port itself" in report.warnings[0]
    assert found(redis_url("redis://h", OXCART_REDIS_PORT="2")).port == 2


@given(st.text(max_size=80))
def test_no_text_at_all_makes_the_parser_fail_otherwise(text: str) -> None:
    """Settings are read before anything can report an error, so the parser itself may not raise."""
    for environ in ({"REDIS_URL": text}, {"REDIS_URL": f"rediss://{text}"}, {"UPSTASH_REDIS_REST_URL": text}):
        report = resolve_target(environ)
        assert report.target is None or report.problems == ()


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_any_password_survives_a_percent_encoded_url(password: str) -> None:
    target = found(redis_url(f"rediss://default:{quote(password, safe='')}@h:1"))

    assert target.current_password() == Secret(password)


@pytest.mark.parametrize(
    "url", ["\ufeffredis://h:6379", "redis://h:6379\ufeff", "re\u200bdis://h:6379", "\ufeff'redis://h:6379'"]
)
def test_what_cannot_be_seen_is_left_out_and_named(url: str) -> None:
    report = resolve_target({"REDIS_URL": url})

    assert report.problems == ()
    assert report.target is not None
    assert (report.target.host, report.target.port) == ("h", 6379)
    assert any("cannot be seen, a byte order mark (BOM) perhaps" in warning for warning in report.warnings)
