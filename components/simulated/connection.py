"""Real connection resets out of an ASGI app.

ASGI has no message for a reset, so the server's own protocol class is extended: each connection puts a `reset`
function into the state that the server copies into every request's `scope["state"]`.  It sets SO_LINGER to zero
seconds and aborts the transport; the kernel then answers with RST instead of FIN, and what was written before is not
taken back.  It works alike with httptools and h11, and with the event loops of asyncio and uvloop.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

_NO_LINGER = struct.pack("ii", 1, 0)


class ResettableProtocol(AutoHTTPProtocol):
    """Uvicorn's HTTP protocol, with `scope["state"]["reset"]`."""

    app_state: dict[str, Any]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.app_state = self.app_state | {"reset": partial(_reset, cast("asyncio.Transport", transport))}
        super().connection_made(transport)


def _reset(transport: asyncio.Transport) -> None:
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
