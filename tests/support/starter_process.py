"""The process that starts commands by fork, so that the interpreter and its imports are paid for once, not each time.

A message on the socket is {module, arguments, folder, environ} with four descriptors: stdin, stdout, stderr, and one
that is told the process id (a line) and the exit code (a line). Ends with its socket.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import random
import runpy
import selectors
import signal
import socket
import sys
import time

# What most commands import. Whatever reads the environment while it is imported has no place here.
IMPORTED = (
    *("oxcart.cli.program", "oxcart.queue.producer", "asyncio", "uvloop", "aiohttp", "rich.console", "rich.table"),
    *("sqlalchemy.ext.asyncio", "alembic.autogenerate", "aiosqlite", "asyncpg", "cryptography.fernet"),
)
LONGEST_MESSAGE = 1 << 17


def main(channel: socket.socket) -> None:
    """Serve until the other side is gone. Returns in each child, which is the command from there on."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    told_of: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not channel:
                    _tell_ends(woken, told_of)
                    continue
                message, descriptors, _, _ = socket.recv_fds(channel, LONGEST_MESSAGE, 4)
                if not message:
                    return
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    for descriptor in (channel.detach(), woken, waker, selector.fileno(), *told_of.values()):
                        os.close(descriptor)
                    _become(json.loads(message), descriptors)
                    return
                *streams, told = descriptors
                for descriptor in streams:
                    os.close(descriptor)
                told_of[pid] = told
                os.write(told, f"{pid}\n".encode())


def _tell_ends(woken: int, told_of: dict[int, int]) -> None:
    os.read(woken, 4096)
    while told_of:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        told = told_of.pop(pid)
        with contextlib.suppress(BrokenPipeError):  # the test may have ended before its command
            os.write(told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os.close(told)


def _become(wanted: dict[str, object], descriptors: list[int]) -> None:
    """Take on streams, folder, environment, arguments and signals of the command."""
    *streams, told = descriptors
    os.close(told)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        raw = open(number, f"{mode}b", closefd=False)  # noqa: SIM115
        stream = io.TextIOWrapper(raw, "utf-8", line_buffering=number == 2)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    random.seed()
    os.chdir(str(wanted["folder"]))
    os.environ.clear()
    os.environ.update(wanted["environ"])  # type: ignore[call-overload]
    time.tzset()
    sys.path[0] = str(wanted["folder"])
    sys.argv = [str(wanted["module"]), *wanted["arguments"]]  # type: ignore[misc]


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv.pop())))
    if len(sys.argv) > 1 or not sys.argv[0].endswith(".py"):
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
