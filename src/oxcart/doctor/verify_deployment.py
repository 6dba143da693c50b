"""Is it the right thing that answers? Reached, with TLS, an Oxcart worker, and of the release that was deployed."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from urllib.parse import urlsplit

from oxcart.checks import Finding, State, failed, ok, warning
from oxcart.doctor.aside import in_thread
from oxcart.doctor.deployment import ANSWER_SECONDS, Deployment, is_this_machine, not_ours, not_reached
from oxcart.language import tr

NETWORK_ERRORS = (OSError, http.client.HTTPException, UnicodeError)

_CERTIFICATE_DAYS = 14


async def until_good(deployment: Deployment, probe: Callable[[], Awaitable[Finding]]) -> Finding:
    """Probe again until it is good or the time is up; the last finding. Tells each new reason for waiting once."""
    told = ""
    while True:
        finding = await probe()
        if finding.state is not State.FAILED or not deployment.may_wait:
            return finding
        if finding.summary != told:
            told = finding.summary
            deployment.on_wait(told)
        await asyncio.sleep(min(deployment.poll_seconds, max(0.01, deployment.give_up_at - time.monotonic())))


async def reach(deployment: Deployment) -> Finding:
    async def probe() -> Finding:
        began = time.monotonic()
        try:
            await in_thread("connect", lambda: _connect(deployment))
        except NETWORK_ERRORS as error:
            return not_reached(error, deployment.host)
        return ok(
            tr(
                "{host} connects in {milliseconds:.0f} ms",
                host=deployment.host,
                milliseconds=(time.monotonic() - began) * 1000,
            )
        )

    return await until_good(deployment, probe)


def _connect(deployment: Deployment) -> None:
    with closing(_socket(deployment)):
        return


def _socket(deployment: Deployment) -> socket.socket:
    port = urlsplit(deployment.base).port or (443 if deployment.is_secure else 80)
    return socket.create_connection((deployment.host, port), timeout=ANSWER_SECONDS)


async def tls(deployment: Deployment) -> Finding:
    if not deployment.is_secure:
        if is_this_machine(deployment.host):
            return ok(tr("this machine is asked without TLS"))
        hint = tr("Use the https:// address, so that the token of POST /canary is not read on its way.")
        return warning("VERIFY_NO_TLS", tr("The address is http://, without TLS."), hint)

    async def probe() -> Finding:
        try:
            until = await in_thread("tls", lambda: _certificate_end(deployment))
        except NETWORK_ERRORS as error:
            return not_reached(error, deployment.host)
        days = (until - datetime.now(UTC)).days
        if days < _CERTIFICATE_DAYS:
            hint = tr("Renew it. A platform's own domain renews by itself: then look at its status page.")
            return warning("VERIFY_TLS_EXPIRES", tr("The certificate ends in {days} days.", days=days), hint)
        return ok(tr("the certificate is trusted for {days} more days", days=days))

    return await until_good(deployment, probe)


def _certificate_end(deployment: Deployment) -> datetime:
    context = ssl.create_default_context()
    with (
        closing(_socket(deployment)) as plain,
        context.wrap_socket(plain, server_hostname=deployment.host) as secured,
    ):
        certificate = secured.getpeercert() or {}
        return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)


async def worker(deployment: Deployment) -> Finding:
    async def probe() -> Finding:
        try:
            answer = await deployment.get("/health")
        except NETWORK_ERRORS as error:
            return not_reached(error, deployment.host)
        wrong = not_ours(answer, deployment.base)
        if wrong is not None:
            return wrong
        deployment.health, deployment.status = answer.json(), answer.status
        return ok(
            tr(
                "Oxcart {version}, queue {queue}",
                version=deployment.health["version"],
                queue=deployment.part("worker").get("queueName"),
            )
        )

    return await until_good(deployment, probe)


async def release(deployment: Deployment) -> Finding:
    expected = deployment.expected_release

    async def probe() -> Finding:
        found = await worker(deployment)
        if found.state is State.FAILED:
            return found
        running = deployment.health.get("release")
        if expected is None:
            return ok(tr("{release} (none was expected)", release=running or tr("not named")))
        if not running:
            hint = tr(
                "Set OXCART_RELEASE to the commit before `railway up`; Railway names it itself for GitHub deploys only."
            )
            return failed("VERIFY_RELEASE_UNKNOWN", tr("The worker does not know which release it is."), hint)
        if not _same_commit(str(running), expected):
            summary = tr("{running} runs, and not {expected}.", running=str(running)[:12], expected=expected[:12])
            hint = tr(
                "The new deploy is not live: look at its build and deploy logs, then run this again with --wait 300s."
            )
            return failed("VERIFY_RELEASE_OLD", summary, hint, retryable=True)
        return ok(str(running)[:12])

    return await until_good(deployment, probe)


def _same_commit(running: str, expected: str) -> bool:
    """Seven characters of a commit name it, as git prints them."""
    first, second = running.lower(), expected.strip().lower()
    shorter = min(len(first), len(second))
    return first[:shorter] == second[:shorter] and (shorter >= 7 or first == second)
