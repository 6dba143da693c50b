"""Does the worker learn the time, and draw at random, in one place only? Else no simulation can steer it.

`loop.time()` and `asyncio.sleep` are the event loop's, which a simulation brings; a `Random` of a given seed is steered
already.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "oxcart"
PARTS = ("worker", "connection", "queue", "protocol", "supervisor", "telemetry", "http", "kommo")
MODULES = [path for part in PARTS for path in sorted((SOURCE / part).rglob("*.py"))]

ASKS_THE_MACHINE = {
    "time": {
        "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time",
        "thread_time", "clock_gettime", "clock_gettime_ns", "sleep", "localtime", "gmtime", "ctime",
    },
    "random": {
        "random", "uniform", "randint", "randrange", "choice", "choices", "shuffle", "sample", "gauss", "randbytes",
        "getrandbits", "expovariate", "triangular", "seed", "SystemRandom",
    },
    "uuid": {"uuid1", "uuid4"},
    "os": {"urandom", "getrandom"},
    "secrets": {"token_bytes", "token_hex", "token_urlsafe", "randbelow", "choice", "randbits", "SystemRandom"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}  # fmt: skip

ALLOWED = {
    "connection/embedded_watchdog.py": "a process of its own that watches a real server by real time",
    "supervisor/member.py": "the last seconds of a real process",
    "kommo/crypto.py": "what encrypts must never be steered",
    "kommo/authorize.py": "a secret must never be steered",
    "kommo/webhooks/hook_secrets.py": "a secret must never be steered",
}


def asked_lines(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines that ask the machine, whether by `time.monotonic`, by `from time import monotonic`, or renamed."""
    modules = {name: name for name in ASKS_THE_MACHINE}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            asked = ASKS_THE_MACHINE.get(node.module or "", set()) & {alias.name for alias in node.names}
            yield from ((node.lineno, f"{node.module}.{name}") for name in asked if node.module != "datetime")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            module = modules.get(owner, "")
            if node.attr in ASKS_THE_MACHINE.get(module, set()):
                yield node.lineno, f"{module}.{node.attr}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_time_and_chance_come_from_the_clock(path: Path) -> None:
    name = path.relative_to(SOURCE).as_posix()

    asked = sorted(set(asked_lines(ast.parse(path.read_text(encoding="utf-8")))))

    if name in ALLOWED:
        assert asked, f"{name} no longer asks the machine: take it off the list"
    else:
        assert not asked, f"use oxcart/clock.py in {name}: {asked}"


@pytest.mark.parametrize(
    "line",
    [
        "import time\ntime.monotonic()",
        "import time as t\nt.time()",
        "from time import monotonic",
        "import random\nrandom.uniform(0, 1)",
        "import uuid\nuuid.uuid4()",
        "import os\nos.urandom(8)",
        "from datetime import datetime\ndatetime.now(None)",
        "import datetime\ndatetime.datetime.now()",
        "clock = __import__('time')\nimport time\nread = time.monotonic",
    ],
)
def test_what_asks_the_machine_is_seen(line: str) -> None:
    assert list(asked_lines(ast.parse(line)))


@pytest.mark.parametrize(
    "line", ["from random import Random\nRandom(1).random()", "loop.time()", "import time\ntime.gmt"]
)
def test_what_is_steered_already_is_let_through(line: str) -> None:
    assert not list(asked_lines(ast.parse(line)))
