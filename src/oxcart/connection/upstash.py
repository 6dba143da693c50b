"""What do UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN say, as people paste them?"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from oxcart.connection.redis_url import Notes, host_problem, read_redis_url, split_address, unwrap

URL_NAME = "UPSTASH_REDIS_REST_URL"
TOKEN_NAME = "UPSTASH_REDIS_REST_TOKEN"  # noqa: S105 - the name of a variable

_FORM = "it has the form https://NAME.upstash.io, as the database page of the Upstash console shows it"
_TOKEN_LENGTH = 30  # tokens are longer, and host names without a dot are shorter


@dataclass(frozen=True, slots=True)
class Address:
    """`port` and `password` are known only if a TCP URL was pasted in place of the REST URL."""

    host: str
    port: int | None = None
    password: str | None = field(default=None, repr=False)


def read_rest_url(text: str, notes: Notes) -> Address | None:
    """None, and a problem in `notes`, if no host can be found."""
    url = unwrap(text, URL_NAME, notes)
    if re.search(r"\b(redis|valkey)-cli\b", url) or re.match(r"(rediss?|valkeys?)://", url, re.IGNORECASE):
        return _from_tcp_url(url, notes)
    problem = _problem_of_shape(url)
    if problem is None:
        address = re.split(r"[/?#]", re.sub(r"(?i)^https?:/*", "", url), maxsplit=1)[0]
        try:
            host, _ = split_address(address.rpartition("@")[2])
            problem = host_problem(host)
        except ValueError:
            problem = "its address is neither HOST nor HOST:PORT"
    if problem is not None:
        notes.problems.append(f"{URL_NAME} cannot be used: {problem}; {_FORM}.")
        return None
    if "@" in address:
        notes.warnings.append(f"{URL_NAME} has a login before its host, which is ignored; remove it.")
    return Address(host)


def _from_tcp_url(url: str, notes: Notes) -> Address | None:
    parts = read_redis_url(url, URL_NAME, notes)
    if parts is None:
        return None
    notes.warnings.append(
        f"{URL_NAME} holds the TCP URL of the database; its host is used. Put the REST URL there ({_FORM}), or set "
        f"REDIS_URL to the TCP URL and remove the pair."
    )
    return Address(parts.host, parts.port, parts.password)


def _problem_of_shape(url: str) -> str | None:
    bare = re.sub(r"(?i)^https?:/*", "", url)
    if "${" in url:
        return "it holds a reference (${…}) that was not filled in"
    if any(character.isspace() or not character.isprintable() for character in url):
        return "it has a space or a line break inside"
    if "://" in bare:
        return "it has two addresses or an unknown scheme in it"
    if bare.lower().startswith("console.upstash.com"):
        return "it is the address of the console, not of the database"
    if "." not in bare and "[" not in bare and len(bare) >= _TOKEN_LENGTH:
        return f"it looks like a token; perhaps {URL_NAME} and {TOKEN_NAME} are swapped"
    return None


def read_token(text: str, notes: Notes) -> str | None:
    """The token without what was pasted along; None, and a problem in `notes`, if it cannot be one."""
    token = unwrap(text, TOKEN_NAME, notes)
    if re.match(r"https?://", token, re.IGNORECASE):
        problem = f"{TOKEN_NAME} holds an HTTP address; perhaps {URL_NAME} and {TOKEN_NAME} are swapped."
    elif "${" in token:
        problem = f"{TOKEN_NAME} holds a reference (${{…}}) that was not filled in; correct the name in it."
    elif not token.strip("*•…. "):
        problem = f"{TOKEN_NAME} is masked or empty; use the copy button in the Upstash console, it copies the token."
    else:
        return _strip_token(token, notes)
    notes.problems.append(problem)
    return None


def _strip_token(token: str, notes: Notes) -> str | None:
    if re.match(r"(rediss?|valkeys?)://", token, re.IGNORECASE):
        parts = read_redis_url(token, TOKEN_NAME, notes)
        if parts is None:
            return None
        if parts.password is None:
            notes.problems.append(f"{TOKEN_NAME} holds a Redis URL without a password; copy the token alone.")
            return None
        notes.warnings.append(
            f"{TOKEN_NAME} holds a whole Redis URL; the password in it is used. Copy the token alone."
        )
        return parts.password
    bare = re.sub(r"(?i)^(authorization:\s*)?bearer\s+", "", token)
    if bare != token:
        notes.warnings.append(f"{TOKEN_NAME} starts with Bearer, which belongs to an HTTP header; remove it.")
    whole = "".join(character for character in bare if character.isprintable() and not character.isspace())
    if whole != bare:
        notes.warnings.append(f"{TOKEN_NAME} has a space or a line break inside, which was left out; copy it again.")
    return whole
