"""Who may call an operator's route? The holder of a token; without any token set, someone on this very machine."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from oxcart.http.answers import refusal
from oxcart.secret import Secret

# What proxies and tunnels add: with any of these the loopback peer speaks for someone else.
_FORWARDING_PREFIXES = ("x-forwarded-", "cf-", "x-envoy-", "x-railway-", "x-original-", "fly-", "x-amzn-", "x-vercel-")
_FORWARDING_NAMES = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "client-ip"}
)


def refuse_unreadable(request: Request) -> Response | None:
    """The answer to a request whose Host or Origin is no address; None if both can be read, or are not there."""
    for name, scheme in (("Host", "//"), ("Origin", "")):
        given = request.headers.get(name)
        if given is not None and split_address(scheme + given) is None:
            return refusal(400, f"The header {name} is no address.")
    return None


def refuse(request: Request, tokens: tuple[Secret, ...]) -> Response | None:
    """The answer to a caller who may not, None for one who may."""
    if tokens:
        if has_token(request.headers.get("authorization", ""), tokens):
            return None
        sentence = "This needs the header Authorization: Bearer with a token of OXCART_HTTP_TOKEN."
        return refusal(401, sentence, {"WWW-Authenticate": 'Bearer realm="oxcart"'})
    if is_this_machine(request):
        return None
    return refusal(
        403, "This is open to the worker's own machine only; set OXCART_HTTP_TOKEN to use it from elsewhere."
    )


def has_token(authorization: str, tokens: Iterable[Secret]) -> bool:
    """Compares with every token in constant time, so that answers do not tell how much of a guess is right."""
    scheme, _, given = authorization.partition(" ")
    # Starlette decodes header bytes as Latin-1; this gets the bytes back.
    given_bytes = given.strip().encode("latin-1")
    matches = [hmac.compare_digest(given_bytes, token.reveal().encode()) for token in tokens if token]
    return scheme.lower() == "bearer" and any(matches)


def is_this_machine(request: Request) -> bool:
    """A browser here may be steered by a page from elsewhere: Host and Origin must name this machine, too."""
    headers = request.headers
    if request.client is None or not _is_loopback(request.client.host) or _is_forwarded(headers):
        return False
    host, origin = split_address(f"//{headers.get('host', '')}"), headers.get("origin")
    if host is None or not _is_loopback(host.hostname):
        return False
    came_from = split_address(origin) if origin is not None else host
    return came_from is not None and came_from.netloc == headers.get("host")


def split_address(url: str) -> SplitResult | None:
    """None for what is no URL: a bracket without its end, a host that becomes another one when it is normalised."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # read only now, and an error if it is no number
    except ValueError:
        return None
    return parts


def _is_forwarded(headers: Headers) -> bool:
    return any(name in _FORWARDING_NAMES or name.startswith(_FORWARDING_PREFIXES) for name in headers)


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
