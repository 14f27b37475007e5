"""What an attempt at a host is made of."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from corral.local.envoy import scripts
from tests.local.envoy.lua.worker import Worker

SCRIPTS = Worker(scripts.ATTEMPT_SCRIPTS)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", fullmatch=True)


OTHERS = st.dictionaries(st.text(), st.text() | st.integers(), max_size=3)


@given(NAMES, st.text(max_size=40), OTHERS, OTHERS)
def test_the_host_gets_its_own_id_of_the_model_and_the_rest_as_it_came(
    model: str, model_id: str, rest: dict[str, str | int], before: dict[str, str | int]
) -> None:
    more = [{f"{mark}{key}": value for key, value in each.items()} for mark, each in (("<", before), (">", rest))]
    sent = {**more[0], "model": model, **more[1]}
    body = json.dumps(sent).encode()
    from_ = body.index(b'"model": ') + 9
    at = {"named_from": from_, "named_to": from_ + len(model) + 2}
    asked = {"model": model, "endpoint": "/chat/completions?a=b", "length": len(body), **at}
    ran = SCRIPTS.request(
        {
            ":path": "/v1/chat/completions?a=b",
            ":authority": "gateway",
            "x-corral-to": f"host:1 /openai/v1 {json.dumps(model_id)}".encode(),
            "x-corral-link": "host/lab@0",
            "content-length": "7",
        },
        metadata={"corral": {"asked": asked}},
        pieces=[body],
    )
    length = ran.headers["content-length"]
    assert ran.headers == {
        ":path": "/openai/v1/chat/completions?a=b",
        ":authority": "host:1",
        "content-length": length,
    }
    if model_id != model:
        assert json.loads(ran.body) == {**sent, "model": model_id}
    else:
        assert (ran.body, length) == (b"", str(len(body)))


def test_a_host_of_the_same_name_for_the_model_gets_the_body_as_it_is_and_its_length() -> None:
    ran = SCRIPTS.request(
        {":path": "/x", ":authority": "gateway", "x-corral-to": '127.0.0.1:9  "m"', "content-length": "99"},
        metadata={"corral": {"asked": {"model": "m", "endpoint": "/embeddings", "length": 13}}},
        pieces=[b'{"model":"m"}'],
    )
    assert ran.headers == {":path": "/embeddings", ":authority": "127.0.0.1:9", "content-length": "13"}
    assert ran.body == b""
