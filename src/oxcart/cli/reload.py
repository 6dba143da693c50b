"""How does `run --reload` follow a program that is being written? A worker process that is replaced at each change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from oxcart.cli.exits import BAD_SETTINGS, USAGE
from oxcart.cli.output import note
from oxcart.language import tr

_LOOK_SECONDS = 0.5
_KILL_AFTER_SECONDS = 5.0  # beyond the grace; a worker ends within 2 s of it
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "site-packages"})

Snapshot = dict[str, tuple[int, int]]


def run_and_reload(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run `oxcart` with these arguments, again after each change, until a signal; returns the exit code.

    A worker that ends by itself, as one with a syntax error does, is started again after the next change. One that
    cannot start for a reason outside of the code ends this too.
    """
    supervisor = _Supervisor([sys.executable, "-m", "oxcart", *arguments], environ)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, supervisor.pass_on)
    return supervisor.run()


class _Supervisor:
    """One worker process at a time. In a process group of its own: Ctrl-C reaches it through us, and only once."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self._command = list(command)
        self._environ = dict(environ)
        self._child: subprocess.Popen[bytes] | None = None
        self._ending = False

    def pass_on(self, number: int, _frame: object) -> None:
        self._ending = True
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    def run(self) -> int:
        seen = take_snapshot(Path.cwd())
        code, starts = 0, 0
        while not self._ending:
            code, starts = self._run_once(seen), starts + 1
            if self._ending or code == BAD_SETTINGS or (code == USAGE and starts == 1):
                break
            now = take_snapshot(Path.cwd())
            if now == seen:
                note(tr("The worker ended with exit code {code}; it starts again when a file changes.", code=code))
                now = self._wait_for_change(seen)
            seen = now
        return code

    def _run_once(self, seen: Snapshot) -> int:
        """Until it ends, or is ended because a file differs from `seen`."""
        self._child = subprocess.Popen(self._command, env=self._environ, process_group=0)  # noqa: S603 - ourselves
        if self._ending:  # the signal came while it was being started
            self._child.terminate()
        while True:
            try:
                return self._child.wait(_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                changed = None if self._ending else first_change(seen, take_snapshot(Path.cwd()))
                if changed is not None:
                    note(tr("{file} has changed: the worker starts again.", file=changed))
                    return self._stop()

    def _stop(self) -> int:
        """SIGTERM: running jobs get the grace, then go back to the queue."""
        assert self._child is not None
        self._child.terminate()
        try:
            return self._child.wait(_grace_seconds(self._environ) + _KILL_AFTER_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self._child.wait()

    def _wait_for_change(self, seen: Snapshot) -> Snapshot:
        while True:
            now = take_snapshot(Path.cwd())
            if now != seen or self._ending:
                return now
            time.sleep(_LOOK_SECONDS)


def take_snapshot(folder: Path) -> Snapshot:
    """Modification time and size of every .py file below the folder; hidden folders and environments are left out."""
    found: Snapshot = {}
    for path in _python_files(folder):
        try:
            status = path.stat()
        except OSError:  # an editor is just replacing it
            continue
        found[str(path)] = (status.st_mtime_ns, status.st_size)
    return found


def _python_files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in _SKIPPED_FOLDERS
            and not (Path(parent) / name / "pyvenv.cfg").exists()
        ]
        yield from (Path(parent) / name for name in files if name.endswith(".py"))


def first_change(before: Snapshot, after: Snapshot) -> str | None:
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    return os.path.relpath(changed[0]) if changed else None


def _grace_seconds(environ: Mapping[str, str]) -> float:
    from oxcart.settings import load

    return load(environ).worker.shutdown_grace_seconds
