"""Which settings are there? Each knob is one field: its variable, form, default and meaning (docs/settings.md).

Plain dataclasses and not pydantic-settings: an idle worker need not import pydantic (memory is a goal), and a problem
reads as one sentence of ours with the cure.
"""
# ruff: noqa: RUF009 - knob() is dataclasses.field() with a declaration; each field gets its own.

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oxcart.names import UnknownJobs
from oxcart.secret import Secret
from oxcart.settings.knobs import knob
from oxcart.settings.mirror import MirrorSettings
from oxcart.settings.platform import Platform
from oxcart.settings.values import (
    BOOLEAN,
    CA_FILE,
    DATABASE_URL,
    ENCRYPTION_KEY,
    ENCRYPTION_KEYS,
    HTTP_TOKENS,
    KEEP,
    LOG_LEVEL,
    MOST_SLOTS,
    NAMES,
    PATH,
    PREFIX,
    PUBLIC_URL,
    QUEUES,
    RATE,
    SECRET,
    SECRET_URL,
    SQL_NAME,
    TEXT,
    WORKER_NAME,
    KeepPolicy,
    QueueShare,
    RateLimit,
    one_of,
    seconds,
    seconds_as_ms,
    whole,
)

LogLevel = Literal["debug", "info", "warn", "error"]

DATABASE_URL_ADVICE = (
    "Set DATABASE_URL to the SQL database of the CRM data. SUPABASE_URL alone is not enough, it is an HTTP address: "
    'in Supabase open the project, press Connect, copy the "Session pooler" connection string '
    "(postgresql://postgres.REF:PASSWORD@…pooler.supabase.com:5432/postgres) and put the database password in."
)


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Where Redis is, as it was written; connection/target.py makes a target of it."""

    upstash_url: Secret | None = knob(
        "UPSTASH_REDIS_REST_URL",
        SECRET,
        "The REST URL of the Upstash database; the host of the TCP connection is taken from it. Wins over REDIS_URL.",
    )
    upstash_token: Secret | None = knob(
        "UPSTASH_REDIS_REST_TOKEN", SECRET, "The REST token of the same database, used as the password."
    )
    url: Secret | None = knob("REDIS_URL", SECRET, "redis://, rediss:// (TLS) or unix://, where the pair is not set.")
    host: str | None = knob("REDISHOST", TEXT, "The host, where neither the pair nor REDIS_URL is set.")
    port: int = knob("REDISPORT", whole(1, 65535), "Goes with REDISHOST.", default="6379")
    user: str | None = knob("REDISUSER", TEXT, "Goes with REDISHOST.")
    password: Secret | None = knob("REDISPASSWORD", SECRET, "Goes with REDISHOST.")
    port_override: int | None = knob(
        "OXCART_REDIS_PORT",
        whole(1, 65535),
        "The TCP port where the address names none: of the Upstash pair (6379), or of a REDIS_URL without a port.",
    )
    connect_timeout_seconds: float = knob(
        "OXCART_REDIS_CONNECT_TIMEOUT_SECONDS",
        seconds(0.1, 600),
        "How long name, TCP, TLS and login may take together.",
        default="30",
        unit="s",
    )
    family: Literal["auto", "4", "6"] = knob(
        "OXCART_REDIS_FAMILY",
        one_of("auto", "4", "6", also={"0": "auto", "ipv4": "4", "ipv6": "6"}),
        "Which IP version to use; auto tries both.",
        default="auto",
    )
    tls_verify: bool = knob(
        "OXCART_REDIS_TLS_VERIFY",
        BOOLEAN,
        "false accepts any certificate: anyone between us and Redis can then read the password. "
        "OXCART_REDIS_TLS_CA_FILE is the cure for a private certificate.",
        default="true",
    )
    tls_ca_file: str | None = knob(
        "OXCART_REDIS_TLS_CA_FILE",
        CA_FILE,
        "CA certificates to trust for Redis, where the system's do not do: a file, or their text.",
    )


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What the worker runs and how it recovers. `grace_source` says where shutdown_grace_seconds comes from."""

    queues: tuple[QueueShare, ...] = knob(
        "JOB_QUEUE_NAME",
        QUEUES,
        "The queues to serve. `a,b:10` serves two; b takes at most 10 slots of JOB_CONCURRENCY.",
        default="agent-jobs",
    )
    concurrency: int = knob(
        "JOB_CONCURRENCY", whole(1, MOST_SLOTS), "How many jobs this process runs at once.", default="25", unit="jobs"
    )
    lock_duration_ms: int = knob(
        "OXCART_LOCK_DURATION_SECONDS",
        seconds_as_ms(1, 3600),
        "How long a claim holds without a renewal; it is renewed every third of this.",
        default="30",
        unit="s",
    )
    stalled_interval_ms: int = knob(
        "OXCART_STALLED_INTERVAL_SECONDS",
        seconds_as_ms(1, 3600),
        "How often jobs of vanished workers are looked for.",
        default="30",
        unit="s",
    )
    max_stalled_count: int = knob(
        "OXCART_MAX_STALLED_COUNT",
        whole(0, 1000),
        "How often a job may lose its worker. One more time, and if it was alone in that process, it fails.",
        default="3",
        unit="times",
    )
    max_started_attempts: int = knob(
        "OXCART_MAX_STARTED_ATTEMPTS",
        whole(0, 1_000_000),
        "How often a job may be started, interruptions and stalls included; 0: no limit. Node's maxStartedAttempts.",
        default="0",
        unit="times",
    )
    rate_limit: RateLimit | None = knob(
        "OXCART_RATE_LIMIT",
        RATE,
        "How many jobs of each queue may start in a time, counted together with other workers that have such a limit: "
        "Node's `limiter`. `oxcart limit` sets one for all workers.",
    )
    metrics_minutes: int = knob(
        "OXCART_METRICS_MINUTES",
        whole(0, 43_200),
        "For how many minutes BullMQ's own metrics (`metrics:completed`, `metrics:failed`) are kept, which "
        "bull-board's charts read: 1440 is a day. 0 writes none, as Node's workers without `metrics.maxDataPoints`.",
        default="0",
        unit="min",
    )
    worker_name: str = knob(
        "OXCART_WORKER_NAME",
        WORKER_NAME,
        "What its name begins with, in `processedBy` and lists of workers; eight digits follow.",
        default="oxcart",
    )
    shutdown_grace_seconds: float = knob(
        "OXCART_SHUTDOWN_GRACE_SECONDS",
        seconds(0, 3600),
        "How long running jobs may go on after SIGTERM. Unset: on Railway RAILWAY_DEPLOYMENT_DRAINING_SECONDS - 3 "
        "(0 without that variable), on Kubernetes, Render and Heroku 25, else 8.",
        without=8.0,
        unit="s",
    )
    grace_source: str = "the default"
    keep_completed: KeepPolicy = knob(
        "OXCART_KEEP_COMPLETED",
        KEEP,
        "Which completed jobs stay in Redis when the job itself says nothing: a count, an age, both, `all` or `none`.",
        default="1000,24h",
    )
    keep_failed: KeepPolicy = knob(
        "OXCART_KEEP_FAILED", KEEP, "The same for failed jobs, the dead letters.", default="5000,7d"
    )
    unknown_jobs: UnknownJobs | None = knob(
        "OXCART_UNKNOWN_JOBS",
        one_of("leave", "fail", also={"return": "leave"}),
        "Jobs whose name has no handler here: `leave` leaves them in the queue, untouched, for a worker that has one; "
        "`fail` makes them dead letters. Unset: fail on the embedded server, else leave.",
    )
    only_jobs: tuple[str, ...] = knob(
        "OXCART_ONLY_JOBS",
        NAMES,
        "Run jobs of these names only, and leave the others to other workers of the same queue.",
        without=(),
    )
    except_jobs: tuple[str, ...] = knob(
        "OXCART_EXCEPT_JOBS",
        NAMES,
        "Leave jobs of these names to other workers of the same queue. Not together with OXCART_ONLY_JOBS.",
        without=(),
    )
    prefetch: bool = knob(
        "OXCART_PREFETCH",
        BOOLEAN,
        "Whether jobs are claimed a little ahead: short ones before a slot is free, and the next one in the round trip "
        "that wakes an idle worker.",
        default="true",
    )
    prefix: str = knob(
        "OXCART_PREFIX",
        PREFIX,
        "BullMQ's key prefix, the same as the producers'. `{bull}` keeps all keys in one slot of a cluster.",
        default="bull",
    )
    exchange: Literal["own", "upstream"] = knob(
        "OXCART_EXCHANGE",
        one_of("own", "upstream"),
        "own: many jobs a round trip by our script; upstream: only BullMQ's scripts, slower, to rule ours out.",
        default="own",
    )


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """`port_is_explicit`: someone chose the port, so another one will not do."""

    port: int = knob("PORT", whole(0, 65535), "The HTTP port; 0 takes any free one.", default="3001")
    port_is_explicit: bool = False
    tokens: tuple[Secret, ...] = knob(
        "OXCART_HTTP_TOKEN",
        HTTP_TOKENS,
        "Opens what /health, /metrics and the webhooks do not; two with a comma between while one is rotated.",
        without=(),
        secret=True,
    )
    board: bool = knob(
        "OXCART_BOARD", BOOLEAN, "Whether the worker serves the board at /board and its JSON at /api.", default="true"
    )
    board_read_tokens: tuple[Secret, ...] = knob(
        "OXCART_BOARD_READ_TOKEN",
        HTTP_TOKENS,
        "Opens the board for looking only; two with a comma between while one is rotated.",
        without=(),
        secret=True,
    )
    board_veil: bool = knob(
        "OXCART_BOARD_VEIL",
        BOOLEAN,
        "Whether the board hides payload fields whose names look secret, until a session lifts the veil for itself.",
        default="true",
    )
    public_url: str | None = knob(
        ("OXCART_PUBLIC_URL", "RAILWAY_PUBLIC_DOMAIN", "RENDER_EXTERNAL_URL"),
        PUBLIC_URL,
        "Where the outside world reaches this worker, for webhooks and links.",
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    level: LogLevel = knob(
        "LOG_LEVEL",
        LOG_LEVEL,
        "The least level that is written.",
        default="info",
    )
    format: Literal["json", "human"] | None = knob(
        "OXCART_LOG_FORMAT", one_of("json", "human"), "Unset: human on a terminal, else json."
    )
    debug: bool = knob(
        "OXCART_DEBUG",
        BOOLEAN,
        "Whether a command that meets a bug shows where. LOG_LEVEL=debug does the same.",
        default="false",
    )


@dataclass(frozen=True, slots=True)
class Settings(MirrorSettings):
    """Everything but Redis. Parts receive their own piece, never the whole."""

    worker: WorkerSettings
    http: HttpSettings
    log: LogSettings
    platform: Platform
    processes: int = knob(
        "OXCART_PROCESSES",
        whole(1, 256),
        "How many worker processes `oxcart run` starts, each with JOB_CONCURRENCY slots (docs/scaling.md). "
        "One per processor is enough.",
        default="1",
        unit="processes",
    )
    encryption_key: Secret | None = knob(
        "ENCRYPTION_KEY",
        ENCRYPTION_KEY,
        "Encrypts the CRM's tokens at rest: 32 bytes in base64, or 64 hex digits.",
        secret=True,
    )
    database_url: Secret | None = knob(
        "DATABASE_URL", DATABASE_URL, "The SQL database of the CRM data; needed once Kommo is used.", secret=True
    )
    database_schema: str | None = knob(
        "OXCART_DATABASE_SCHEMA",
        SQL_NAME,
        "The PostgreSQL schema of the CRM tables; it must exist. Unset: the user's own, mostly `public`.",
    )
    old_encryption_keys: tuple[Secret, ...] = knob(
        "OXCART_ENCRYPTION_KEYS_OLD",
        ENCRYPTION_KEYS,
        "Earlier values of ENCRYPTION_KEY with commas between: they open what was written then, and write nothing.",
        without=(),
        secret=True,
    )
    supabase_url: str | None = knob(
        "SUPABASE_URL", TEXT, "Not used; with it and no DATABASE_URL the error says where to copy the right string."
    )
    kommo_webhook_secret: Secret | None = knob(
        "KOMMO_WEBHOOK_SECRET",
        SECRET,
        "Checks the signature of the platform's `kommo:webhook` jobs. Our own webhooks make their secret themselves.",
    )
    sentry_dsn: Secret | None = knob("SENTRY_DSN", SECRET_URL, "Where failures are reported.", secret=True)
    alert_url: Secret | None = knob(
        "OXCART_ALERT_URL",
        SECRET_URL,
        "Receives a POST when the state changes: Redis away for a minute, Redis back, … (docs/alerts.md)",
        secret=True,
    )
    alert_failed_jobs: int = knob(
        "OXCART_ALERT_FAILED_JOBS",
        whole(1, 1_000_000),
        "So many failed jobs within five minutes are an alert.",
        default="10",
        unit="jobs",
    )
    alert_wait_seconds: float = knob(
        "OXCART_ALERT_WAIT_SECONDS",
        seconds(300, 30 * 86_400),
        "Jobs that wait for so long are an alert; five minutes are the least that counts as long.",
        default="300",
        unit="s",
    )
    alert_paused_seconds: float = knob(
        "OXCART_ALERT_PAUSED_SECONDS",
        seconds(0, 30 * 86_400),
        "A queue that is paused for so long is an alert.",
        default="900",
        unit="s",
    )
    commands_per_month: int | None = knob(
        "OXCART_COMMANDS_PER_MONTH",
        whole(1, 10**15),
        "What the Redis plan includes (Upstash Free: 500000): an alert comes when four fifths of it will be needed.",
        unit="commands",
    )
    release: str | None = knob(
        ("RAILWAY_GIT_COMMIT_SHA", "OXCART_RELEASE"),
        TEXT,
        "The deployed commit, shown by /health. Railway sets the first for GitHub deploys; set the second for others.",
    )
    railway_draining_seconds: float | None = knob(
        "RAILWAY_DEPLOYMENT_DRAINING_SECONDS",
        seconds(0, 86400),
        "How long Railway waits between SIGTERM and SIGKILL. Railway's own default is 0: set it to 30 or more.",
        unit="s",
    )
    data_dir: Path = knob(
        "OXCART_DATA_DIR", PATH, "Where the embedded server keeps its data when no Redis is set.", default=".oxcart"
    )
