"""What is written to a terminal: text is text, and a table is readable at any width."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

import corral
from corral.cli.tables import status_table
from corral.cli.terminal import Sheet, complain, console, print_prose, until_signalled
from corral.local.statistics.status import HostStatus, ModelStatus
from tests.cli.conftest import Corral

LONG = "meta-llama/Llama-3.3-70B-Instruct"


def shown(sheet: Sheet, width: int) -> list[str]:
    out = Console(file=io.StringIO(), width=width, markup=False, emoji=False)
    out.print(sheet)
    assert isinstance(out.file, io.StringIO)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


def sheet(*hosts: str) -> Sheet:
    sheet = Sheet("MODEL", "HOST", "SHARE", "FAILED ATTEMPTS", "STATE", titles=1, left=("STATE",))
    for model in ("m", LONG):
        sheet.group(model, notes=(Text("12 requests"), Text("0 server errors")))
        for host in hosts:
            sheet.row(host, "60%", "3", "ok", remark="simulated: no key" if host == "groq" else "")
    return sheet


def test_where_there_is_room_a_table_is_one():
    assert shown(sheet("groq", "lab"), 200) == [
        "MODEL                              HOST  SHARE  FAILED ATTEMPTS  STATE",
        "m                                  groq    60%                3  ok     simulated: no key",
        "  12 requests                      lab     60%                3  ok",
        "  0 server errors",
        f"{LONG}  groq    60%                3  ok     simulated: no key",
        "  12 requests                      lab     60%                3  ok",
        "  0 server errors",
    ]


def test_where_there_is_less_each_group_has_a_line_of_its_own():
    assert shown(sheet("groq", "lab"), 64) == [
        "                 FAILED",
        "HOST    SHARE  ATTEMPTS  STATE",
        "m  12 requests, 0 server errors",
        "  groq    60%         3  ok",
        "  lab     60%         3  ok",
        "  groq: simulated: no key",
        f"{LONG}  12 requests, 0 server errors",
        "  groq    60%         3  ok",
        "  lab     60%         3  ok",
        "  groq: simulated: no key",
    ]


def test_where_there_is_hardly_any_it_is_said_in_sentences():
    assert shown(sheet("groq"), 28) == [
        "m  12 requests, 0 server",
        "errors",
        "  groq: share 60%, failed",
        "  attempts 3, state ok",
        "  groq: simulated: no key",
        LONG[:28],
        f"{LONG[28:]}  12 requests, 0 server",
        "errors",
        "  groq: share 60%, failed",
        "  attempts 3, state ok",
        "  groq: simulated: no key",
    ]


MODELS = tuple(
    ModelStatus(
        name,
        1_234_567,
        12,
        3_456,
        tuple(
            HostStatus(
                host,
                "share",
                20,
                19.9,
                98_765,
                123_456,
                12_345,
                1_234.0,
                54_321.0,
                ejected=out,
                simulated="no key in X",
                first_byte_p95=None,
                input_tokens=0,
                output_tokens=0,
            )
            for host, out in (("bedrock", False), ("together-serverless", True), ("vllm", False))
        ),
    )
    for name in ("llama-3.3-70b", "llama-4-maverick-17b-128e", LONG)
)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 132, 200])
def test_at_no_width_a_word_of_the_status_is_broken_or_left_out(width: int):
    lines = shown(status_table(MODELS), width)
    assert max(map(len, lines)) <= width
    output = " ".join(lines).replace(",", "").replace(":", "").lower().split()
    for model in MODELS:
        assert model.model.lower() in output
    once = ("declared", "observed", "requests", "failed", "attempts", "p50", "p99", "state", "ejected")
    assert [each for each in (*once, "1234567", "12345", "54321", "together-serverless") if each not in output] == []
    assert "no key in x" in " ".join(output)


CODES = "a:key:b, :accept: and [bold]x[/]"


def test_text_is_never_taken_for_markup_or_the_name_of_an_emoji(capsys: pytest.CaptureFixture[str]):
    out = console()
    out.print(CODES)
    print_prose(out, Text(f"{CODES}\n"))
    table = Sheet("MODEL", "HOST", titles=1)
    table.group(CODES)
    table.row("lab")
    out.print(table)
    complain(CODES)
    written = capsys.readouterr()
    assert [line.split("  ")[0] for line in written.out.splitlines()] == [CODES, CODES, "MODEL", CODES]
    assert written.err == f"{CODES}\n"


STACK = """\
config:
  corral:hosts:
    lab: {kind: openai, url: https://l/v1, models: {"a:key:b": "m:bug:x"}}
  corral:models: {"a:key:b": {shares: {lab: 100}}}
"""


def test_a_model_is_called_as_the_stack_calls_it(corral: Corral, project: Path):
    (project / "stacks" / "Pulumi.local.yaml").write_text(STACK)
    plan = corral("plan").out
    assert "a:key:b" in plan
    assert "m:bug:x" in plan
    (project / "stacks" / "Pulumi.local.yaml").write_text("corral:accept: []\n")
    assert "corral:accept" in corral("plan").err


def test_consoles_are_made_in_one_place():
    package = Path(corral.__path__[0])
    making = [path.name for path in package.rglob("*.py") if "Console(" in path.read_text(encoding="utf-8")]
    assert making == ["terminal.py"]


def test_a_wait_for_a_socket_that_is_cancelled_as_it_is_answered_shows_no_traceback(caplog: pytest.LogCaptureFixture):
    async def reads_until_the_end() -> None:
        """As anyio waits for a Unix socket, answered in the turn of the loop in which the wait ends."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        answered = loop.create_future()
        loop.add_reader(ours, answered.set_result, None)

        def answer() -> None:
            theirs.send(b"x")
            loop.call_soon(answered.cancel)

        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        finally:
            loop.call_soon(answer)
            with pytest.raises(asyncio.CancelledError):
                await answered
            await asyncio.sleep(0)
            loop.remove_reader(ours)
            ours.close()
            theirs.close()

    assert asyncio.run(until_signalled(reads_until_the_end()))
    assert caplog.text == ""
