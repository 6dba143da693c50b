"""Is the environment fit to be used? Settings, the address of Redis, and the shape of the token."""

from __future__ import annotations

import re
from pathlib import Path

from oxcart.checks import BAD_SETTINGS, Check, Finding, NotApplicable, failed, ok, warning
from oxcart.connection.embedded import embedded_server
from oxcart.connection.target import resolve_target
from oxcart.connection.upstash import TOKEN_NAME
from oxcart.doctor import upstash
from oxcart.doctor.visit import Visit
from oxcart.language import ENGLISH, speaking, tr

GROUP = "environment"

# Our own sentences (connection/redis_url.py, target.py, upstash.py), which name a mistake but carry no code; a test
# makes each mistake and sees that its code comes out.
CODES = (
    ("ENV_NONE", r"No Redis is set"),
    ("ENV_HALF", r"the two belong together"),
    ("ENV_REFERENCE", r"holds a reference"),
    ("ENV_SWAPPED", r"are swapped"),
    ("UPSTASH_TOKEN_DAMAGED", rf"{TOKEN_NAME} is masked"),
    ("URL_SCHEME", r"is an HTTP address|has a scheme|is no URL|unknown scheme|address of the console"),
    ("URL_NEST", r"has https:// inside"),
    ("URL_ESCAPE", r"special character in its password|has a # in it|escape"),
)
_FORM = "It has the form rediss://default:PASSWORD@HOST:6379, redis:// without TLS."
_COPY = "copy both variables from the database page of the Upstash console (Connect, REST)."
CURES = {
    "ENV_NONE": "Set UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN, or REDIS_URL, in this service's variables.",
    "ENV_HALF": f"Set both variables of the pair, or neither: {_COPY}",
    "ENV_REFERENCE": "Correct the name inside ${…}: it names a variable or a service that does not exist here.",
    "ENV_SWAPPED": f"Exchange the two values, or {_COPY}",
    "UPSTASH_TOKEN_DAMAGED": "Use the copy button in the Upstash console: it copies the token, not the dots.",
    "URL_SCHEME": f"Use the TCP URL of the database, or the pair of Upstash variables in place of REDIS_URL. {_FORM}",
    "URL_NEST": "Remove https:// from inside the URL: only the host stands after the @.",
    "URL_ESCAPE": "Percent-encode the password: @ is %40, : is %3A, / is %2F, # is %23, ? is %3F, % is %25.",
    "URL_BAD": f"Copy the address again from where the provider shows it. {_FORM}",
}


async def settings(visit: Visit) -> Finding:
    problems = visit.found.problems
    # How a deploy ends has a check of its own.
    warnings = [text for text in visit.found.warnings if "RAILWAY_DEPLOYMENT_DRAINING_SECONDS" not in text]
    if problems:
        more = tr(" (and {count} more: oxcart env)", count=len(problems) - 1) if len(problems) > 1 else ""
        return failed("SETTINGS_PROBLEM", f"{problems[0]}{more}", " ".join(problems), evidence=" ".join(problems))
    if warnings:
        return warning(
            "SETTINGS_WARNING", warnings[0], " ".join(warnings), evidence=tr("{count} to look at", count=len(warnings))
        )
    queues, concurrency = ", ".join(visit.queue_names), visit.settings.worker.concurrency
    if visit.settings.processes > 1:
        return ok(
            tr(
                "queue {names}, concurrency {concurrency} in each of {processes} processes",
                names=queues,
                concurrency=concurrency,
                processes=visit.settings.processes,
            )
        )
    return ok(tr("queue {names}, concurrency {concurrency}", names=queues, concurrency=concurrency))


async def redis_url(visit: Visit) -> Finding:
    report = visit.report
    if report.problems:
        problem = report.problems[0]
        code = _code_of(visit)
        return failed(code, problem, tr(CURES[code]), evidence=" ".join(report.problems))
    if visit.target is None:
        return ok(tr("none is set: the embedded server is used"))
    sources = tr(" and ").join(report.sources)
    ignored = tr("; ignored: {ignored}", ignored=", ".join(report.ignored)) if report.ignored else ""
    shown = tr("{url} from {sources}{ignored}", url=visit.target.masked_url, sources=sources, ignored=ignored)
    about_url = [
        text
        for text in report.warnings
        if not text.startswith(f"{TOKEN_NAME} ") and "OXCART_REDIS_TLS_VERIFY" not in text
    ]
    if about_url:
        return warning("URL_WARNING", about_url[0], " ".join(about_url), evidence=shown)
    return ok(shown)


def _code_of(visit: Visit) -> str:
    """The sentences are told apart by their English words."""
    with speaking(ENGLISH):
        problem = resolve_target(visit.environ).problems[0]
    return next((code for code, pattern in CODES if re.search(pattern, problem)), "URL_BAD")


async def token(visit: Visit) -> Finding:
    if not visit.is_pair:
        raise NotApplicable(tr("{name} is not used", name=TOKEN_NAME))
    shape = visit.token_shape
    if shape.needs_stripping:
        row = next(row for row in upstash.ROWS if row.code == "UPSTASH_TOKEN_DAMAGED")
        told = " ".join(text for text in visit.report.warnings if text.startswith(f"{TOKEN_NAME} "))
        return failed(
            row.code,
            tr(row.summary),
            f"{told} {tr(row.action)}",
            evidence=tr("{told} Without that: {shape}", told=told, shape=shape),
        )
    return ok(str(shape))


async def embedded(visit: Visit) -> Finding:
    if visit.target is not None:
        raise NotApplicable(tr("a Redis is set"))
    found = await visit.stack.enter_async_context(embedded_server(Path(visit.settings.data_dir)))
    visit.target = found.target
    return ok(
        tr(
            "Valkey {version} on {host}:{port}, data in {folder}",
            version=found.version,
            host=found.host,
            port=found.port,
            folder=visit.settings.data_dir,
        )
    )


_NO_ADDRESS = "Without an address no job is ever fetched."

CHECKS: tuple[Check[Visit], ...] = (
    Check(
        "settings",
        GROUP,
        "the settings can be used",
        settings,
        "The worker refuses to start with settings that it cannot use.",
        exit_code=BAD_SETTINGS,
    ),
    Check("redis-url", GROUP, "the address of Redis can be read", redis_url, _NO_ADDRESS, exit_code=BAD_SETTINGS),
    Check(
        "token",
        GROUP,
        "the Upstash token has the right shape",
        token,
        "Web apps in Node take the variable literally, so their jobs never reach the queue.",
        needs=("redis-url",),
        exit_code=BAD_SETTINGS,
    ),
    Check(
        "embedded",
        GROUP,
        "the embedded server runs",
        embedded,
        "Without a Redis of your own, jobs are kept in the embedded server.",
        needs=("redis-url", "settings"),
        deadline_seconds=60,
        exit_code=BAD_SETTINGS,
    ),
)
