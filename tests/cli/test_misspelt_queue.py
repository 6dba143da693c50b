"""Is the name of a queue that is not there told, with a guess, by every command that reads one?"""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from redis import Redis

from oxcart.cli import main
from oxcart.cli.exits import USAGE
from oxcart.cli.program import build_command

MAY_BE_NEW = {("run",), ("enqueue",), ("flow", "add"), ("schedules", "add")}
# What each needs beside the queue to be understood.
GIVEN = {
    ("jobs", "edit"): ("x", "--priority", "1"),
    ("jobs", "move"): ("x", "--to", "other"),
    ("clean",): ("--yes",),
    ("drain",): ("--yes",),
}


def with_a_queue(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from with_a_queue(command, (*path, name))
        elif any("--queue" in param.opts for param in command.params):
            yield (*path, name), command


READING = {path: command for path, command in with_a_queue(build_command()) if path not in MAY_BE_NEW}


@pytest.mark.parametrize("path", READING, ids=" ".join)
def test_it_is_a_mistake_of_usage_with_a_guess(
    path: tuple[str, ...],
    redis_url: str,
    queue_name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    with Redis.from_url(redis_url) as client:
        client.hset(f"bull:{queue_name}:meta", "version", "x")
        needs = sum(isinstance(param, click.Argument) for param in READING[path].params)
        given = GIVEN.get(path, ("x",) * needs)

        code = main([*path, *given, "--queue", f"{queue_name}x"])

        assert [*client.scan_iter(f"bull:{queue_name}x:*")] == [], "nothing was made under that name"
    shown = capsys.readouterr()
    assert (code, shown.out) == (USAGE, "")
    assert shown.err.startswith(f'There is no queue "{queue_name}x". Did you mean {queue_name}?')
    assert shown.err.count("\n") == 1


def test_there_are_commands_that_read_one() -> None:
    assert ("counts",) in READING
    assert {path for path, _ in with_a_queue(build_command())} >= MAY_BE_NEW
