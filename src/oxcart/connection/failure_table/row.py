"""What does one row of the failure table say: how a failure is recognised, what it means, what to do?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from oxcart.connection.providers import Provider
from oxcart.errors import Kind


@dataclass(frozen=True, slots=True)
class Row:
    """`summary` and advice are sentences; {address}, {host} and {port} are filled in.

    Recognised by `errnos`, `name_errors` (getaddrinfo), `verify_codes` and `tls_reasons` (OpenSSL) and `replies` (the
    server's first word), all of them exact; then by `texts`, regular expressions searched in all that was said.
    `words`: the summary is followed by the server's own words. `closes`: the server leaves the socket open, but it is
    of no more use.
    """

    code: str
    kind: Kind
    summary: str
    advice: str
    by_provider: Mapping[Provider, str] = field(default_factory=dict)
    errnos: tuple[int, ...] = ()
    name_errors: tuple[int, ...] = ()
    verify_codes: tuple[int, ...] = ()
    tls_reasons: tuple[str, ...] = ()
    replies: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    words: bool = False
    closes: bool = False
