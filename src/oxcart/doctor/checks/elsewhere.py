"""What do others say? The REST side of an Upstash database, and the worker that is running."""

from __future__ import annotations

import asyncio
import http.client
import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from oxcart.checks import Check, Finding, NotApplicable, Unanswerable, failed, ok, warning
from oxcart.connection.blocking import BlockingLink
from oxcart.connection.failures import scrub
from oxcart.connection.providers import Provider
from oxcart.connection.redis_url import Notes, unwrap
from oxcart.connection.sockets import tls_context
from oxcart.connection.target import RedisTarget
from oxcart.connection.upstash import TOKEN_NAME, URL_NAME
from oxcart.doctor import reach
from oxcart.doctor.aside import in_thread
from oxcart.doctor.fetch import HttpAnswer, fetch
from oxcart.doctor.upstash import Evidence, Rest, diagnose
from oxcart.doctor.visit import Visit
from oxcart.errors import InvalidInput, OxcartError
from oxcart.language import tr

_PROBE_SECONDS = 4.0
_WORKER_SECONDS = 5.0


def rest_url(visit: Visit) -> str:
    """Where the REST API is: as the variable says, port included; plain HTTP only on this machine."""
    target = visit.known_target
    host = f"[{target.host}]" if ":" in target.host else target.host
    given = unwrap(visit.environ.get(URL_NAME, ""), URL_NAME, Notes())
    parts = urlsplit(given if "//" in given else f"//{given}", scheme="https")
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in {"http", "https"}:  # the TCP URL was pasted: its port is none of the REST API
        return f"https://{host}"
    scheme = "http" if parts.scheme == "http" and target.is_loopback else "https"
    return f"{scheme}://{host}" + (f":{port}" if port is not None else "")


def _ask_rest(url: str, token: str, target: RedisTarget, command: list[str]) -> HttpAnswer:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    context = tls_context(replace(target, tls=True))
    body = json.dumps(command).encode()
    return fetch(url, method="POST", headers=headers, body=body, context=context, seconds=_PROBE_SECONDS)


async def gather_evidence(visit: Visit) -> tuple[Evidence, str]:
    """All probes at once; and what REST said or why it could not be asked, without the token."""
    target = visit.known_target
    secret = target.current_password()
    token = secret.reveal() if secret else ""
    (rest, said, whoami), read_only, control = await asyncio.gather(
        _rest(rest_url(visit), token, target), _read_only_works(visit), _control_resolves(visit)
    )
    evidence = Evidence(
        token=visit.token_shape,
        rest=rest,
        rest_said=said,
        whoami=whoami,
        tcp=visit.connection_failure,
        tcp_answered=visit.tcp_answered,
        read_only_accepted=read_only,
        host_resolves=visit.host_resolves,
        control_resolves=control,
        is_ip_literal=reach.is_ip_literal(target.host),
    )
    return evidence, scrub(said, target)


async def _rest(url: str, token: str, target: RedisTarget) -> tuple[Rest, str, str | None]:
    try:
        async with asyncio.timeout(_PROBE_SECONDS + 1):
            answer = await in_thread("rest", lambda: _ask_rest(url, token, target, ["PING"]))
            if answer.status != 200:
                return _kind_of(answer.status), _words(answer), None
            said = await in_thread("rest", lambda: _ask_rest(url, token, target, ["ACL", "WHOAMI"]))
    except (OSError, http.client.HTTPException) as error:
        return Rest.SILENT, f"{type(error).__name__}: {error}", None
    except ValueError as error:  # no header can hold this token, and the error may repeat it
        return Rest.SILENT, type(error).__name__, None
    content = said.json()
    whoami = content.get("result") if said.status == 200 and isinstance(content, dict) else None
    return Rest.ACCEPTED, _words(said) if said.status != 200 else "", whoami if isinstance(whoami, str) else None


def _kind_of(status: int) -> Rest:
    if status == 401:
        return Rest.UNAUTHORIZED
    return Rest.FAILING if status >= 500 else Rest.OTHER


def _words(answer: HttpAnswer) -> str:
    content: Any = answer.json()
    told = content.get("error") if isinstance(content, dict) else None
    return f"{answer.status} {str(told)[:200]}" if told else str(answer.status)


async def _read_only_works(visit: Visit) -> bool:
    """Only asked after a refused login: does the token belong to Upstash's read-only user?"""
    failure = visit.connection_failure
    if failure is None or failure.code != "AUTH_BAD":
        return False
    link = BlockingLink(replace(visit.quick_target(), username="default_ro"), "doctor")
    try:
        async with asyncio.timeout(_PROBE_SECONDS + 1):
            await in_thread("read-only", lambda: link.request("PING", deadline_seconds=_PROBE_SECONDS))
    except (OxcartError, TimeoutError):
        return False
    finally:
        link.close()
    return True


async def _control_resolves(visit: Visit) -> bool:
    if visit.connection_failure is None:
        return True
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await in_thread("control", lambda: reach.look_up(visit.control_host, 443, 0))
    except (OSError, UnicodeError):
        return False
    return True


async def upstash(visit: Visit) -> Finding:
    """The differential diagnosis. After a failure it only tells what the probes saw; the verdict is made of it."""
    if visit.provider is not Provider.UPSTASH:
        raise NotApplicable(tr("the database is not Upstash's"))
    seen, said = await gather_evidence(visit)
    visit.verdict = diagnose(seen)
    told = f"REST {tr(seen.rest.value)}{f' ({said})' if said else ''}"
    told += tr(", user {whoami}", whoami=seen.whoami) if seen.whoami else ""
    told += f"; TCP {seen.tcp.code if seen.tcp else tr(Rest.ACCEPTED.value)}"
    told += tr("; default_ro accepted") if seen.read_only_accepted else ""
    if seen.tcp is not None and not seen.control_resolves:
        told += tr("; {host} does not resolve either", host=visit.control_host)
    if seen.tcp is not None:
        return ok(told)
    if visit.verdict is not None:
        verdict = visit.verdict
        return failed(verdict.id, verdict.summary, verdict.action, evidence=told, retryable=verdict.retryable)
    if seen.rest is not Rest.ACCEPTED:
        return warning(
            "REST_FAILING",
            tr("Redis itself works, but the REST API of the same database does not accept the token."),
            tr(
                "The worker needs TCP alone. If web apps use REST: compare {url} and {token} with the console, and "
                "see status.upstash.com.",
                url=URL_NAME,
                token=TOKEN_NAME,
            ),
            evidence=told,
        )
    return ok(told)


async def worker(visit: Visit) -> Finding:
    """The worker's own /health: here all is well, so what it lacks is a restart, or the right variables."""
    if visit.worker_url is None:
        raise NotApplicable(tr("no worker was named (--worker URL)"))
    parts = urlsplit(visit.worker_url if "//" in visit.worker_url else f"https://{visit.worker_url}")
    url = parts._replace(path=f"{parts.path.removesuffix('/').removesuffix('/health')}/health", query="").geturl()
    try:
        async with asyncio.timeout(_WORKER_SECONDS + 1):
            answer = await in_thread("worker", lambda: fetch(url, seconds=_WORKER_SECONDS))
    except InvalidInput as error:
        raise Unanswerable(f"--worker: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        return _no_worker(parts.hostname, f"{type(error).__name__}: {error}".rstrip(": "))
    content = answer.json()
    if not isinstance(content, dict) or not isinstance(content.get("redis"), dict):
        return _no_worker(parts.hostname, tr("HTTP {status}, and not the /health of a worker", status=answer.status))
    return _judge_worker(answer.status, content, visit)


def _no_worker(host: str | None, seen: str) -> Finding:
    return failed(
        "WORKER_UNREACHABLE",
        tr("Redis is fine, but no worker answers at {host}.", host=host),
        tr(
            "See whether the service runs and what its log says, and whether the address and its port are the worker's."
        ),
        evidence=seen,
        retryable=True,
    )


def _judge_worker(status: int, content: dict[str, Any], visit: Visit) -> Finding:
    redis = content["redis"]
    code = str(redis.get("errorCode") or tr("no code"))
    where = f"{redis.get('host')}:{redis.get('port')}"
    if status == 200 and redis.get("connected") is True:
        return ok(
            tr(
                "connected to {where}, last fetch {seconds} s ago",
                where=where,
                seconds=redis.get("lastFetchAgeSeconds"),
            )
        )
    here = f"{visit.known_target.host}:{visit.known_target.port}"
    other = (
        tr(" It talks to {where}, and these variables name {here}.", where=where, here=here) if where != here else ""
    )
    return failed(
        "WORKER_STALE",
        tr("From here Redis works, but the running worker is not connected ({code}).{other}", code=code, other=other),
        tr(
            "Redeploy or restart the worker's service, so that it starts with the present variables; then compare its "
            "variables with those used here."
        ),
        evidence=tr(
            "HTTP {status}, {code}: {error}", status=status, code=code, error=redis.get("error") or tr("no error named")
        ),
    )


UPSTASH_GROUP, WORKER_GROUP = "upstash", "worker"

CHECKS: tuple[Check[Visit], ...] = (
    Check(
        "upstash",
        UPSTASH_GROUP,
        "other ways to the database were tried",
        upstash,
        "Which of token, provider and network is at fault shows only from several sides.",
        needs=("redis-url", "token"),
        after=("permissions",),
        deadline_seconds=20,
    ),
    Check(
        "worker",
        WORKER_GROUP,
        "the running worker is well too",
        worker,
        "Jobs are run by that process, not by this one.",
        needs=("permissions",),
    ),
)
