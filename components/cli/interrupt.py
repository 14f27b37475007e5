"""Ctrl-C and its kin: what runs is ended in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress


async def until_told(running: Coroutine[None, None, None]) -> bool:
    """Runs to its end, or until a signal asks for the end and it has ended in order; whether one did."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, told.set)
    work, asked = asyncio.create_task(running), asyncio.create_task(told.wait())
    await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if told.is_set():
        work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    return told.is_set()
