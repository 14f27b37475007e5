"""A door on real sockets, in front of a server that says what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest

from corral.local.drill.copy import Door
from corral.simulated.loopback import LOOPBACK


@asynccontextmanager
async def _echo() -> AsyncGenerator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(100):
            writer.write(said)
        writer.close()

    async with await asyncio.start_server(answer, LOOPBACK, 0) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def _door() -> AsyncGenerator[Door]:
    door = Door()
    await door.open()
    try:
        async with _echo() as port:
            door.behind = port
            yield door
    finally:
        await door.end()


async def _says(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes) -> bytes:
    writer.write(said)
    return await reader.read(100)


async def _what_is_open_goes_on_and_new_connections_are_refused() -> None:
    async with _door() as door:
        port = door.port
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        assert await _says(reader, writer, b"hello") == b"hello"
        door.shut()
        assert await _says(reader, writer, b"still here") == b"still here"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(LOOPBACK, port)
        await door.open()
        assert door.port == port
        again, other = await asyncio.open_connection(LOOPBACK, port)
        assert await _says(again, other, b"back") == b"back"
        writer.close()
        other.close()


async def _an_end_on_one_side_is_an_end_on_the_other() -> None:
    async with _door() as door:
        reader, writer = await asyncio.open_connection(LOOPBACK, door.port)
        assert await _says(reader, writer, b"hello") == b"hello"
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()


async def _nobody_behind_it_is_a_closed_connection() -> None:
    async with _door() as door:
        async with _echo() as port:
            door.behind = port
        reader, writer = await asyncio.open_connection(LOOPBACK, door.port)
        assert await reader.read() == b""
        writer.close()


async def _an_ended_door_cuts_what_passes() -> None:
    async with _door() as door:
        reader, writer = await asyncio.open_connection(LOOPBACK, door.port)
        assert await _says(reader, writer, b"hello") == b"hello"
        await door.end()
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    "case",
    [
        _what_is_open_goes_on_and_new_connections_are_refused,
        _an_end_on_one_side_is_an_end_on_the_other,
        _nobody_behind_it_is_a_closed_connection,
        _an_ended_door_cuts_what_passes,
    ],
    ids=lambda case: case.__name__.strip("_"),
)
def test_of_a_door(case: Callable[[], Coroutine[None, None, None]]):
    asyncio.run(asyncio.wait_for(case(), 20))
