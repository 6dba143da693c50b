"""How does a Lua script get from its file to the server? Loads it, resolves its includes, runs it by its SHA-1.

Two directives, each alone on a line:
    --- @include "name"     our own `lua/includes/name.lua`, as it is
    --- @upstream name      BullMQ's script of that name, as `local function upstream_name(KEYS, ARGV, redis)`
The second lets one atomic script of ours hand a job that is not plain to the script that defines the protocol, and see
each of its commands: lua/includes/carefully.lua.
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

from redis.exceptions import NoScriptError

from oxcart.errors import OxcartError, ServerRefused

Argument = bytes | str | int | float
Command = tuple[Argument, ...]

_DIRECTIVE = re.compile(r'^ *--- @(include|upstream) "?([A-Za-z_]+)"?$', re.MULTILINE)


class Requester(Protocol):
    """What a script needs of a connection: connection.link.Link."""

    async def request(self, *command: Argument, deadline_seconds: float = 10.0) -> Any: ...

    async def requests(self, commands: Sequence[Command], *, deadline_seconds: float = 10.0) -> list[Any]: ...


class BlockingRequester(Protocol):
    """The same in a thread: connection.blocking.BlockingLink."""

    def request(self, *command: Argument, deadline_seconds: float = 10.0) -> Any: ...


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua script. `sha` is the hex SHA-1 that EVALSHA wants."""

    name: str
    source: str
    sha: str


def script(name: str, source: str) -> Script:
    """Any Lua text as a script."""
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


@cache
def upstream(name: str) -> Script:
    """BullMQ's own script, e.g. `upstream("moveToActive")`; raises OxcartError if the build did not copy it."""
    return script(name, _upstream_source(name))


@cache
def ours(name: str) -> Script:
    """A script of `protocol/lua/`, with its directives resolved."""
    return script(name, _resolved(_folder().joinpath(f"{name}.lua").read_text(encoding="utf-8")))


@cache
def carefully(name: str) -> Script:
    """BullMQ's own script, run so that a command that errs loses nothing: lua/includes/carefully.lua."""
    source = f'--- @upstream {name}\n--- @include "carefully"\nreturn (carefully(upstream_{name}, KEYS, ARGV))\n'
    return script(name, _resolved(source))


@cache
def adding(name: str) -> Script:
    """An add script of BullMQ's, as `carefully`. Answers {its own answer, 1 if a job of this id was there, else 0}."""
    source = (
        f'--- @upstream {name}\n--- @include "carefully"\n'
        f"local answer, duplicate = carefully(upstream_{name}, KEYS, ARGV)\nreturn {{answer, duplicate and 1 or 0}}\n"
    )
    return script(name, _resolved(source))


def _folder() -> Traversable:
    return files("oxcart.protocol").joinpath("lua")


def _resolved(source: str) -> str:
    def resolve(match: re.Match[str]) -> str:
        kind, wanted = match.groups()
        if kind == "include":
            return _resolved(_folder().joinpath("includes", f"{wanted}.lua").read_text(encoding="utf-8"))
        return f"local function upstream_{wanted}(KEYS, ARGV, redis)\n{_upstream_source(wanted)}\nend"

    return _DIRECTIVE.sub(resolve, source)


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
    """The EVALSHA command of one call, for `run`."""
    return ("EVALSHA", script.sha, len(keys), *keys, *args)


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """One script of several in one round trip. `repeatable` if running it twice does no harm."""

    script: Script
    keys: Sequence[Argument]
    args: Sequence[Argument]
    repeatable: bool = False

    @property
    def command(self) -> Command:
        return eval_command(self.script, self.keys, self.args)

    @property
    def whole(self) -> Command:
        """For a server that does not know the script."""
        return _whole(self.command, self.script)


async def run(link: Requester, command: Command, script: Script, *, deadline_seconds: float = 10.0) -> Any:
    """Run a script whose EVALSHA command is ready; an unknown one is sent whole, once (a restart, SCRIPT FLUSH).

    Raises what `request` raises. NOSCRIPT is answered before anything ran, so sending again is always safe.
    """
    try:
        return await link.request(*command, deadline_seconds=deadline_seconds)
    except ServerRefused as error:
        if error.failure.code != "NOSCRIPT":
            raise
    return await link.request(*_whole(command, script), deadline_seconds=deadline_seconds)


async def run_script(
    link: Requester,
    script: Script,
    keys: Sequence[Argument],
    args: Sequence[Argument],
    *,
    deadline_seconds: float = 10.0,
) -> Any:
    """As `run`, for one call of a script."""
    return await run(link, eval_command(script, keys, args), script, deadline_seconds=deadline_seconds)


def run_blocking(link: BlockingRequester, command: Command, script: Script, *, deadline_seconds: float = 10.0) -> Any:
    """As `run`, in a thread."""
    try:
        return link.request(*command, deadline_seconds=deadline_seconds)
    except ServerRefused as error:
        if error.failure.code != "NOSCRIPT":
            raise
    return link.request(*_whole(command, script), deadline_seconds=deadline_seconds)


async def run_all(
    link: Requester, calls: Sequence[ScriptCall], known: set[str], *, deadline_seconds: float = 10.0
) -> list[Any]:
    """Several in one round trip, in order; a refused one is a ResponseError in its place.

    `known` has the SHA-1s that this server was seen to know, and grows: the first call of any other is sent whole, in
    its turn. If the server has forgotten one all the same, it is sent again, whole, together with the repeatable ones
    behind it, which had run too early. Nothing else is sent again: it has run.
    """
    commands: list[Command] = []
    first_seen: set[str] = set()
    for call in calls:
        is_known = call.script.sha in known or call.script.sha in first_seen
        first_seen.add(call.script.sha)
        commands.append(call.command if is_known else call.whole)
    replies = await link.requests(commands, deadline_seconds=deadline_seconds)
    known |= first_seen
    forgotten = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if forgotten:
        again = [at for at, call in enumerate(calls) if at in forgotten or (at > forgotten[0] and call.repeatable)]
        late = await link.requests([calls[at].whole for at in again], deadline_seconds=deadline_seconds)
        for at, reply in zip(again, late, strict=True):
            replies[at] = reply
    return replies


def _whole(command: Command, script: Script) -> Command:
    return ("EVAL", script.source, *command[2:])
