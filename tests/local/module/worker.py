"""The module on an Envoy that stands in for the real one (`fake_envoy.c`): one stream at a time, hook by hook."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from ctypes import (
    POINTER,
    Structure,
    byref,
    c_bool,
    c_char_p,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from corral.local.envoy import statistics
from corral.local.envoy.module import hidden_headers
from corral.local.module import compiler
from corral.local.statistics import readings

NOW = 1_795_276_110_747
"""Milliseconds since 1970."""

REQUEST, OWN, RESPONSE = 0, 1, 2
"""Headers: of the request, of what the module itself has answered, of the host's answer."""

_OF_ENVOY = ("time", "id", "method", "status", "duration_ms", "attempts", "flags")

_FOLDER = Path(compiler.__file__).parent
_SOURCES = [*(file for file in compiler.SOURCES if file.name != "clock.c"), Path(__file__).with_name("fake_envoy.c")]


class Text(Structure):
    _fields_ = [("p", c_void_p), ("n", c_size_t)]

    @property
    def bytes(self) -> bytes:
        return ctypes.string_at(self.p, self.n) if self.n else b""


class Header(Structure):
    _fields_ = [("key", Text), ("value", Text)]


def text(value: str | bytes) -> Text:
    """A text; its bytes live as long as what it was passed to needs them, for each call copies."""
    data = value if isinstance(value, bytes) else value.encode()
    of = Text(ctypes.cast(c_char_p(data), c_void_p), len(data))
    of.keep = data  # pyright: ignore[reportAttributeAccessIssue]
    return of


@cache
def _compiled() -> Path:
    target = Path(tempfile.mkdtemp(prefix="corral-module-")) / "module.so"
    command = [*compiler.command(target, _SOURCES), "-I", str(_FOLDER)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return target


def _library() -> Any:
    """The module anew, as a process of its own has it."""
    path = Path(tempfile.mkdtemp(dir=_compiled().parent)) / "module.so"
    shutil.copy(_compiled(), path)
    library = ctypes.CDLL(str(path))
    path.unlink()
    hook = "envoy_dynamic_module_on_http_filter_"
    results = {
        "fake_new": c_void_p,
        "fake_scheduled": c_bool,
        "fake_continued": c_bool,
        "fake_take": Text,
        "fake_level": POINTER(c_int64),
        "fake_series": Text,
        "envoy_dynamic_module_on_access_logger_new": c_void_p,
    }
    results |= {f"{hook}{name}": c_void_p for name in ("config_new", "per_route_config_new", "new")}
    results |= {"fake_headers": c_size_t, "fake_answer": c_uint32, "plan_of": c_void_p, "date_of": c_int64}
    results |= {"fake_allowed": c_uint64, "fake_selected": c_bool, "fake_race": c_int64, "fake_contend": c_int64}
    for name, result in results.items():
        getattr(library, name).restype = result
    return library


@dataclass(frozen=True)
class Ran:
    """What the module has left behind."""

    headers: Mapping[str, str]
    body: bytes
    passed: tuple[bytes, ...]
    """The pieces as they went on, each when it came; of what was held until the end it is one."""
    status: int | None
    """What the module itself has answered."""
    sent: Mapping[str, str]
    """The headers that it answered with."""
    answer: bytes
    rerouted: bool
    status_of_hook: int = 0


class Worker:
    """The module in one process of Envoy's."""

    def __init__(self) -> None:
        self.library = _library()
        self._gateway = self._config("gateway", "")
        self._attempt = self._config("attempt", hidden_headers())
        self._plans: dict[str, Any] = {}
        self._before: Counter[str] = Counter()
        self._log: c_void_p | None = None

    def hook(self, name: str) -> Any:
        return getattr(self.library, f"envoy_dynamic_module_on_http_filter_{name}")

    def _config(self, name: str, source: str) -> c_void_p:
        return c_void_p(self.hook("config_new")(None, text(name), text(source)))

    def plan(self, source: str) -> c_void_p:
        if source not in self._plans:
            found = self.hook("per_route_config_new")(text("plan"), text(source))
            assert found, source
            self._plans[source] = c_void_p(found)
        return self._plans[source]

    def forget(self, source: str) -> None:
        """Another plan is in force."""
        self.hook("per_route_config_destroy")(self._plans.pop(source))

    def level(self, name: str) -> Any:
        """What is kept under a name: when a bucket is full again, or how many requests are under way."""
        data = name.encode()
        return self.library.fake_level(data, c_size_t(len(data))).contents

    @property
    def gauge(self) -> int:
        """How many requests of limited tenants are under way, as the statistics have it."""
        return sum(number for name, number in self.series().items() if name.startswith("corral.active."))

    def series(self) -> Counter[str]:
        """Counters and gauges."""
        sums: Counter[str] = Counter()
        for entry in json.loads(self.library.fake_series(c_bool(False)).bytes):
            sums[entry["name"]] += entry["value"]
        return sums

    def times(self) -> dict[str, list[dict[str, float]]]:
        """The bins of histograms."""
        return {each["name"]: each["totals"] for each in json.loads(self.library.fake_series(c_bool(True)).bytes)}

    def counted(self) -> list[str]:
        """What was counted since the last time: attempts as `model host code 1`, ejections as `model host until`."""
        now = self.series()
        grown = {series: now[name] - self._before[name] for name in now if (series := readings.series_of(name))}
        lines = [
            f"{series.model} {series.host} {series.code} 1"
            for series, number in grown.items()
            for _ in range(number if series.counter == statistics.ATTEMPTS else 0)
        ]
        lines += [
            f"{series.model} {series.host} {now[name]}"
            for name in now
            if (series := readings.series_of(name)) and series.counter == statistics.EJECTED_UNTIL and grown[series]
        ]
        self._before = now
        return lines

    def write_log(self, of: c_void_p) -> dict[str, Any]:
        """The line of a stream that is over."""
        log = "envoy_dynamic_module_on_access_logger_"
        if not self._log:
            self._file = _compiled().parent / f"{id(self)}.log"
            self.library[f"{log}config_new"](None, text("log"), text(str(self._file)))
            self._log = c_void_p(getattr(self.library, f"{log}new")(None, None))
        self.library[f"{log}log"](of, self._log, 0)
        self.library[f"{log}flush"](self._log)
        line = self._file.read_text()
        self._file.unlink()
        return json.loads(line)

    def unresolved(self, cluster: str) -> None:
        """Of this cluster no address is known."""
        self.library.fake_unresolved(text(cluster))

    def tick(self, now: float) -> None:
        """The timer that watches those who wait has fired."""
        self.library.fake_time(c_int64(int(now * 1000)))
        self.library.serve_queues(None)

    def stream(self, plan: str, now: int = NOW) -> Stream:
        return Stream(self, plan, now)

    def filter_of(self, name: str) -> c_void_p:
        return c_void_p(self.hook("new")(self._gateway if name == "gateway" else self._attempt, None))


class Stream:
    """One request, its attempts, and its answer."""

    def __init__(self, worker: Worker, plan: str, now: int) -> None:
        self._worker = worker
        self._library = worker.library
        self.now = now
        self._self = c_void_p(self._library.fake_new(worker.plan(plan)))
        self._gateway = worker.filter_of("gateway")
        self._attempts: list[c_void_p] = []
        self._ended = False
        self._cluster = ""

    def __del__(self) -> None:
        self.end()
        for each in (*self._attempts, self._gateway):
            self._worker.hook("destroy")(each)
        self._library.fake_free(self._self)

    def end(self, details: bytes = b"downstream_remote_disconnect") -> None:
        """Its last event; of one whose answer is not complete, why."""
        if not self._ended:
            self._ended = True
            self._library.fake_details(self._self, details, c_size_t(len(details)))
            self._worker.hook("stream_complete")(self._self, self._gateway)

    def request(self, headers: Mapping[str, str | bytes], pieces: Sequence[bytes] = ()) -> Ran:
        for name, value in headers.items():
            self._add_header(REQUEST, name, value)
        return self._run(self._gateway, "request", REQUEST, pieces)

    def selected(self) -> tuple[str, str] | None:
        """The cluster that Envoy is told for the next attempt, and by how many hosts there are its retry policy."""
        cluster, override = Text(), Text()
        self._library.fake_time(c_int64(self.now * 1000))
        found = self._library.fake_selected(self._self, byref(cluster), byref(override))
        return (cluster.bytes.decode(), override.bytes.decode()) if found else None

    def scheduled(self) -> bool:
        """Whether it was called since the last time, so that it waits no more; it goes on then."""
        called = self._library.fake_scheduled(self._self)
        if called:
            self._worker.hook("scheduled")(self._self, self._gateway, c_uint64(0))
            assert self._library.fake_continued(self._self)
        return called

    @property
    def allowed(self) -> list[int]:
        """The places of the hosts that it can go to."""
        bits: int = self._library.fake_allowed(self._self)
        return [place for place in range(64) if bits >> place & 1]

    def attempt(self, body: bytes = b"") -> Ran:
        """The request as the next host gets it; `body` is what the gateway has passed on."""
        selected = self.selected()
        assert selected
        self._cluster = selected[0]
        self._attempts.append(self._worker.filter_of("attempt"))
        return self._run(self._attempts[-1], "request", REQUEST, [body] if body else [])

    def attempt_of_copy(self, headers: Mapping[str, str], body: bytes) -> Ran:
        """A copied request as the candidate gets it, in a stream of its own."""
        for name, value in headers.items():
            self._add_header(REQUEST, name, value)
        self._attempts.append(self._worker.filter_of("attempt"))
        return self._run(self._attempts[-1], "request", REQUEST, [body])

    @property
    def noted_host(self) -> str:
        """The name of the host that was asked last, as its cluster has it."""
        return self._cluster.removeprefix("host/").partition("@")[0]

    def attempt_began(self, headers: Mapping[str, str | bytes], piece: bytes) -> None:
        """The answer of the last attempt's host has begun."""
        self._library.fake_clear_headers(self._self, RESPONSE)
        for name, value in headers.items():
            self._add_header(RESPONSE, name, value)
        self._worker.hook("response_headers")(self._self, self._attempts[-1], c_bool(False))
        self._library.fake_add_piece(self._self, RESPONSE, text(piece))
        self._worker.hook("response_body")(self._self, self._attempts[-1], c_bool(False))

    def break_off(self) -> None:
        """The last attempt ends before its answer has."""
        self._worker.hook("destroy")(self._attempts.pop())

    def attempt_answer(self, headers: Mapping[str, str | bytes], pieces: Sequence[bytes] = ()) -> Ran:
        """The answer of the last attempt's host."""
        return self._answered(self._attempts[-1], headers, pieces)

    def answer(self, headers: Mapping[str, str | bytes], pieces: Sequence[bytes] = (), pace: int = 0) -> Ran:
        """The answer that is sent on; `pace` are the milliseconds between its pieces."""
        return self._answered(self._gateway, headers, pieces, pace)

    @property
    def metadata(self) -> dict[str, Any]:
        """What its line of the log has of what the module knows."""
        return {key: value for key, value in self.line().items() if value is not None and key not in _OF_ENVOY}

    def line(self, status: int = 200, flags: int = 0, nanoseconds: int = 0) -> dict[str, Any]:
        """Its line of the log: `flags` as Envoy's bits, and how long it took."""
        self.end()
        self._library.fake_ended(self._self, status, c_uint64(flags), c_int64(nanoseconds))
        return self._worker.write_log(self._self)

    def _answered(
        self, of: c_void_p, headers: Mapping[str, str | bytes], pieces: Sequence[bytes], pace: int = 0
    ) -> Ran:
        self._library.fake_clear_headers(self._self, RESPONSE)
        for name, value in headers.items():
            self._add_header(RESPONSE, name, value)
        return self._run(of, "response", RESPONSE, pieces, pace)

    def _add_header(self, kind: int, name: str, value: str | bytes) -> None:
        self._library.fake_add_header(self._self, kind, text(name), text(value))

    def _headers(self, kind: int) -> dict[str, str]:
        entries = POINTER(Header)()
        count = self._library.fake_headers(self._self, kind, byref(entries))
        return {each.key.bytes.decode("latin-1"): each.value.bytes.decode("latin-1") for each in entries[:count]}

    def _run(self, of: c_void_p, which: str, piece: int, pieces: Sequence[bytes], pace: int = 0) -> Ran:
        held, passed = piece + 1, list[bytes]()
        self._library.fake_time(c_int64(self.now * 1000))
        then = self._worker.hook(f"{which}_headers")(self._self, of, c_bool(not pieces))
        for at, each in enumerate(pieces):
            if at:
                self.now += pace
                self._library.fake_time(c_int64(self.now * 1000))
            self._library.fake_add_piece(self._self, piece, text(each))
            then = self._worker.hook(f"{which}_body")(self._self, of, c_bool(at + 1 == len(pieces)))
            if then == 1:
                self._library.fake_hold(self._self, held, piece)
            else:
                passed.append(self._library.fake_take(self._self, held, piece).bytes)
        answer, rerouted = Text(), c_bool()
        status = self._library.fake_answer(self._self, byref(answer), byref(rerouted))
        return Ran(
            headers=self._headers(piece),
            body=b"".join(passed),
            passed=tuple(passed),
            status=status or None,
            sent=self._headers(OWN),
            answer=answer.bytes,
            rerouted=rerouted.value,
            status_of_hook=then,
        )
