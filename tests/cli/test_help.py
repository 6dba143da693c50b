"""Does the help of each command have an example that is understood, and nothing cut?"""

from __future__ import annotations

import shlex

import click
import pytest
from support.commands import every_command

from oxcart.cli.examples import EXAMPLES
from oxcart.cli.filters import complete_name, complete_state
from oxcart.cli.options import complete_queue
from oxcart.cli.program import build_command

COMMANDS = {
    path.removeprefix("oxcart "): command
    for path, command in every_command(build_command())
    if not isinstance(command, click.Group)
}


@pytest.mark.parametrize("path", COMMANDS)
def test_its_example_is_understood(path: str) -> None:
    words = shlex.split(EXAMPLES[path])
    given = words[words.index("oxcart") + 1 :]
    command = COMMANDS[path]

    assert given[: len(path.split())] == path.split()
    command.make_context(path, given[len(path.split()) :])
    assert EXAMPLES[path] in command.get_help(click.Context(command))


def test_each_example_is_of_a_command() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


def test_no_sentence_is_cut() -> None:
    root = build_command()
    for group in (root, root.commands["jobs"], root.commands["kommo"]):
        shown = group.get_help(click.Context(group, terminal_width=80))
        assert "…" not in shown
        assert "..." not in shown.replace("[ARGS]...", "")
        assert max(map(len, shown.splitlines())) <= 80


def test_what_a_shell_completes(redis_url: str, queue_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from redis import Redis

    monkeypatch.setenv("REDIS_URL", redis_url)
    with Redis.from_url(redis_url) as client:
        client.hset(f"bull:{queue_name}:meta", "version", "x")
    context = click.Context(build_command())
    param = click.Option(["--x"])

    assert complete_queue(context, param, queue_name[:6]) == [queue_name]
    assert complete_state(context, param, "wait") == ["waiting", "waiting-children"]
    assert "crm:sync-contacts" in complete_name(context, param, "crm:")


def test_a_shell_is_not_held_up_by_a_redis_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")

    assert complete_queue(click.Context(build_command()), click.Option(["--x"]), "") == []
