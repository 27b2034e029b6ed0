"""Passes TCP connections on to a Unix socket, for pods that need a database of this machine.

    python forwarder.py ADDRESS SOCKET

Prints its port, then serves until it is ended.
"""

from __future__ import annotations

import asyncio
import sys

from services import pass_on


async def main(host: str, path: str) -> None:
    """Serve until the process ends."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond, sink = await asyncio.open_unix_connection(path)
        await asyncio.gather(pass_on(reader, sink), pass_on(beyond, writer))

    server = await asyncio.start_server(accept, host, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
