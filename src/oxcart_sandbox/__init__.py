"""What does a Kommo account do to its integrations? A local Kommo to try that on: docs/kommo-sandbox.md.

`create_app(World(contacts=1000))` is an ASGI app; `serving(world)` gives it a port of this machine.
"""

from __future__ import annotations

from oxcart_sandbox.account import Account
from oxcart_sandbox.app import create_app
from oxcart_sandbox.clock import SandboxClock
from oxcart_sandbox.scenario import SCENARIOS, Scenario, change_scenario, find_scenario
from oxcart_sandbox.serve import serving
from oxcart_sandbox.world import World

__all__ = [
    "SCENARIOS",
    "Account",
    "SandboxClock",
    "Scenario",
    "World",
    "change_scenario",
    "create_app",
    "find_scenario",
    "serving",
]
