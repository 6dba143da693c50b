"""What do UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN say, as people paste them?"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from oxcart.connection.redis_url import Notes, host_problem, read_redis_url, split_address, unwrap
from oxcart.language import tr

URL_NAME = "UPSTASH_REDIS_REST_URL"
TOKEN_NAME = "UPSTASH_REDIS_REST_TOKEN"  # noqa: S105 - the name of a variable

FORM = "it has the form https://NAME.upstash.io, as the database page of the Upstash console shows it"
_PLACEHOLDER = re.compile(
    r"<.*>|\[.*\]|\{.*\}|(your|my|paste|insert|replace)[-_ ].*|change[-_ ]?me|todo|x{3,}", re.IGNORECASE | re.DOTALL
)
_MASKED = re.compile(r"^[*•….\s]*$|[•…]|\*{2,}|\.{3}")  # as a console shows it: AYcUASQ…NDI=
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
            problem = tr("its address is neither HOST nor HOST:PORT")
    if problem is not None:
        notes.problems.append(
            tr("{url} cannot be used: {problem}; {form}.", url=URL_NAME, problem=problem, form=tr(FORM))
        )
        return None
    if "@" in address:
        notes.warnings.append(tr("{name} has a login before its host, which is ignored; remove it.", name=URL_NAME))
    return Address(host)


def _from_tcp_url(url: str, notes: Notes) -> Address | None:
    parts = read_redis_url(url, URL_NAME, notes)
    if parts is None:
        return None
    notes.warnings.append(
        tr(
            "{name} holds the TCP URL of the database; its host is used. Put the REST URL there ({form}), or set "
            "REDIS_URL to the TCP URL and remove the pair.",
            name=URL_NAME,
            form=tr(FORM),
        )
    )
    return Address(parts.host, parts.port, parts.password)


def _problem_of_shape(url: str) -> str | None:
    bare = re.sub(r"(?i)^https?:/*", "", url)
    if "${" in url:
        return tr("it holds a reference (${…}) that was not filled in")
    if any(character.isspace() or not character.isprintable() for character in url):
        return tr("it has a space or a line break inside")
    if "://" in bare:
        return tr("it has two addresses or an unknown scheme in it")
    if bare.lower().startswith("console.upstash.com"):
        return tr("it is the address of the console, not of the database")
    if "." not in bare and "[" not in bare and len(bare) >= _TOKEN_LENGTH:
        return tr("it looks like a token; perhaps {url} and {token} are swapped", url=URL_NAME, token=TOKEN_NAME)
    return None


def read_token(text: str, notes: Notes) -> str | None:
    """The token without what was pasted along; None, and a problem in `notes`, if it cannot be one."""
    token = unwrap(text, TOKEN_NAME, notes)
    if re.match(r"https?://", token, re.IGNORECASE):
        problem = tr(
            "{name} holds an HTTP address; perhaps {url} and {name} are swapped.",
            name=TOKEN_NAME,
            url=URL_NAME,
        )
    elif "${" in token:
        problem = tr(
            "{name} holds a reference (${{…}}) that was not filled in; correct the name in it.", name=TOKEN_NAME
        )
    elif _PLACEHOLDER.fullmatch(token):
        problem = tr(
            "{name} holds a placeholder of some instructions, not a token; copy the token from the Upstash console.",
            name=TOKEN_NAME,
        )
    elif _MASKED.search(token):
        problem = tr(
            "{name} is masked or empty; use the copy button in the Upstash console, it copies the token.",
            name=TOKEN_NAME,
        )
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
            notes.problems.append(
                tr("{name} holds a Redis URL without a password; copy the token alone.", name=TOKEN_NAME)
            )
            return None
        notes.warnings.append(
            tr("{name} holds a whole Redis URL; the password in it is used. Copy the token alone.", name=TOKEN_NAME)
        )
        return parts.password
    if "%" in token and re.fullmatch(r"(?i)([a-z0-9_-]|%(3d|2f|2b))+", token):
        notes.warnings.append(
            tr("{name} is percent-encoded, as in a URL (%3D is =); it was decoded, paste it plain.", name=TOKEN_NAME)
        )
        token = unquote(token)
    bare = re.sub(r"(?i)^(authorization:\s*)?bearer\s+", "", token)
    if bare != token:
        notes.warnings.append(
            tr("{name} starts with Bearer, which belongs to an HTTP header; remove it.", name=TOKEN_NAME)
        )
    whole = "".join(character for character in bare if character.isprintable() and not character.isspace())
    if whole != bare:
        notes.warnings.append(
            tr("{name} has a space or a line break inside, which was left out; copy it again.", name=TOKEN_NAME)
        )
    return whole
