"""How does a test let an older version of BullMQ, or Bull, add and run jobs? A Node process per call."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from support.server import PrivateServer

from .node_install import installed, node_binary

Steps = Callable[..., list[list[Any]]]
"""steps(package, *todo): what Node ran in these steps, [name, data] each."""

SCRIPT = Path(__file__).with_suffix(".mjs")
NEWEST = {"bullmq5": "5", "bullmq6": "6"}
"""Packages that are not in package-old.json: the newest of each."""


def steps_on(server: PrivateServer) -> Steps:
    password = {"password": server.password} if server.password else {}
    connection = json.dumps({"host": server.host, "port": server.port, **password})

    def steps(package: str, *todo: Mapping[str, Any]) -> list[list[Any]]:
        folder, name = (installed(NEWEST[package]), "bullmq") if package in NEWEST else (installed("old"), package)
        command = [str(node_binary()), str(SCRIPT), str(folder), name, connection, json.dumps(todo)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        ran: list[list[Any]] = json.loads(done.stdout.splitlines()[-1])
        return ran

    return steps


def add(queue: str, name: str, data: Mapping[str, Any], **opts: Any) -> dict[str, Any]:
    return {"do": "repeat", "queue": queue, "name": name, "data": data, "opts": opts}


def flow(queue: str, name: str, *children: Mapping[str, Any], data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    tree = node(queue, name, data or {})
    return {"do": "flow", "tree": {**tree, "children": list(children)}}


def node(queue: str, name: str, data: Mapping[str, Any], **opts: Any) -> dict[str, Any]:
    """A job of a flow."""
    return {"name": name, "queueName": queue, "data": data, "opts": opts}


def work(queue: str, jobs: int) -> dict[str, Any]:
    return {"do": "work", "queue": queue, "jobs": jobs}


def abandon(queue: str) -> dict[str, Any]:
    return {"do": "abandon", "queue": queue}
