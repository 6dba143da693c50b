"""How does a Lua script get from its file to the server? Loads it, resolves its includes, runs it by its SHA-1.

Two directives, each alone on a line:
    --- @include "name"     our own `lua/includes/name.lua`, as it is
    --- @upstream name      BullMQ's script of that name, as `local function upstream_name(KEYS, ARGV)`
The second lets one atomic script of ours hand a job that is not plain to the script that defines the protocol.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Protocol

from oxcart.errors import OxcartError, ServerRefused

Argument = bytes | str | int | float
Command = tuple[Argument, ...]

_DIRECTIVE = re.compile(r'^ *--- @(include|upstream) "?([A-Za-z_]+)"?$', re.MULTILINE)


class Requester(Protocol):
    """What a script needs of a connection: connection.link.Link, or its blocking twin wrapped."""

    async def request(self, *command: Argument, deadline_seconds: float = 10.0) -> Any: ...


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua script. `sha` is the hex SHA-1 that EVALSHA wants."""

    name: str
    source: str
    sha: str


def _script(name: str, source: str) -> Script:
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


@cache
def upstream(name: str) -> Script:
    """BullMQ's own script, e.g. `upstream("moveToActive")`; raises OxcartError if the build did not copy it."""
    return _script(name, _upstream_source(name))


@cache
def ours(name: str) -> Script:
    """A script of `protocol/lua/`, with its directives resolved."""
    folder = files("oxcart.protocol").joinpath("lua")

    def resolve(match: re.Match[str]) -> str:
        kind, wanted = match.groups()
        if kind == "include":
            return resolved(folder.joinpath("includes", f"{wanted}.lua"))
        return f"local function upstream_{wanted}(KEYS, ARGV)\n{_upstream_source(wanted)}\nend"

    def resolved(file: Traversable) -> str:
        return _DIRECTIVE.sub(resolve, file.read_text(encoding="utf-8"))

    return _script(name, resolved(folder.joinpath(f"{name}.lua")))


def _upstream_source(name: str) -> str:
    folder = files("oxcart.protocol").joinpath("upstream")
    if folder.is_dir():
        for entry in folder.iterdir():
            if entry.name.startswith(f"{name}-") and entry.name.endswith(".lua"):
                return entry.read_text(encoding="utf-8")
    raise OxcartError(
        f"Loading BullMQ's script {name}: it is not part of this installation. "
        "Install oxcart again from its wheel, or in a source tree run scripts/setup."
    )


def eval_command(script: Script, keys: Sequence[Argument], args: Sequence[Argument]) -> Command:
    """The EVALSHA command for a pipeline; who sends it handles NOSCRIPT (see run_script)."""
    return ("EVALSHA", script.sha, len(keys), *keys, *args)


async def run_script(
    link: Requester,
    script: Script,
    keys: Sequence[Argument],
    args: Sequence[Argument],
    *,
    deadline_seconds: float = 10.0,
) -> Any:
    """Run a script; an unknown one is sent whole, once (a restarted server, SCRIPT FLUSH).

    Raises what `request` raises. NOSCRIPT is answered before anything ran, so sending again is always safe.
    """
    try:
        return await link.request(*eval_command(script, keys, args), deadline_seconds=deadline_seconds)
    except ServerRefused as error:
        if error.failure.code != "NOSCRIPT":
            raise
    return await link.request("EVAL", script.source, len(keys), *keys, *args, deadline_seconds=deadline_seconds)
