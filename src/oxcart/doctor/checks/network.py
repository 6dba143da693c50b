"""Can the server be reached? Its name, IPv4 and IPv6 apart, and a TCP connection to each address."""

from __future__ import annotations

import asyncio
import errno
import socket

from oxcart.checks import UNREACHABLE, Check, Finding, failed_by, ok
from oxcart.connection.failures import classify, failure_for
from oxcart.connection.sockets import FAMILIES
from oxcart.doctor import reach
from oxcart.doctor.aside import in_thread
from oxcart.doctor.reach import Address
from oxcart.doctor.run import raw_text
from oxcart.doctor.visit import Visit
from oxcart.errors import Failure
from oxcart.language import tr

GROUP = "network"

_LOOK_UP_SECONDS = 5.0
_CONNECT_SECONDS = 3.0
_UNROUTED = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_FAMILY_NAMES = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}


async def dns(visit: Visit) -> Finding:
    target = visit.known_target
    if target.unix_path is not None:
        visit.addresses = [Address(socket.AF_UNIX, target.unix_path)]
        return ok(tr("a socket of this machine"))
    try:
        async with asyncio.timeout(_LOOK_UP_SECONDS):
            found = await asyncio.gather(*(_look_up(visit, family) for family in _FAMILY_NAMES))
    except TimeoutError:
        visit.connection_failure = failure = failure_for("DNS_TEMP", target)
        return failed_by(
            failure, evidence=tr("no answer from the name server in {seconds:g} s", seconds=_LOOK_UP_SECONDS)
        )
    wanted = FAMILIES[target.family]
    lists = dict(zip(_FAMILY_NAMES, found, strict=True))
    visit.addresses = [
        address
        for family, addresses in lists.items()
        if isinstance(addresses, list) and wanted in {socket.AF_UNSPEC, family}
        for address in addresses
    ]
    if visit.addresses and reach.is_ip_literal(target.host):
        return ok(tr("an IP address: nothing to look up"))
    if visit.addresses:
        return ok("; ".join(_describe(family, addresses) for family, addresses in lists.items()))
    errors = {family: error for family, error in lists.items() if isinstance(error, Exception)}
    has_other_family = len(errors) < len(lists)
    telling = next(iter(errors.values()))
    failure = failure_for("DNS_FAMILY", target) if has_other_family else _name_failure(errors, visit)
    visit.connection_failure = failure
    visit.host_resolves = failure.code != "DNS_NX"
    return failed_by(failure, evidence=f"{target.host}: {telling}", raw=raw_text(telling, target))


async def _look_up(visit: Visit, family: int) -> list[Address] | Exception:
    target = visit.known_target
    try:
        return await in_thread("dns", lambda: reach.look_up(target.host, target.port, family))
    except (OSError, UnicodeError) as error:
        return error


def _name_failure(errors: dict[socket.AddressFamily, Exception], visit: Visit) -> Failure:
    """A name without an address of either kind does not exist; "no address of this kind" is what glibc says to both."""
    failures = [classify(error, connecting=True, target=visit.target) for error in errors.values()]
    telling = next((failure for failure in failures if failure.code != "DNS_FAMILY"), None)
    return telling or failure_for("DNS_NX", visit.target)


def _describe(family: int, found: list[Address] | Exception) -> str:
    name = _FAMILY_NAMES[socket.AddressFamily(family)]
    if isinstance(found, Exception):
        return tr("no {name}", name=name)
    return f"{name} {', '.join(dict.fromkeys(map(str, found)))}"


async def tcp(visit: Visit) -> Finding:
    target = visit.known_target
    addresses = visit.addresses or await in_thread(
        "dns", lambda: reach.look_up(target.host, target.port, FAMILIES[target.family])
    )
    seconds = min(_CONNECT_SECONDS, target.connect_timeout_seconds)
    tried = await asyncio.gather(*(_connect(address, seconds) for address in addresses))
    told = "; ".join(
        tr("{address} {milliseconds:.0f} ms", address=address, milliseconds=outcome)
        if isinstance(outcome, float)
        else f"{address} {_in_words(outcome, seconds)}"
        for address, outcome in zip(addresses, tried, strict=True)
    )
    errors = [outcome for outcome in tried if isinstance(outcome, OSError)]
    visit.tcp_answered = len(errors) < len(tried) or any(isinstance(error, ConnectionError) for error in errors)
    if len(errors) < len(tried):
        visit.addresses = [
            address for address, outcome in zip(addresses, tried, strict=True) if isinstance(outcome, float)
        ]
        return ok(told)
    telling = next((error for error in errors if error.errno not in _UNROUTED), errors[0])
    failure = classify(telling, connecting=True, target=target)
    visit.connection_failure = failure
    where = tr("port {port}: ", port=target.port) if target.unix_path is None else ""
    return failed_by(failure, evidence=f"{where}{told}", raw=raw_text(telling, target))


async def _connect(address: Address, seconds: float) -> float | OSError:
    try:
        async with asyncio.timeout(seconds + 1):
            return await in_thread("tcp", lambda: reach.connect(address, seconds))
    except OSError as error:  # TimeoutError is one
        return error


def _in_words(error: OSError, seconds: float) -> str:
    if isinstance(error, TimeoutError):
        return tr("no answer in {seconds:g} s", seconds=seconds)
    return (error.strerror or type(error).__name__).lower()


CHECKS: tuple[Check[Visit], ...] = (
    Check(
        "dns",
        GROUP,
        "the name resolves",
        dns,
        "The worker looks the name up at every connect; without an address no job is fetched or finished.",
        needs=("redis-url", "token", "embedded"),
        exit_code=UNREACHABLE,
    ),
    Check(
        "tcp",
        GROUP,
        "the port accepts connections",
        tcp,
        "Nothing reaches the queue while the port is closed; jobs wait where they are.",
        needs=("dns",),
        exit_code=UNREACHABLE,
    ),
)
