"""The copy of a stack; and a TCP proxy on real sockets, in front of a server that says what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from corral.cli.project import load_servable
from corral.local.drill.stack_copy import TcpProxy, TenantKeys, copy_stack, rehearsal
from corral.local.sidecars import Sidecars
from corral.plan.callers import Issuer
from corral.plan.credentials import hash_of
from corral.plan.plan import RequestSettings
from corral.simulated.loopback import LOOPBACK
from tests.plan.world import LLAMA, build


@asynccontextmanager
async def _echo() -> AsyncGenerator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(100):
            writer.write(piece)
        writer.close()

    async with await asyncio.start_server(answer, LOOPBACK, 0) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def _proxy() -> AsyncGenerator[TcpProxy]:
    proxy = TcpProxy()
    await proxy.listen()
    try:
        async with _echo() as port:
            proxy.target_port = port
            yield proxy
    finally:
        await proxy.close()


async def _echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> bytes:
    writer.write(text)
    return await reader.read(100)


async def _what_is_open_goes_on_and_new_connections_are_refused() -> None:
    async with _proxy() as proxy:
        port = proxy.port
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        assert await _echoed(reader, writer, b"hello") == b"hello"
        proxy.refuse()
        assert await _echoed(reader, writer, b"still here") == b"still here"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(LOOPBACK, port)
        await proxy.listen()
        assert proxy.port == port
        again, other = await asyncio.open_connection(LOOPBACK, port)
        assert await _echoed(again, other, b"back") == b"back"
        writer.close()
        other.close()


async def _an_end_on_one_side_is_an_end_on_the_other() -> None:
    async with _proxy() as proxy:
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        assert await _echoed(reader, writer, b"hello") == b"hello"
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()


async def _nobody_behind_it_is_a_closed_connection() -> None:
    async with _proxy() as proxy:
        async with _echo() as port:
            proxy.target_port = port
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        assert await reader.read() == b""
        writer.close()


async def _a_closed_proxy_cuts_what_passes() -> None:
    async with _proxy() as proxy:
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        assert await _echoed(reader, writer, b"hello") == b"hello"
        await proxy.close()
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    "case",
    [
        _what_is_open_goes_on_and_new_connections_are_refused,
        _an_end_on_one_side_is_an_end_on_the_other,
        _nobody_behind_it_is_a_closed_connection,
        _a_closed_proxy_cuts_what_passes,
    ],
    ids=lambda case: case.__name__.strip("_"),
)
def test_of_a_proxy(case: Callable[[], Coroutine[None, None, None]]):
    asyncio.run(asyncio.wait_for(case(), 20))


STACK = """\
config:
  corral:engine: {address: 0.0.0.0, port: 9000, pagePort: 9001, simulate: never, ejectionTime: 500ms}
  corral:hosts:
    groq: {models: {m: groq-m}}
    lab: {kind: openai, url: "https://lab.example.com/v1", auth: none, models: {m: lab-m}}
  corral:models:
    m: {shares: {groq: 60, lab: 40}}
  corral:tenants: {search: {}}
"""


def test_times_are_shortened_and_never_prolonged():
    plan = build({LLAMA: {"shares": {"azure": 100}}})
    assert rehearsal(plan, {}).request_settings == RequestSettings(
        1_000, 3_000, 10_000, 1_000, plan.request_settings.body_limit
    )
    quick = replace(plan, request_settings=RequestSettings(50, 60, 70, 80, 90))
    assert rehearsal(quick, {}) == quick


def test_every_tenant_has_a_key_of_the_drill_alone_and_nobody_vouches_for_it():
    plan = build({LLAMA: {"shares": {"azure": 100}}}, tenants={"search": {"keys": [f"sha256:{'a' * 64}"]}})
    plan = replace(plan, issuers=(Issuer("https://login.example.com/", ("corral",), "https://x/keys", None, "sub"),))
    keys = TenantKeys()
    rehearsed = rehearsal(plan, keys)
    assert rehearsed.issuers == ()
    assert {tenant.name: tenant.keys for tenant in rehearsed.tenants} == {
        name: (hash_of(keys[name]),) for name in ("drill", "drill-limited", "search")
    }


def test_the_copy_calls_no_real_host_and_takes_free_ports_of_its_own(tmp_path: Path):
    file = tmp_path / "Pulumi.mine.yaml"
    file.write_text(STACK)
    (tmp_path / "folder").mkdir()
    copy = copy_stack(file, tmp_path / "folder", load_servable, TenantKeys())
    desired = copy.read("always")
    settings = desired.stack.settings
    assert (settings.address, settings.port, settings.page_port) == ("127.0.0.1", 0, 0)
    assert dict(copy.environment) == {}
    assert {host.name for host in desired.simulated} == {"groq", "lab"}


def test_a_host_with_a_proxy_in_front_of_it_is_reached_through_that_and_keeps_its_path_and_key(tmp_path: Path):
    file = tmp_path / "Pulumi.mine.yaml"
    file.write_text(STACK)
    (tmp_path / "folder").mkdir()
    copy = copy_stack(file, tmp_path / "folder", load_servable, TenantKeys())
    desired = copy.read("always")
    sidecars = Sidecars(print)
    try:
        direct, _ = sidecars.upstreams(desired, {})
        links, secrets = sidecars.upstreams(desired, {"groq": 4_000, "elsewhere": 4_001})
    finally:
        asyncio.run(sidecars.stop())
    assert {host: link.url for host, link in links.items()} == {
        "groq": "http://127.0.0.1:4000/groq/openai/v1",
        "lab": f"http://127.0.0.1:{direct['lab'].port}/lab/v1",
    }
    assert secrets.keys() == {links["groq"].name}


def test_an_edit_of_the_copy_leaves_the_stack_as_it_is(tmp_path: Path):
    file = tmp_path / "Pulumi.mine.yaml"
    file.write_text(STACK)
    (tmp_path / "folder").mkdir()
    copy = copy_stack(file, tmp_path / "folder", load_servable, TenantKeys())
    copy.save(STACK.replace("60", "40").replace(" 40}", " 60}"))
    assert file.read_text() == STACK
    assert copy.text() != STACK.encode()
    assert [path.name for path in copy.file.parent.iterdir()] == ["Pulumi.mine.yaml"]
