"""Which commands are there? The tree of `oxcart`, as paths."""

from __future__ import annotations

from collections.abc import Iterator

import click


def every_command(group: click.Group, path: str = "oxcart") -> Iterator[tuple[str, click.Command]]:
    """The group itself, and all below it: "oxcart", "oxcart jobs", "oxcart jobs list"…"""
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command
