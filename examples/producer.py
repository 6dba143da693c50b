"""A web server that adds jobs, with the standard library alone. One Queue serves the whole program.

With FastAPI or Starlette the `async with Queue(...)` belongs into the lifespan function, and `enqueue` into a route.

python producer.py 8000
curl -d '{"name": "Ann"}' http://127.0.0.1:8000/greet
"""

from __future__ import annotations

import asyncio
import json
import sys
from http import HTTPStatus

from oxcart import InvalidInput, Queue, Unavailable


async def enqueue(queue: Queue, name: str, body: bytes) -> tuple[HTTPStatus, dict[str, str]]:
    try:
        added = await queue.add(name, json.loads(body or b"{}"), attempts=3, backoff="exponential:1s")
    except (InvalidInput, json.JSONDecodeError) as error:
        return HTTPStatus.BAD_REQUEST, {"error": str(error)}
    except Unavailable:
        return HTTPStatus.SERVICE_UNAVAILABLE, {"error": "The queue is away. Try again."}
    return HTTPStatus.ACCEPTED, {"id": added.id}


async def answer(queue: Queue, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    path = request.split(" ", 2)[1]
    headers = dict(line.lower().split(": ", 1) for line in request.split("\r\n")[1:] if line)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    status, content = await enqueue(queue, path.strip("/"), body)
    text = json.dumps(content).encode()
    head = f"HTTP/1.1 {status} {status.phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}"
    writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode() + text)
    await writer.drain()
    writer.close()


async def main(port: int) -> None:
    async with Queue("agent-jobs") as queue:
        server = await asyncio.start_server(lambda r, w: answer(queue, r, w), "127.0.0.1", port)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8000))
