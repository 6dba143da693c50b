"""A process that uses the embedded server of a folder until its standard input closes, or it is killed.

Prints one JSON line when it has the server, or the error. Not a test itself.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from oxcart.connection.embedded import embedded_server
from oxcart.errors import OxcartError


async def use(folder: Path) -> None:
    try:
        async with embedded_server(folder) as server:
            print(json.dumps({"port": server.port, "password": server.password.reveal()}), flush=True)
            await asyncio.to_thread(sys.stdin.read)
    except OxcartError as error:
        print(json.dumps({"error": str(error), "kind": type(error).__name__}), flush=True)


if __name__ == "__main__":
    asyncio.run(use(Path(sys.argv[1])))
