"""Which Node does a test get? `node` is BullMQ 5 and 6 in turn; `node5` and `node6` are one of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.server import PrivateServer

from .node_driver import NodeDriver
from .node_install import MAJORS, installed, node_binary
from .old_versions import Steps, steps_on


def _driver(major: str, server: PrivateServer) -> Iterator[NodeDriver]:
    driver = NodeDriver(node_binary(), installed(major), major)
    try:
        driver.connect(server.host, server.port, server.password)
        yield driver
    finally:
        driver.close()


@pytest.fixture(scope="module")
def node5(server: PrivateServer) -> Iterator[NodeDriver]:
    yield from _driver("5", server)


@pytest.fixture(scope="module")
def node6(server: PrivateServer) -> Iterator[NodeDriver]:
    yield from _driver("6", server)


@pytest.fixture(params=MAJORS, ids=[f"bullmq{major}" for major in MAJORS])
def node(request: pytest.FixtureRequest) -> NodeDriver:
    driver: NodeDriver = request.getfixturevalue(f"node{request.param}")
    return driver


@pytest.fixture
def old(server: PrivateServer) -> Steps:
    return steps_on(server)
