"""What the module finds in a request's JSON, and what it makes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from ctypes import Structure, byref, c_bool, c_size_t, c_void_p, create_string_buffer, string_at
from time import process_time
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.local.module.asking import asked, context, refusal
from tests.local.module.worker import Text, Worker, text

WORKER = Worker()
WORKER.library.find_members.restype = WORKER.library.string_at.restype = c_bool
WANTED = ("model", "stream", "stream_options")
TOLD = context()


class Member(Structure):
    _fields_ = [("key", c_size_t), ("start", c_size_t), ("to", c_size_t)]


class Buffer(Structure):
    _fields_ = [("p", c_void_p), ("n", c_size_t), ("room", c_size_t)]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OTHERS = st.text().filter(lambda key: key.lower() not in (*WANTED, "n") and not re.search(r'["\\\x00-\x1f]', key))
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", fullmatch=True)
LAYOUTS = st.sampled_from([None, 0, 2, "\t", " \r"])
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n ", "\t:\r\n ")])


@st.composite
def bodies(draw: st.DrawFn, *, streams: bool = False) -> tuple[dict[str, Any], bytes]:
    """A request and one of the texts that say it; with `streams` one for `m` that is streamed."""
    members = draw(st.dictionaries(OTHERS, VALUES, max_size=5))
    members["model"] = "m" if streams else draw(NAMES)
    if streams:
        members["stream"] = True
    elif draw(st.booleans()):
        members["stream"] = draw(st.sampled_from([True, False, None]))
    if draw(st.booleans()):
        members["stream_options"] = draw(
            st.none()
            | st.dictionaries(st.sampled_from(["include_usage", "a", "b"]), st.booleans() | VALUES, max_size=3)
        )
    given = {key: members[key] for key in draw(st.permutations(list(members)))}
    escapes = draw(st.booleans()) and all(re.fullmatch("[ -~]*", key) for key in given)  # such a key is refused
    text = json.dumps(given, indent=draw(LAYOUTS), separators=draw(SEPARATORS), ensure_ascii=escapes, allow_nan=False)
    return given, text.encode()


def found(body: bytes, wanted: Sequence[str] = WANTED) -> tuple[dict[str, tuple[int, int, int]] | None, str | None]:
    """Where the members stand, as slices of the text; or what is wrong with it."""
    names, where, wrong = (Text * len(wanted))(*map(text, wanted)), (Member * len(wanted))(), create_string_buffer(192)
    if not WORKER.library.find_members(text(body), names, c_size_t(len(wanted)), where, wrong):
        return None, wrong.value.decode()
    return {name: (at.key, at.start, at.to) for name, at in zip(wanted, where, strict=True) if at.to}, None


def attempted(body: bytes) -> bytes:
    """What the host gets of a request, under the same name for the model."""
    of = asked(body, told=TOLD, worker=WORKER)
    assert of.ran.status is None, of.ran.answer
    return of.stream.attempt(body).body


@given(bodies())
def test_the_members_are_found_where_they_stand(body: tuple[dict[str, Any], bytes]) -> None:
    given, written = body
    where, wrong = found(written)
    assert where is not None, wrong
    assert set(where) == {key for key in given if key in WANTED}
    for key, (start, value, stop) in where.items():
        assert written[start : start + len(key) + 2] == json.dumps(key).encode()
        assert json.loads(written[value:stop]) == given[key]


@given(bodies(streams=True))
def test_a_stream_is_asked_for_its_usage_and_nothing_else_changes(body: tuple[dict[str, Any], bytes]) -> None:
    sent, written = body
    options = sent.get("stream_options") or {}
    assume(options.get("include_usage") is not True)
    made = attempted(written)
    want = {**sent, "stream_options": {**options, "include_usage": True}}
    assert json.loads(made) == want
    assert len(json.loads(made, object_pairs_hook=list)) == len(want)


@pytest.mark.parametrize(
    ("options", "want"),
    [
        ("null", '{"include_usage":true}'),
        ("{}", '{"include_usage":true}'),
        ("{ }", '{"include_usage":true }'),
        ('{"include_usage":false}', '{"include_usage":true}'),
        ('{"include_usage": null , "a":1}', '{"include_usage":true,"a":1}'),
        ('{"a": 1, "include_usage": false}', '{"include_usage":true,"a": 1}'),
        ('{"a":{"include_usage":true}}', '{"include_usage":true,"a":{"include_usage":true}}'),
        ('{"a":"\\"include_usage\\":true"}', '{"include_usage":true,"a":"\\"include_usage\\":true"}'),
        ('{"include_usage" : true, "a":1}', '{"include_usage" : true, "a":1}'),
    ],
)
def test_a_stream_is_made_to_tell_its_usage(options: str, want: str) -> None:
    for form in (
        '{"stream":true,"stream_options":OPTIONS,"model":"m"}',
        '{"model":"m","stream_options":OPTIONS,"stream":true}',
    ):
        assert attempted(form.replace("OPTIONS", options).encode()) == form.replace("OPTIONS", want).encode()


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ("true", "is not a JSON object"),
        ('"x"', "is not a JSON object"),
        ("[1]", "is not a JSON object"),
        ('{"include_usage":true,"include_usage":false}', "has the key include_usage twice"),
        ('{"include_usage":true,"Include_Usage":false}', "has the key Include_Usage: write it include_usage"),
    ],
)
def test_options_of_a_stream_that_can_be_read_in_two_ways_are_refused(options: str, wrong: str) -> None:
    of = asked(f'{{"model":"m","stream":true,"stream_options":{options}}}'.encode(), told=TOLD, worker=WORKER)
    assert refusal(of) == (400, "invalid_value", f'The "stream_options" of the request {wrong}.')


NOT_VALID = "is not valid JSON, or nested too deeply, or in too many parts"


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("", "is not a JSON object"),
        ("  ", "is not a JSON object"),
        ("[]", "is not a JSON object"),
        ('"model"', "is not a JSON object"),
        ("{", "ends within the object"),
        ("{} x", "goes on after the object"),
        ('{"a', "ends within a key"),
        ('{"a\\"', "ends within a key"),
        ('{"a"', NOT_VALID),
        ('{"a" 1}', NOT_VALID),
        ('{"a":', NOT_VALID),
        ('{"a":}', NOT_VALID),
        ('{"a":,"b":1}', NOT_VALID),
        ('{"a":"b', NOT_VALID),
        ('{"a":[1', NOT_VALID),
        ('{"a":["', NOT_VALID),
        ('{"a":nul"model":"x"}', "is not valid JSON"),
        ("{'a':1}", "is not valid JSON"),
        ('{"a":1', "is not valid JSON"),
        ('{"a":1,', "ends within the object"),
        ('{"a":1,}', "is not valid JSON"),
        ('{"a":1 "b":2}', "is not valid JSON"),
        ('{"a":1}{"b":2}', "goes on after the object"),
        ('{"a":1} // x', "goes on after the object"),
        ('{"model":"a","model":"b"}', "has the key model twice"),
        ('{"model":"a","Model":"b"}', "has the key Model: write it model"),
        ('{"MODEL":"a"}', "has the key MODEL: write it model"),
        ('{"stream":true,"stream":false}', "has the key stream twice"),
        ('{"mod\\u0065l":"a"}', "has a key that is written with escapes"),
        ('{"a":' + "[" * 200 + "]" * 200 + "}", None),
        ('{"a":' + "[" * 201 + "]" * 201 + "}", NOT_VALID),
        ('{"a":' + '{"a":' * 201 + "1" + "}" * 202, NOT_VALID),
    ],
)
def test_what_is_no_object_or_can_be_read_in_two_ways_is_refused(body: str, wrong: str | None) -> None:
    assert found(body.encode())[1] == wrong


def test_known_keys_within_other_values_are_not_taken_for_the_requests_own() -> None:
    body = b'{"a":{"model":"x","model":"y"},"b":"\\"model\\":\\"z\\"","c":["model"],"model":"own"}'
    assert found(body) == ({"model": (len(body) - 14, len(body) - 6, len(body) - 1)}, None)


@given(st.binary(max_size=200) | st.text('{}[]":,\\ modelstrau1', max_size=60).map(str.encode))
def test_no_bytes_break_it(body: bytes) -> None:
    where, wrong = found(body)
    assert (where is None) == (wrong is not None)
    try:
        good = isinstance(json.loads(body), dict)
    except ValueError:
        return
    if not good:
        assert where is None


@pytest.mark.parametrize(
    ("one", "end"),
    [
        (b'"",', b'""]}'),
        (b"[],", b"1]}"),
        (b"\\\\", b'"]}'),
        (b'\\"', b'"]}'),
        (b"      ", b"1]}"),
        (b"1,1,1,", b"1]}"),
    ],
)
def test_the_time_it_takes_grows_with_the_text_and_not_faster(one: bytes, end: bytes) -> None:
    opening = b'{"a":["' if end.startswith(b'"]') else b'{"a":['

    def seconds(times: int) -> float:
        body = opening + one * times + end
        spent: list[float] = []
        for _ in range(3):
            start = process_time()
            assert found(body)[1] in (None, NOT_VALID)
            spent.append(process_time() - start)
        return min(spent)

    few, many = seconds(20_000), seconds(320_000)
    assert many < 64 * few + 0.01


@pytest.mark.parametrize(
    ("written", "want"),
    [
        ('"llama-3.3-70b"', "llama-3.3-70b"),
        ('"meta\\/llama"', "meta/llama"),
        ('"meta\\u002Fllama\\u003a3"', "meta/llama:3"),
        ('"\\u0061\\u0062c0ffee"', "abc0ffee"),
        ('"a\\/beef"', "a/beef"),
        ('"a\\nb"', "a\\nb"),
        ('"a\\\\u0041"', "a\\u0041"),
        ('"a\\u0141"', "a\\u0141"),
        ('"\\""', '"'),
        ("7", None),
        ("null", None),
        ('["a"]', None),
    ],
)
def test_a_name_is_read_with_the_escapes_that_writers_put_in_names(written: str, want: str | None) -> None:
    body = f'{{"model":{written}}}'.encode()
    name, length, where = create_string_buffer(256), c_size_t(), Member(1, 9, len(body) - 1)
    is_one = WORKER.library.string_at(text(body), byref(where), name, c_size_t(256), byref(length))
    assert (name.raw[: length.value].decode() if is_one else None) == want


@given(st.binary(max_size=100))
def test_what_is_said_of_a_client_is_valid_json_whatever_it_sent(data: bytes) -> None:
    to = Buffer()
    WORKER.library.add_quoted(byref(to), text(data))
    said = json.loads(string_at(to.p, to.n))
    assert len(said) == len(data)
    assert all(32 <= ord(character) < 127 for character in said)
