"""Does a folder or machine that cannot run the embedded server get one sentence with the cure?"""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from oxcart.connection import embedded
from oxcart.connection.embedded import embedded_server
from oxcart.connection.embedded_failures import (
    binary_missing,
    binary_unusable,
    explain_report,
    folder_unusable,
    platform_unsupported,
)
from oxcart.errors import SettingsError, Unavailable
from oxcart.testing import wait_until

FOLDER = Path("/srv/app/.oxcart")


async def write_some_data(folder: Path) -> Path:
    """Leaves the folder with data and no server; returns its append-only folder."""
    async with embedded_server(folder):
        assert (folder / "server.json").exists()
    await wait_until(lambda: not (folder / "server.json").exists(), describe="the server has stopped")
    return folder / "appendonlydir"


async def refusal(folder: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        async with embedded_server(folder):
            pytest.fail("it started")
    [problem] = caught.value.problems
    return problem


async def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    data = await write_some_data(tmp_path / "data")
    file = next(data.glob("*.incr.aof"))
    file.write_bytes(b"this is no append-only file\r\n" * 9)

    problem = await refusal(tmp_path / "data")

    assert f"{file} is damaged" in problem
    assert "move it aside" in problem


async def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    data = await write_some_data(tmp_path / "data")
    (data / "appendonly.aof.manifest").write_text("garbage\n")

    assert f"{data / 'appendonly.aof.manifest'} is damaged" in await refusal(tmp_path / "data")


async def test_data_of_a_newer_version_are_not_touched(tmp_path: Path) -> None:
    data = await write_some_data(tmp_path / "data")
    base = next(data.glob("*.base.rdb"))
    newer = base.read_bytes()[:6] + b"999" + base.read_bytes()[9:]
    base.write_bytes(newer)

    problem = await refusal(tmp_path / "data")

    assert f"{base} was written by a newer Valkey than 9." in problem
    assert base.read_bytes() == newer


async def test_a_truncated_end_is_repaired_by_the_server_itself(tmp_path: Path) -> None:
    """What a power cut leaves: the last command half written."""
    data = await write_some_data(tmp_path / "data")
    file = next(data.glob("*.incr.aof"))
    file.write_bytes(file.read_bytes() + b"*3\r\n$3\r\nSET\r\n$1")

    async with embedded_server(tmp_path / "data") as server:
        assert server.port


async def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    assert "is a file" in await refusal(tmp_path / "data")
    assert "is a file" in await refusal(tmp_path / "data" / "below")


async def test_a_folder_with_other_files_is_not_closed_to_their_readers(tmp_path: Path) -> None:
    (tmp_path / "report.txt").touch()
    tmp_path.chmod(0o755)

    problem = await refusal(tmp_path)

    assert "holds other files" in problem
    assert "OXCART_DATA_DIR" in problem
    assert tmp_path.stat().st_mode & 0o777 == 0o755


async def test_an_open_empty_folder_is_closed_to_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    async with embedded_server(tmp_path):
        assert tmp_path.stat().st_mode & 0o777 == 0o700


async def test_a_program_that_cannot_be_run(tmp_path: Path) -> None:
    not_a_program = tmp_path / "valkey-server"
    not_a_program.write_text("")
    not_a_program.chmod(0o755)
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)

    with pytest.raises(SettingsError, match="cannot be run on this machine"):
        await embedded.start_watchdog(folder, not_a_program)


async def test_two_errors_do_not_hold_the_folder(tmp_path: Path) -> None:
    """A refused user must leave no lock behind, or the server of a mended folder would never stop."""
    data = await write_some_data(tmp_path / "data")
    manifest = data / "appendonly.aof.manifest"
    good = manifest.read_text()
    manifest.write_text("garbage\n")
    await asyncio.gather(refusal(tmp_path / "data"), refusal(tmp_path / "data"))

    manifest.write_text(good)

    await write_some_data(tmp_path / "data")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "not writable"),
        (errno.EROFS, "not writable"),
        (errno.ENOTDIR, "is a file"),
        (errno.ENOLCK, "no file locks"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_what_the_system_refuses(number: int, words: str) -> None:
    problem = str(folder_unusable(FOLDER, OSError(number, os.strerror(number))))

    assert words in problem
    assert str(FOLDER) in problem
    assert "OXCART_DATA_DIR" in problem


@pytest.mark.parametrize(
    ("log", "words"),
    [  # as Valkey 9.1.2 wrote them
        ("3:M 22 Nov 2026 # Write error writing append only file on disk: No space left on device", "the disk is full"),
        ("3:M 22 Nov 2026 # Can't open or create append-only dir appendonlydir: Permission denied", "not writable"),
        (
            "3:M # Unable to obtain the AOF file appendonly.aof.1.base.rdb length. stat: No such file or directory",
            "appendonlydir/appendonly.aof.1.base.rdb is damaged",
        ),
        (
            "3:M # Short read or OOM loading DB.\n[offset 0] Checking RDB file appendonly.aof.1.base.rdb",
            "appendonly.aof.1.base.rdb is damaged",
        ),
    ],
)
def test_what_the_server_says_before_it_gives_up(log: str, words: str) -> None:
    error = explain_report("exited", log, FOLDER, "9.1.2")

    assert isinstance(error, SettingsError)
    assert words in str(error)


@pytest.mark.parametrize(
    ("outcome", "detail", "words"),
    [
        ("exited", "3:M # Failed listening on port 20001 (tcp), aborting.", "no port on 127.0.0.1 is free"),
        ("exited", "first\n3:M # Something new, aborting.\n", "Something new, aborting."),
        ("exited", "", "said: nothing"),
        ("leftover", "server.lock", "server.lock"),
        ("silent", "", "server.log"),
    ],
)
def test_what_may_pass_is_no_settings_error(outcome: str, detail: str, words: str) -> None:
    error = explain_report(outcome, detail, FOLDER, "9.1.2")

    assert isinstance(error, Unavailable)
    assert words in str(error)
    assert error.failure.code == "EMBEDDED_SERVER"
    assert error.failure.advice


@pytest.mark.parametrize(
    "error", [platform_unsupported("Windows"), binary_missing(), binary_unusable("Exec format error")]
)
def test_a_machine_without_a_server_is_told_to_use_another_redis(error: SettingsError) -> None:
    assert "REDIS_URL" in str(error)
