"""How does one command of a script err? A few lines before it count its commands, and answer for the server."""

from __future__ import annotations

from typing import Any, Literal

from oxcart.protocol.scripts import Command, Script

Fault = Literal["this one errs", "all errs from here", "growth is refused from here"]
FAULTS: tuple[Fault, ...] = ("this one errs", "all errs from here", "growth is refused from here")

GROWTH = """
    LPUSH RPUSH LMOVE RPOPLPUSH LSET ZADD SADD HSET HMSET HSETNX HINCRBY INCR INCRBY SET XADD
"""
"""What a full disk, or a provider's limit of records, refuses."""

HIT = "faulty:hit"

_PRELUDE = """
local redis = (function(server)
  local number, at, fault, growth = 0, {at}, '{fault}', {{}}
  for name in string.gmatch('{growth}', '%S+') do growth[name] = true end
  local function refusal(command)
    number = number + 1
    local errs = number == at
    if fault ~= 'this one errs' then errs = number >= at end
    if fault == 'growth is refused from here' then errs = errs and growth[command] end
    if not errs then return nil end
    server.call('SET', '{hit}', command)
    return {{ err = 'ERR injected at ' .. number .. ' ' .. command }}
  end
  return setmetatable({{
    call = function(command, ...)
      local refused = refusal(command)
      if refused then error(refused) end
      return server.call(command, ...)
    end,
    pcall = function(command, ...)
      return refusal(command) or server.pcall(command, ...)
    end,
  }}, {{ __index = server }})
end)(redis)
"""


def faulty(script: Script, command: Command, at: int, fault: Fault) -> Command:
    """The EVALSHA `command` of `script` as one whose command number `at` (from 1) errs."""
    prelude = _PRELUDE.format(at=at, fault=fault, growth=" ".join(GROWTH.split()), hit=HIT)
    return ("EVAL", prelude + script.source, *command[2:])


def was_hit(server: Any) -> str:
    """The name of the last command that was refused since the last call of this; empty if none was."""
    command: bytes | None = server.getdel(HIT)
    return (command or b"").decode()
