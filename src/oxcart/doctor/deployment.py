"""What does a deployed worker say from outside? Its address, its answers, and what another answer means."""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from oxcart.checks import Finding, failed
from oxcart.doctor.aside import in_thread
from oxcart.doctor.fetch import HttpAnswer, fetch
from oxcart.errors import InvalidInput
from oxcart.language import tr
from oxcart.secret import Secret

ANSWER_SECONDS = 10.0
CANARY_SECONDS = 45.0
"""More than the 30 s after which POST /canary itself gives up."""

_OWN_PATHS = re.compile(r"/(health(/live|/ready)?|metrics(/prometheus)?|canary)?/?$")


@dataclass(slots=True)
class Deployment:
    """What is verified, and what the checks have learned of it so far.

    `give_up_at` (monotonic) ends all waiting, which looks again every `poll_seconds`. `enqueue` runs a canary by Redis
    and returns a sentence about it; None where the environment has no Redis. `on_wait` hears each new reason to wait.
    """

    base: str
    give_up_at: float
    expected_release: str | None = None
    token: Secret | None = None
    window_seconds: float = 5.0
    poll_seconds: float = 2.0
    wants_canary: bool = True
    enqueue: Callable[[str], Awaitable[str]] | None = None
    on_wait: Callable[[str], None] = lambda _: None
    health: dict[str, Any] = field(default_factory=dict)
    status: int = 0
    first_counts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return urlsplit(self.base).hostname or ""

    @property
    def is_secure(self) -> bool:
        return self.base.startswith("https:")

    @property
    def may_wait(self) -> bool:
        return time.monotonic() < self.give_up_at

    def part(self, name: str) -> Mapping[str, Any]:
        """An object of the last /health, empty where that has none."""
        part = self.health.get(name)
        return part if isinstance(part, dict) else {}

    async def get(self, path: str, accept: str = "application/json") -> HttpAnswer:
        headers = {"Accept": accept}
        return await in_thread(path, lambda: fetch(self.base + path, headers=headers, seconds=ANSWER_SECONDS))

    async def post(self, path: str) -> HttpAnswer:
        headers = {"Authorization": f"Bearer {self.token.reveal()}"} if self.token else {}
        return await in_thread(
            path, lambda: fetch(self.base + path, method="POST", headers=headers, seconds=CANARY_SECONDS)
        )


def parse_base(given: str) -> str:
    """The service's address without a path: "worker.up.railway.app/health" is https://worker.up.railway.app.

    Without a scheme it is https, and http for this machine. Raises InvalidInput.
    """
    text = given.strip().strip("\"'")
    if "://" not in text:
        host = text.partition("/")[0]
        text = ("http://" if is_this_machine(urlsplit(f"//{host}").hostname or "") else "https://") + text
    parts = urlsplit(text)
    cure = tr("Give the service's public address, as in https://worker-production.up.railway.app.")
    try:
        port = parts.port
    except ValueError:
        raise InvalidInput(tr("The URL has a port that is none. {cure}", cure=cure)) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not _is_host(parts.hostname):
        raise InvalidInput(tr("That is no address of an HTTP service. {cure}", cure=cure))
    if parts.username is not None or parts.password is not None:
        raise InvalidInput(
            tr(
                "The URL carries a user or password, which would be seen in the list of processes. Leave it out; the "
                "token of POST /canary comes from OXCART_HTTP_TOKEN or --token-file."
            )
        )
    path = _OWN_PATHS.sub("", parts.path)
    shown = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{path}"


def is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_host(host: str) -> bool:
    return ":" in host or re.fullmatch(r"[\w.-]{1,253}", host) is not None


# --------------------------------------------------------------------------------------------- what is wrong with it
def not_reached(error: Exception, host: str) -> Finding:
    """The finding for an error of the network. The worker has not been heard at all."""
    railway = tr("On Railway: open the service, Settings, Networking, and copy the public domain (or generate one).")
    if isinstance(error, socket.gaierror | UnicodeError):
        return failed(
            "VERIFY_NO_ADDRESS",
            tr("The name {host} does not resolve.", host=host),
            tr("Correct the URL. {railway}", railway=railway),
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return _tls(tr("The certificate of {host} is not trusted: {reason}.", host=host, reason=error.verify_message))
    if isinstance(error, ssl.SSLError):
        return _tls(
            tr(
                "TLS with {host} failed: {reason}.",
                host=host,
                reason=(error.reason or tr("no reason given")).lower().replace("_", " "),
            )
        )
    if isinstance(error, ConnectionRefusedError):
        hint = tr("Start the worker, or correct the port; on a platform give its public address without a port.")
        return failed("VERIFY_REFUSED", tr("Nothing listens at {host}.", host=host), hint, retryable=True)
    if isinstance(error, TimeoutError):
        hint = tr(
            "Look at the platform's status and at the service's log; a firewall between you and it does this too."
        )
        return failed("VERIFY_SILENT", tr("{host} did not answer in time.", host=host), hint, retryable=True)
    if isinstance(error, http.client.HTTPException):
        hint = tr("Give the address of the worker's HTTP port (PORT); this is another service's, or https is needed.")
        return failed("VERIFY_NOT_HTTP", tr("What listens at {host} does not speak HTTP.", host=host), hint)
    why = getattr(error, "strerror", None) or type(error).__name__
    hint = tr("Check the network from here, then the platform's status.")
    return failed(
        "VERIFY_BROKEN_OFF",
        tr("The connection to {host} failed: {reason}.", host=host, reason=why),
        hint,
        retryable=True,
    )


def _tls(summary: str) -> Finding:
    hint = tr(
        "Use the domain that the platform shows, not an IP address or an old name; for a new custom domain wait until "
        "its certificate is issued. A private authority is trusted by SSL_CERT_FILE."
    )
    return failed("VERIFY_TLS", summary, hint)


def not_ours(answer: HttpAnswer, base: str) -> Finding | None:
    """What an answer to GET /health means that does not come from an Oxcart worker; None if it does."""
    content = answer.json()
    if isinstance(content, dict) and _is_worker(content) and answer.status in {200, 503}:
        return None
    if 300 <= answer.status < 400:
        return _redirect(answer, base)
    if answer.status in {401, 403, 407}:
        hint = tr("Take the platform's or proxy's login off /health and /metrics, or give the worker's own address.")
        return failed("VERIFY_LOGIN", tr("GET /health asks for a login ({status}).", status=answer.status), hint)
    if answer.status == 404:
        hint = tr("Correct the URL, or route the domain to the worker's service; it answers /health at its root.")
        return failed("VERIFY_NOT_FOUND", tr("There is no worker at this address: GET /health answers 404."), hint)
    if answer.status >= 500:
        hint = tr(
            "The platform answers for a worker that is not up: read its deploy log; it must listen on PORT, and a "
            "failed pre-deploy doctor stops a deploy."
        )
        summary = tr("The platform answers {status} in the worker's place.", status=answer.status)
        return failed("VERIFY_GATEWAY", summary, hint, retryable=True)
    if _looks_like_html(answer):
        hint = tr("This is a website's address, perhaps the web app's. Give the one of the worker's service.")
        return failed(
            "VERIFY_WEB_PAGE", tr("GET /health shows a web page ({status}), not a worker.", status=answer.status), hint
        )
    if isinstance(content, dict) and "redis" in content:
        hint = tr("It looks like the Node worker: the domain still leads to it. Give the address of the other service.")
        return failed("VERIFY_NODE_WORKER", tr("A worker answers, but it is not Oxcart."), hint)
    hint = tr("Another service answers here. Give the address of the worker's service.")
    return failed(
        "VERIFY_WRONG_JSON",
        tr("GET /health answers {status} with something else than a worker's.", status=answer.status),
        hint,
    )


def _is_worker(content: dict[str, Any]) -> bool:
    parts = (content.get("redis"), content.get("worker"))
    named = content.get("service") == "worker" and isinstance(content.get("version"), str)
    return named and all(isinstance(part, dict) for part in parts)


def _redirect(answer: HttpAnswer, base: str) -> Finding:
    location = urlsplit(answer.headers.get("location", ""))
    goal = (
        f"{location.scheme}://{location.netloc}{location.path}" if location.netloc else location.path or tr("nowhere")
    )
    same_host = location.hostname == urlsplit(base).hostname
    if same_host and location.scheme == "https" and base.startswith("http:"):
        hint = tr("Use https: oxcart verify {url}", url=base.replace("http:", "https:", 1))
    else:
        hint = tr("A login page or another site stands in front. Give the worker's own address, open for /health.")
    return failed("VERIFY_REDIRECT", tr("GET /health is redirected to {goal}.", goal=goal), hint)


def _looks_like_html(answer: HttpAnswer) -> bool:
    return "html" in answer.headers.get("content-type", "") or answer.body.lstrip()[:1] == b"<"
