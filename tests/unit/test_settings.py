"""What does each spelling of a setting become, and what is said about one that cannot be used?"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from oxcart.errors import SettingsError
from oxcart.secret import Secret
from oxcart.settings import (
    KEEP_ALL,
    KEEP_NONE,
    KeepPolicy,
    Platform,
    QueueShare,
    RateLimit,
    Settings,
    WorkerSettings,
    encryption_key_bytes,
    inspect,
    known_names,
    load,
)


def only_problem(environ: dict[str, str]) -> str:
    settings, problems, _ = inspect(environ)
    assert settings is None
    assert len(problems) == 1, problems
    return problems[0]


def value_at(settings: Settings, path: str) -> Any:
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value


def test_an_empty_environment_gives_the_defaults() -> None:
    settings, problems, warnings = inspect({})

    assert (problems, warnings) == ((), ())
    assert settings is not None
    assert settings.worker == WorkerSettings()
    assert settings.worker.queues == (QueueShare("agent-jobs", None),)
    assert settings.worker.concurrency == 25
    assert settings.worker.lock_duration_ms == 30_000
    assert settings.worker.stalled_interval_ms == 30_000
    assert settings.worker.max_stalled_count == 3
    assert settings.worker.shutdown_grace_seconds == 8
    assert settings.worker.keep_completed == KeepPolicy(1000, 86_400)
    assert settings.worker.keep_failed == KeepPolicy(5000, 7 * 86_400)
    assert settings.worker.unknown_jobs is None
    assert (settings.worker.only_jobs, settings.worker.except_jobs) == ((), ())
    assert (settings.worker.prefix, settings.worker.exchange, settings.worker.prefetch) == ("bull", "own", True)
    assert (settings.http.port, settings.http.port_is_explicit, settings.http.tokens) == (3001, False, ())
    assert (settings.log.level, settings.log.format) == ("info", None)
    assert settings.data_dir == Path(".oxcart")
    assert settings.platform is Platform.NONE


@pytest.mark.parametrize(
    ("variable", "text", "path", "expected"),
    [
        ("JOB_QUEUE_NAME", "a,b:10", "worker.queues", (QueueShare("a", None), QueueShare("b", 10))),
        ("JOB_QUEUE_NAME", " a , b : 10 \n", "worker.queues", (QueueShare("a", None), QueueShare("b", 10))),
        ("JOB_QUEUE_NAME", "{crm}", "worker.queues", (QueueShare("{crm}", None),)),
        ("JOB_QUEUE_NAME", "", "worker.queues", (QueueShare("agent-jobs", None),)),
        ("JOB_CONCURRENCY", "1", "worker.concurrency", 1),
        ("JOB_CONCURRENCY", " 40\n", "worker.concurrency", 40),
        ("JOB_CONCURRENCY", "  ", "worker.concurrency", 25),
        ("OXCART_LOCK_DURATION_SECONDS", "1.5", "worker.lock_duration_ms", 1500),
        ("OXCART_LOCK_DURATION_SECONDS", "1", "worker.lock_duration_ms", 1000),
        ("OXCART_STALLED_INTERVAL_SECONDS", "60", "worker.stalled_interval_ms", 60_000),
        ("OXCART_MAX_STALLED_COUNT", "0", "worker.max_stalled_count", 0),
        ("OXCART_SHUTDOWN_GRACE_SECONDS", "2.5", "worker.shutdown_grace_seconds", 2.5),
        ("OXCART_KEEP_COMPLETED", "all", "worker.keep_completed", KEEP_ALL),
        ("OXCART_KEEP_COMPLETED", "NONE", "worker.keep_completed", KEEP_NONE),
        ("OXCART_KEEP_COMPLETED", "0", "worker.keep_completed", KEEP_NONE),
        ("OXCART_KEEP_COMPLETED", "500", "worker.keep_completed", KeepPolicy(500, None)),
        ("OXCART_KEEP_COMPLETED", "24h", "worker.keep_completed", KeepPolicy(None, 86_400)),
        ("OXCART_KEEP_COMPLETED", "90s, 10", "worker.keep_completed", KeepPolicy(10, 90)),
        ("OXCART_KEEP_FAILED", "7d", "worker.keep_failed", KeepPolicy(None, 604_800)),
        ("OXCART_UNKNOWN_JOBS", "FAIL", "worker.unknown_jobs", "fail"),
        ("OXCART_UNKNOWN_JOBS", "leave", "worker.unknown_jobs", "leave"),
        ("OXCART_UNKNOWN_JOBS", "return", "worker.unknown_jobs", "leave"),
        ("OXCART_ONLY_JOBS", "crm:sync, greet,greet", "worker.only_jobs", ("crm:sync", "greet")),
        ("OXCART_KOMMO_SKIP", "catalogs, roles", "kommo_skip", ("catalogs", "roles")),
        ("OXCART_EXCEPT_JOBS", "crm:sync", "worker.except_jobs", ("crm:sync",)),
        ("OXCART_RATE_LIMIT", "100/60s", "worker.rate_limit", RateLimit(100, 60_000)),
        ("OXCART_RATE_LIMIT", "5/s", "worker.rate_limit", RateLimit(5, 1000)),
        ("OXCART_RATE_LIMIT", "1/0.5s", "worker.rate_limit", RateLimit(1, 500)),
        ("OXCART_RATE_LIMIT", "2 / 1d", "worker.rate_limit", RateLimit(2, 86_400_000)),
        ("OXCART_METRICS_MINUTES", "1440", "worker.metrics_minutes", 1440),
        ("OXCART_PREFETCH", "off", "worker.prefetch", False),
        ("OXCART_PREFIX", "{bull}", "worker.prefix", "{bull}"),
        ("OXCART_EXCHANGE", "upstream", "worker.exchange", "upstream"),
        ("PORT", "8080", "http.port", 8080),
        ("OXCART_PUBLIC_URL", "https://worker.example.com/", "http.public_url", "https://worker.example.com"),
        ("OXCART_PUBLIC_URL", "worker.example.com", "http.public_url", "https://worker.example.com"),
        ("RENDER_EXTERNAL_URL", "https://x.onrender.com", "http.public_url", "https://x.onrender.com"),
        ("LOG_LEVEL", "WARNING", "log.level", "warn"),
        ("LOG_LEVEL", "trace", "log.level", "debug"),
        ("OXCART_LOG_FORMAT", "human", "log.format", "human"),
        ("OXCART_DATA_DIR", "/var/lib/ox", "data_dir", Path("/var/lib/ox")),
        ("DATABASE_URL", "postgres://u:p@h/d", "database_url", Secret("postgres://u:p@h/d")),
        ("SENTRY_DSN", "https://k@o1.ingest.sentry.io/2", "sentry_dsn", Secret("https://k@o1.ingest.sentry.io/2")),
        ("KOMMO_WEBHOOK_SECRET", "s3cret", "kommo_webhook_secret", Secret("s3cret")),
        ("SUPABASE_URL", "https://x.supabase.co", "supabase_url", "https://x.supabase.co"),
        ("ENCRYPTION_KEY", "ab" * 32, "encryption_key", Secret("ab" * 32)),
    ],
)
def test_a_good_value_is_understood(variable: str, text: str, path: str, expected: object) -> None:
    settings, problems, warnings = inspect({variable: text})

    assert (problems, warnings) == ((), ())
    assert settings is not None
    assert value_at(settings, path) == expected


@pytest.mark.parametrize(
    "text", ["0/s", "5", "/s", "5/", "5/0s", "5/.s", "5/1w", "-1/s", "5/999999999d", "5/1e3s", "٥/s"]
)
def test_a_rate_that_means_nothing_is_a_problem(text: str) -> None:
    assert "must be jobs/time, as in 100/60s or 5/s" in only_problem({"OXCART_RATE_LIMIT": text})


def test_only_and_except_together_are_a_problem() -> None:
    """Whichever won, someone would look for jobs that this worker leaves."""
    assert only_problem({"OXCART_ONLY_JOBS": "a", "OXCART_EXCEPT_JOBS": "b"}) == (
        "Both OXCART_ONLY_JOBS and OXCART_EXCEPT_JOBS (--only and --except) are set; remove one of them."
    )


def test_more_requests_than_kommo_allows_are_for_a_sandbox_only() -> None:
    fast = {"OXCART_KOMMO_REQUESTS_PER_SECOND": "7.5"}

    assert only_problem(fast) == (
        "OXCART_KOMMO_REQUESTS_PER_SECOND is 7.5, and Kommo locks out who sends more than 7; lower it."
    )
    assert load({**fast, "OXCART_KOMMO_BASE_URL": "http://127.0.0.1:1"}).kommo_requests_per_second == 7.5


@pytest.mark.parametrize("variable", ["OXCART_ONLY_JOBS", "OXCART_EXCEPT_JOBS"])
def test_bullmq_s_own_scripts_cannot_choose_names(variable: str) -> None:
    assert "OXCART_EXCHANGE=upstream" in only_problem({variable: "a", "OXCART_EXCHANGE": "upstream"})


def test_two_http_tokens_are_allowed_while_one_is_rotated() -> None:
    settings = load({"OXCART_HTTP_TOKEN": "old-token-0123456789, new-token-0123456789"})

    assert settings.http.tokens == (Secret("old-token-0123456789"), Secret("new-token-0123456789"))


@pytest.mark.parametrize(
    ("variable", "text", "part"),
    [
        ("JOB_QUEUE_NAME", "a,,b", "One of the names is empty"),
        ("JOB_QUEUE_NAME", ",", "One of the names is empty"),
        ("JOB_QUEUE_NAME", "crm:jobs", 'a queue name has no ":"'),
        ("JOB_QUEUE_NAME", "a:0", "a whole number from 1"),
        ("JOB_QUEUE_NAME", "a:1:2", 'a queue name has no ":"'),
        ("JOB_QUEUE_NAME", ":5", "One of the names is empty"),
        ("JOB_QUEUE_NAME", "a,b,a", "It names a twice"),
        ("JOB_QUEUE_NAME", "a\nb", "control character"),
        ("JOB_CONCURRENCY", "many", 'is "many", but must be a whole number from 1 to 10000'),
        ("JOB_CONCURRENCY", "0", "from 1 to 10000"),
        ("JOB_CONCURRENCY", "2.5", "a whole number"),
        ("JOB_CONCURRENCY", "-3", "from 1 to 10000"),
        ("OXCART_LOCK_DURATION_SECONDS", "0.5", "a number from 1 to 3600"),
        ("OXCART_LOCK_DURATION_SECONDS", "30000", "seconds, not milliseconds"),
        ("OXCART_LOCK_DURATION_SECONDS", "nan", "a number from 1"),
        ("OXCART_STALLED_INTERVAL_SECONDS", "0", "a number from 1"),
        ("OXCART_SHUTDOWN_GRACE_SECONDS", "-1", "a number from 0"),
        ("OXCART_KEEP_COMPLETED", "7x", "a count, an age"),
        ("OXCART_KEEP_COMPLETED", "1,2", "a count, an age"),
        ("OXCART_KEEP_FAILED", "0d", "a count, an age"),
        ("OXCART_UNKNOWN_JOBS", "drop", "leave or fail"),
        ("OXCART_ONLY_JOBS", "a,,b", "One of the names is empty"),
        ("OXCART_KOMMO_SKIP", "roles,catalog", 'Nothing of it is named "catalog". Did you mean catalogs?'),
        ("OXCART_KOMMO_SKIP", "xyzzy", 'Nothing of it is named "xyzzy". There are account, pipelines,'),
        ("OXCART_EXCEPT_JOBS", "a\nb", "control character"),
        ("OXCART_PREFETCH", "maybe", "true or false"),
        ("OXCART_PREFIX", "{bull", "one pair"),
        ("OXCART_PREFIX", "a b", "without spaces"),
        ("OXCART_EXCHANGE", "theirs", "own or upstream"),
        ("PORT", "65536", "from 0 to 65535"),
        ("PORT", "http", "from 0 to 65535"),
        ("LOG_LEVEL", "loud", "debug, info, warn or error"),
        ("OXCART_PUBLIC_URL", "ftp://x", "https://"),
        ("RAILWAY_DEPLOYMENT_DRAINING_SECONDS", "soon", "a number from 0"),
    ],
)
def test_a_bad_value_is_one_sentence_with_the_variable_and_what_is_allowed(variable: str, text: str, part: str) -> None:
    problem = only_problem({variable: text})

    assert problem.startswith(f"{variable} is ")
    assert part in problem
    assert "Correct" in problem


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("ENCRYPTION_KEY", "hunter2-hunter2"),
        ("ENCRYPTION_KEY", base64.b64encode(b"x" * 31).decode()),
        ("DATABASE_URL", "mysql://u:hunter2@h/d"),
        ("SENTRY_DSN", "hunter2"),
        ("OXCART_ALERT_URL", "hooks.example.com/hunter2"),
        ("OXCART_HTTP_TOKEN", "hunter2,hunter3,hunter4"),
        ("OXCART_HTTP_TOKEN", "пароль"),
    ],
)
def test_a_bad_secret_is_never_shown(variable: str, text: str) -> None:
    problem = only_problem({variable: text})

    assert problem.startswith(f"{variable} cannot be used: it must be ")
    assert "hunter" not in problem
    assert text not in problem


def test_a_password_inside_a_plain_setting_is_not_shown() -> None:
    problem = only_problem({"JOB_CONCURRENCY": "rediss://default:hunter2@x.upstash.io"})

    assert "hunter2" not in problem


def test_no_repr_of_the_settings_holds_a_secret() -> None:
    settings = load({"DATABASE_URL": "postgres://u:hunter2@h/d", "OXCART_HTTP_TOKEN": "hunter2-hunter2-hunter2"})

    assert "hunter2" not in repr(settings)


def test_all_problems_are_reported_together() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"JOB_CONCURRENCY": "many", "PORT": "x", "ENCRYPTION_KEY": "short", "OXCART_KEEP_FAILED": "?"})

    assert [problem.split()[0] for problem in caught.value.problems] == [
        "JOB_CONCURRENCY",
        "OXCART_KEEP_FAILED",
        "PORT",
        "ENCRYPTION_KEY",
    ]


def test_an_unknown_oxcart_name_warns_with_a_guess() -> None:
    settings, problems, warnings = inspect(
        {"OXCART_LOCK_DURATON_SECONDS": "30", "OXCART_ZEBRA": "1", "OXCART_HTTP_TOKEN_FILE": "", "OTHER": "1"}
    )

    assert settings is not None
    assert problems == ()
    assert warnings == (
        "OXCART_LOCK_DURATON_SECONDS is not a setting. Did you mean OXCART_LOCK_DURATION_SECONDS?",
        "OXCART_ZEBRA is not a setting. docs/settings.md lists them all.",
    )


def test_the_redis_settings_are_known_names_too() -> None:
    assert {"REDIS_URL", "REDIS_URL_FILE", "OXCART_REDIS_FAMILY"} <= known_names()
    assert inspect({"OXCART_REDIS_FAMILY": "4"}).warnings == ()


def test_quotation_marks_around_a_value_are_left_out_with_a_warning() -> None:
    settings, problems, warnings = inspect({"JOB_QUEUE_NAME": '"agent-jobs"'})

    assert settings is not None
    assert problems == ()
    assert settings.worker.queues == (QueueShare("agent-jobs", None),)
    assert warnings[0].startswith("JOB_QUEUE_NAME has quotation marks")


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("ab" * 32 + "\n")

    settings = load({"ENCRYPTION_KEY_FILE": str(tmp_path / "key")})

    assert settings.encryption_key == Secret("ab" * 32)


def test_a_secret_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")

    assert "cannot be read" in only_problem({"ENCRYPTION_KEY_FILE": str(tmp_path / "none")})
    assert "names an empty file" in only_problem({"ENCRYPTION_KEY_FILE": str(tmp_path / "empty")})
    both = {"KOMMO_WEBHOOK_SECRET": "x", "KOMMO_WEBHOOK_SECRET_FILE": str(tmp_path / "none")}
    assert only_problem(both) == (
        "Both KOMMO_WEBHOOK_SECRET and KOMMO_WEBHOOK_SECRET_FILE are set; remove one of them."
    )


@pytest.mark.parametrize(
    ("environ", "platform"),
    [
        ({}, "none"),
        ({"RAILWAY_ENVIRONMENT_NAME": "production"}, "railway"),
        ({"RAILWAY_TOKEN": "for the command line"}, "none"),
        ({"RAILWAY_PROJECT_ID": ""}, "none"),
        ({"RENDER": "true"}, "render"),
        ({"DYNO": "worker.1"}, "heroku"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
    ],
)
def test_the_platform_is_recognised(environ: dict[str, str], platform: str) -> None:
    assert load(environ).platform == platform


@pytest.mark.parametrize(
    ("environ", "grace", "source", "warns"),
    [
        ({}, 8, "the default", False),
        ({"OXCART_SHUTDOWN_GRACE_SECONDS": "0"}, 0, "OXCART_SHUTDOWN_GRACE_SECONDS", False),
        ({"RENDER": "true"}, 25, "the default on Render", False),
        ({"DYNO": "worker.1"}, 25, "the default on Heroku", False),
        ({"DYNO": "worker.1", "OXCART_SHUTDOWN_GRACE_SECONDS": "29"}, 29, "OXCART_SHUTDOWN_GRACE_SECONDS", True),
        ({"KUBERNETES_SERVICE_HOST": "x"}, 25, "the default on Kubernetes", False),
        ({"RAILWAY_SERVICE_ID": "x"}, 0, "RAILWAY_DEPLOYMENT_DRAINING_SECONDS is not set", True),
        ({"RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "30"}, 27, "RAILWAY_DEPLOYMENT_DRAINING_SECONDS - 3", False),
        ({"RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "2"}, 0, "RAILWAY_DEPLOYMENT_DRAINING_SECONDS - 3", True),
        ({"RAILWAY_SERVICE_ID": "x", "OXCART_SHUTDOWN_GRACE_SECONDS": "5"}, 5, "OXCART_SHUTDOWN_GRACE_SECONDS", True),
        (
            {"RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "30", "OXCART_SHUTDOWN_GRACE_SECONDS": "10"},
            10,
            "OXCART_SHUTDOWN_GRACE_SECONDS",
            False,
        ),
        (
            {"RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "10", "OXCART_SHUTDOWN_GRACE_SECONDS": "10"},
            10,
            "OXCART_SHUTDOWN_GRACE_SECONDS",
            True,
        ),
    ],
)
def test_the_grace_follows_the_platform(environ: dict[str, str], grace: float, source: str, *, warns: bool) -> None:
    """A grace longer than the platform's patience ends in SIGKILL, which costs every running job a stall credit."""
    settings, _, warnings = inspect(environ)

    assert settings is not None
    assert (settings.worker.shutdown_grace_seconds, settings.worker.grace_source) == (grace, source)
    assert bool(warnings) is warns


@pytest.mark.parametrize(
    ("environ", "part"),
    [
        ({"JOB_QUEUE_NAME": "a,b:10", "JOB_CONCURRENCY": "5"}, "gives b 10 slots, but JOB_CONCURRENCY is 5"),
        ({"RENDER": "1", "OXCART_LOCK_DURATION_SECONDS": "2"}, "30 is a good value"),
        ({"OXCART_HTTP_TOKEN": "abc"}, "openssl rand -hex 32"),
        ({"DATABASE_URL": "postgresql://postgres:p@db.abc.supabase.co:5432/postgres"}, "Session pooler"),
    ],
)
def test_settings_that_are_odd_together_warn(environ: dict[str, str], part: str) -> None:
    settings, problems, warnings = inspect(environ)

    assert settings is not None
    assert problems == ()
    assert len(warnings) == 1
    assert part in warnings[0]


def test_a_port_that_someone_chose_is_explicit() -> None:
    assert load({"PORT": "3001"}).http.port_is_explicit
    assert not load({"PORT": ""}).http.port_is_explicit


@pytest.mark.parametrize("text", ["00" * 32, base64.b64encode(b"\xfb" * 32).decode(), "-_" * 21 + "8="])
def test_an_encryption_key_is_32_bytes_in_hex_or_base64(text: str) -> None:
    settings = load({"ENCRYPTION_KEY": text})

    assert settings.encryption_key is not None
    assert len(encryption_key_bytes(settings.encryption_key)) == 32
