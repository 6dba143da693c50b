"""Is the connection private, and is it the right server? TLS by a blocking handshake, and how far it is trusted."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import replace
from datetime import UTC, datetime

from oxcart.checks import UNREACHABLE, Check, Finding, NotApplicable, Unanswerable, failed, failed_by, ok, warning
from oxcart.connection.failures import classify
from oxcart.connection.providers import Provider
from oxcart.connection.target import RedisTarget
from oxcart.doctor import reach
from oxcart.doctor.aside import in_thread
from oxcart.doctor.reach import Certificate, Handshake
from oxcart.doctor.run import raw_text
from oxcart.doctor.visit import Visit
from oxcart.language import tr

GROUP = "tls"

_HANDSHAKE_SECONDS = 3.0
_SOON_DAYS = 14


async def tls(visit: Visit) -> Finding:
    target = visit.known_target
    if not target.tls:
        return _without_tls(visit, target)
    try:
        seen = await _shake_hands(visit, target)
    except OSError as error:
        visit.connection_failure = failure = classify(error, connecting=True, target=target)
        shown = await _certificate(visit, target)
        evidence = _describe(shown) if shown is not None and failure.code.startswith("TLS_") else failure.summary
        return failed_by(failure, evidence=evidence, raw=raw_text(error, target))
    return _judge(seen)


def _without_tls(visit: Visit, target: RedisTarget) -> Finding:
    if target.unix_path is not None or _is_private(visit, target):
        return ok(tr("not used, on a private address"))
    return warning(
        "TLS_NOT_USED",
        tr("The connection crosses the network in the clear: whoever listens reads the password and the jobs."),
        tr("Use the provider's TLS address (rediss://), or a private address of the same network."),
        evidence=tr("redis:// to a public address"),
    )


def _is_private(visit: Visit, target: RedisTarget) -> bool:
    if visit.provider is Provider.RAILWAY_PRIVATE or target.is_loopback:
        return True
    try:
        return all(ipaddress.ip_address(str(address.sockaddr[0])).is_private for address in visit.addresses)
    except ValueError:
        return False


async def _shake_hands(visit: Visit, target: RedisTarget) -> Handshake:
    """With the first address that has accepted a connection."""
    if not visit.addresses:
        raise Unanswerable(tr("there is no address to try"))
    address, seconds = visit.addresses[0], min(_HANDSHAKE_SECONDS, target.connect_timeout_seconds)
    async with asyncio.timeout(seconds + 2):
        return await in_thread("tls", lambda: reach.shake_hands(target, address, seconds))


async def _certificate(visit: Visit, target: RedisTarget) -> Certificate | None:
    try:
        async with asyncio.timeout(_HANDSHAKE_SECONDS):
            return await in_thread(
                "certificate", lambda: reach.look_at_certificate(target, visit.addresses[0], _HANDSHAKE_SECONDS)
            )
    except TimeoutError:
        return None


def _describe(certificate: Certificate | None) -> str:
    if certificate is None:
        return tr("certificate not looked at")
    until = tr(", valid until {end:%Y-%m-%d}", end=certificate.not_after) if certificate.not_after else ""
    names = ", ".join(certificate.names[:3]) or tr("no name")
    return tr("certificate for {names}, by {issuer}{until}", names=names, issuer=certificate.issuer, until=until)


def _judge(seen: Handshake) -> Finding:
    evidence = f"{seen.version}, {_describe(seen.certificate)}"
    until = seen.certificate.not_after if seen.certificate is not None else None
    days = (until - datetime.now(UTC)).days if until is not None else _SOON_DAYS
    if days < _SOON_DAYS:
        return warning(
            "TLS_EXPIRES_SOON",
            tr("The server's certificate ends in {days} days; from then on nothing can connect.", days=days),
            tr("With a managed provider nothing to do but to look again; else renew the certificate."),
            evidence=evidence,
        )
    return ok(evidence)


async def tls_verified(visit: Visit) -> Finding:
    target = visit.known_target
    if not target.tls:
        raise NotApplicable(tr("the connection is without TLS"))
    if target.tls_verify:
        return ok(
            tr(
                "trusting {authorities}",
                authorities="OXCART_REDIS_TLS_CA_FILE" if target.tls_ca_file else tr("the authorities of this system"),
            )
        )
    summary = tr("The certificate is not verified: whoever sits between us can read the password and the jobs.")
    try:
        await _shake_hands(visit, replace(target, tls_verify=True))
    except OSError as error:
        failure = classify(error, connecting=True, target=target)
        shown = await _certificate(visit, target)
        whose = tr(" of {issuer}", issuer=shown.issuer) if shown is not None else ""
        cure = (
            tr(
                "Set OXCART_REDIS_TLS_CA_FILE to the certificate (PEM) of the authority{whose}, then remove the "
                "switch.",
                whose=whose,
            )
            if failure.code in {"TLS_SELF", "TLS_CA"}
            else tr("{advice} Then remove the switch.", advice=failure.advice)
        )
        evidence = tr(
            "verified it would fail with {code}; {certificate}", code=failure.code, certificate=_describe(shown)
        )
        return failed("TLS_UNVERIFIED", summary, cure, evidence=evidence, raw=raw_text(error, target))
    return failed(
        "TLS_UNVERIFIED",
        summary,
        tr(
            "Remove OXCART_REDIS_TLS_VERIFY=false, or the option in REDIS_URL: the certificate is good and is accepted."
        ),
        evidence=tr("verified it would be accepted"),
    )


CHECKS: tuple[Check[Visit], ...] = (
    Check(
        "tls",
        GROUP,
        "the connection is private",
        tls,
        "Without a handshake there is no connection, and no job is fetched.",
        needs=("tcp",),
        deadline_seconds=15,
        exit_code=UNREACHABLE,
    ),
    Check(
        "tls-verified",
        GROUP,
        "the certificate is verified",
        tls_verified,
        "Whoever can redirect the connection gets the password, and with it every job and the data of your customers.",
        needs=("tls",),
    ),
)
