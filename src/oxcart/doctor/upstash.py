"""What is wrong with an Upstash database? Decided from independent probes: REST, TCP, names, the token's shape."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from oxcart.checks import Verdict, may_pass
from oxcart.errors import Failure
from oxcart.language import tr

# Upstash's tokens have 40 characters and more; of a text below 24 nobody knows whether it was ever base64.
_LEAST_TOKEN, _SHORT_TOKEN = 40, 24

_CONSOLE = "on the database page of the Upstash console (Connect, REST)"


class Rest(StrEnum):
    """What the REST API said to the token."""

    ACCEPTED = "accepted"  # 200
    UNAUTHORIZED = "unauthorized"  # 401
    FAILING = "failing"  # 5xx
    OTHER = "other"  # any other answer
    SILENT = "silent"  # not reached, or no answer
    UNTRIED = "untried"


class Alphabet(StrEnum):
    """Which characters a token is made of."""

    HEXADECIMAL = "hexadecimal"
    BASE64 = "base64"
    URL_SAFE = "URL-safe base64"
    MIXED = "not only base64"


@dataclass(frozen=True, slots=True)
class TokenShape:
    """All that may be told of a token. `ending` is its last 4 characters, empty for a short one."""

    length: int
    alphabet: Alphabet
    ending: str
    needs_stripping: bool
    length_is_off: bool
    is_management_key: bool
    is_short: bool = False

    def __str__(self) -> str:
        ending = tr(", ends in …{ending}", ending=self.ending) if self.ending else ""
        return tr(
            "{length} characters, {alphabet}{ending}",
            length=self.length,
            alphabet=tr(self.alphabet.value),
            ending=ending,
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the probes saw. `tcp` is None if the login worked; `tcp_answered` if anything at all came back."""

    token: TokenShape
    rest: Rest = Rest.UNTRIED
    rest_said: str = ""
    whoami: str | None = None
    tcp: Failure | None = None
    tcp_answered: bool = True
    read_only_accepted: bool = False
    host_resolves: bool = True
    control_resolves: bool = True
    is_ip_literal: bool = False


def shape_of(token: str, *, needs_stripping: bool) -> TokenShape:
    """`token` as the worker uses it. Base64 has a length that 4 divides; one character lost shows."""
    bare = token.rstrip("=")
    if re.fullmatch(r"[0-9a-fA-F]+", token):
        alphabet = Alphabet.HEXADECIMAL
    elif re.fullmatch(r"[A-Za-z0-9+/]+", bare):
        alphabet = Alphabet.BASE64
    elif re.fullmatch(r"[A-Za-z0-9_-]+", bare):
        alphabet = Alphabet.URL_SAFE
    else:
        alphabet = Alphabet.MIXED
    is_base64 = alphabet in {Alphabet.BASE64, Alphabet.URL_SAFE}
    is_key = re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", token, re.IGNORECASE) is not None
    return TokenShape(
        length=len(token),
        alphabet=alphabet,
        ending=token[-4:] if len(token) >= 16 else "",
        needs_stripping=needs_stripping,
        length_is_off=is_base64 and not is_key and len(token) >= _SHORT_TOKEN and len(token) % 4 != 0,
        is_short=len(token) < _LEAST_TOKEN and not is_key,
        is_management_key=is_key or re.match(r"[^@\s:]+@[^@\s:]+:", token) is not None,
    )


# -------------------------------------------------------------------------------------------- the table
def _quota_used(seen: Evidence) -> bool:
    """The provider's words about used-up commands, whichever side said them."""
    by_tcp = seen.tcp is not None and seen.tcp.code in {"Q_DAY", "Q_MONTH"}
    return by_tcp or re.search(r"max (daily )?requests? limit", seen.rest_said) is not None


def _is_refused(seen: Evidence) -> bool:
    return seen.rest is Rest.UNAUTHORIZED or _wrong_password(seen)


def _wrong_password(seen: Evidence) -> bool:
    return seen.tcp is not None and seen.tcp.code == "AUTH_BAD"


def _token_damaged(seen: Evidence) -> bool:
    """Half of a token has a length that 4 divides more often than not."""
    is_cut = seen.token.length_is_off or seen.token.is_short
    return seen.token.needs_stripping or (_is_refused(seen) and is_cut)


def _token_wrong(seen: Evidence) -> bool:
    return seen.rest is Rest.UNAUTHORIZED and _wrong_password(seen)


def _token_kind(seen: Evidence) -> bool:
    other_user = seen.whoami is not None and seen.whoami != "default"
    is_accepted = seen.rest is Rest.ACCEPTED or seen.tcp is None
    return seen.read_only_accepted or other_user or (seen.token.is_management_key and not is_accepted)


def _provider_failing(seen: Evidence) -> bool:
    return seen.rest is Rest.FAILING and seen.tcp is not None


def _only_rest(code: str) -> Callable[[Evidence], bool]:
    """REST answers, and TCP fails in this way."""

    def fits(seen: Evidence) -> bool:
        answers = seen.rest not in {Rest.SILENT, Rest.UNTRIED}
        return answers and seen.tcp is not None and seen.tcp.code == code

    return fits


def _deleted(seen: Evidence) -> bool:
    return seen.control_resolves and not seen.host_resolves


def _network_down(seen: Evidence) -> bool:
    nothing = seen.rest in {Rest.SILENT, Rest.UNTRIED} and not seen.tcp_answered and not seen.control_resolves
    return nothing and seen.tcp is not None and not seen.is_ip_literal


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `fits` decides; the first that fits is the verdict. `retryable`: None, as the failure of
    TCP is; where it stands, REST has told more than that. `doubt`: see Verdict.
    """

    code: str
    fits: Callable[[Evidence], bool]
    summary: str
    action: str
    retryable: bool | None = None
    doubt: str = ""


# The order is the meaning: what is more special stands first. A test has the same table as its specification.
ROWS: tuple[Row, ...] = (
    Row(
        "QUOTA_USED",
        _quota_used,
        "The database has used up its commands; the token and the network are fine.",
        "Upgrade the plan in the Upstash console (a fixed plan has no limit of commands), or stop other users of this "
        "database. The worker goes on by itself as soon as commands are allowed again.",
        retryable=True,
    ),
    Row(
        "UPSTASH_TOKEN_DAMAGED",
        _token_damaged,
        "UPSTASH_REDIS_REST_TOKEN was damaged when it was copied: it has something around or inside it, or a piece is "
        "missing.",
        f"Copy the token again with the copy button {_CONSOLE}, and paste it without quotation marks, spaces or line "
        "breaks. Oxcart takes off what surrounds it; Node uses the variable literally.",
    ),
    Row(
        "UPSTASH_TOKEN_WRONG",
        _token_wrong,
        "Both sides of the database refuse the token: it is wrong, was changed, or belongs to another database.",
        "Copy URL and token again, both from the database page of the Upstash console (Connect, REST), into the "
        "variables of this service, then redeploy it.",
        doubt="A token that was changed looks like that of another database. Compare its last four characters, above, "
        "with the console's: if they are the same there, the URL is another database's.",
    ),
    Row(
        "UPSTASH_TOKEN_KIND",
        _token_kind,
        "The token is not that of the user default: it is the read-only token, that of an ACL user, or a key of the "
        "management API.",
        f'Copy the standard token {_CONSOLE}, with "Read-Only Token" switched off.',
    ),
    Row(
        "PROVIDER_FAILING",
        _provider_failing,
        "Upstash itself is failing: its REST API answers with a server error, and TCP does not work either.",
        "Look at status.upstash.com and at the state of the database in the console. Nothing to change here: the "
        "worker goes on by itself.",
        retryable=True,
    ),
    Row(
        "PORT_BLOCKED",
        _only_rest("TCP_TIMEOUT"),
        "The database answers over HTTPS, but its Redis port cannot be reached from here.",
        "Allow outgoing TCP to the port of Redis (6379) in the firewall of this network; if the port was changed with "
        "OXCART_REDIS_PORT, remove that. With an IP allowlist, add this machine's IPv4 address.",
        doubt="An outage of the database's TCP side looks the same. Ask from another network: if the port answers "
        "there, it is this one; else see status.upstash.com.",
    ),
    Row(
        "PORT_REFUSED",
        _only_rest("TCP_REFUSED"),
        "The database answers over HTTPS, but its Redis port refuses connections.",
        "See status.upstash.com: waiting may help, as the worker goes on trying. If the port was changed with "
        "OXCART_REDIS_PORT, remove that.",
        doubt="A firewall that rejects looks the same. Ask from another network: if the port answers there, it is this "
        "one.",
    ),
    Row(
        "LOGIN_SILENT",
        _only_rest("READ_TIMEOUT"),
        "The database answers over HTTPS and accepts connections, but never answers the login on its Redis port.",
        "See status.upstash.com: waiting may help, as the worker goes on trying. No token and no port needs to be "
        "changed for this.",
        doubt="A proxy or firewall on the way that accepts connections and passes nothing on looks the same. Ask from "
        "another network: if the login is answered there, it is this one.",
    ),
    Row(
        "UPSTASH_DELETED",
        _deleted,
        "The name of the database does not exist, though names are resolved here: it was deleted, or archived after 30 "
        "days without use, or the URL is mistyped.",
        "Find the database in the Upstash console: restore it there or make a new one, and copy URL and token again.",
        doubt="A mistyped name looks like a deleted database. Compare it with the console letter by letter: if it is "
        "the same there, the database is gone.",
    ),
    Row(
        "NETWORK_DOWN",
        _network_down,
        "Nothing answers: neither the database, nor the name of another host. This machine has no working network.",
        "Check network and name server of this machine or container; nothing needs to be changed in Upstash.",
        retryable=True,
    ),
)


def diagnose(seen: Evidence) -> Verdict | None:
    """None if no row fits: then the code of the failure itself is the verdict."""
    row = next((row for row in ROWS if row.fits(seen)), None)
    if row is None:
        return None
    again = may_pass(seen.tcp.kind) if row.retryable is None and seen.tcp is not None else bool(row.retryable)
    return Verdict(row.code, tr(row.summary), tr(row.action), again, tr(row.doubt) if row.doubt else "")
