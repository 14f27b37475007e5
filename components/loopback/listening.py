"""Listens on loopback."""

from __future__ import annotations

import os
import socket

LOOPBACK = "127.0.0.1"


def bind(port: int) -> socket.socket:
    """A listening socket on loopback; port 0 takes a free one.  Raises OSError.

    It names its protocol: asyncio sets TCP_NODELAY only where it does, and without it each answer takes 40 ms.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((LOOPBACK, port))
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    return listening
