"""Requests as clients send them, what the module is told of who sends them, and what it says of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from corral.local.budgets import Budgets
from corral.local.state_folder import StateFolder
from corral.plan.callers import Rate
from tests.local.module.worker import NOW, Ran, Stream, Worker
from tests.plan.world import LLAMA, build

KEY = "sk-corral-NEVER"
ISSUER = "https://login.example.com/"
MINUTE = 60_000_000
NOTHING = Rate()


def line(*fields: object) -> str:
    return "\t".join("" if field is None else str(field) for field in fields)


EJECTION = line("ejection", 5, 10_000, 300_000, 1_000)


def host(name: str, authority: str = "127.0.0.1:9", path: str = "", *key: object) -> str:
    return line("host", name, f"host/{name}@1", authority, path, *key)


def model(name: str, *targets: tuple[str, int, int] | tuple[str, int, int, str]) -> str:
    """A model with its targets: host, weight, priority, and the model's id there where it has another name."""
    ids = (json.dumps(each[3] if len(each) > 3 else name).replace("\\", r"\\") for each in targets)
    rows = (line("target", *each[:3], model_id) for each, model_id in zip(targets, ids, strict=True))
    return "\n".join((line("model", name, len(targets), "a-hash"), *rows))


def context(
    claim: str = "sub",
    keys: Mapping[str, str] | None = None,
    *,
    models: Iterable[str] | None = None,
    residency: str = "",
    total: int | None = None,
    concurrent: int | None = None,
    body: int | None = None,
    rate: Rate = NOTHING,
    rates: Mapping[str, Rate] | None = None,
    one_host: bool = False,
    api: str | None = None,
    more: Iterable[str] = (),
) -> str:
    """What the module is told of a tenant `search`."""
    per_model = rates or {}
    allowed = {*models} if models is not None else None
    granted = {*per_model, *(allowed or ())}
    return "\n".join(
        (
            line(
                "tenant", "search", residency, total, concurrent, body, rate.requests, rate.tokens, int(allowed is None)
            ),
            *(
                line("grant", model, int(allowed is None or model in allowed), of.requests, of.tokens)
                for model in sorted(granted)
                for of in (per_model.get(model, NOTHING),)
            ),
            *(
                line("key", sha256(key.encode()).hexdigest(), tenant)
                for key, tenant in (keys or {KEY: "search"}).items()
                if tenant == "search"
            ),
            line("claim", ISSUER, claim),
            line("voucher", ISSUER, "team-search", "search"),
            line("voucher", ISSUER, "7", "search"),
            EJECTION,
            host("lab"),
            host("other"),
            model("m", ("lab", 100, 0), *(() if one_host else (("other", 100, 1),))),
            *((line("api", api),) if api else ()),
            model("meta/llama:3", ("lab", 100, 0)),
            *more,
        )
    )


OPEN = "\n".join((line("open", ""), EJECTION, host("lab"), model("m", ("lab", 100, 0))))


BUDGETED = build({LLAMA: {"shares": {"bedrock": 100}}}, tenants={"search": {"budget": {"day": 1}}})


def new_file(folder: Path) -> Path:
    """A file of budgets with a place for `search`."""
    state = StateFolder(folder / ".corral" / "s")
    state.make()
    found = Budgets(state, print).file(BUDGETED, {"bedrock": None})
    assert found
    assert found.places == {"search": 1}
    return found.path


class Asked:
    """One request, and what the module has made of it."""

    def __init__(self, stream: Stream, ran: Ran, sent: bytes) -> None:
        self.stream = stream
        self.ran = ran
        self.sent = sent

    @property
    def known(self) -> dict[str, Any]:
        """What is noted of it at its end."""
        return self.stream.metadata


def asked(
    body: Any = None,
    *,
    worker: Worker | None = None,
    told: str | None = None,
    path: str = "/v1/chat/completions",
    method: str = "POST",
    now: int = NOW,
    **headers: str | bytes | None,
) -> Asked:
    """One request with a key; a header that is None is left out."""
    text = body if isinstance(body, bytes) else json.dumps({"model": "m"} if body is None else body).encode()
    sent = {":method": method, ":path": path, "authorization": f"Bearer {KEY}", "content-type": "application/json"}
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    stream = (worker or Worker()).stream(told or context(), now)
    ran = stream.request(
        {name: value for name, value in {**sent, **more}.items() if value is not None},
        [piece for piece in (text[:5], text[5:]) if piece],
    )
    return Asked(stream, ran, text)


def error(of: Asked) -> dict[str, Any]:
    said = json.loads(of.ran.answer)
    assert said.pop("type", "error") == "error"  # of Anthropic's
    assert set(said) == {"error"}
    assert set(said["error"]) == {"message", "type", "code", "param"}
    assert of.ran.sent["content-type"] == "application/json"
    assert not of.ran.rerouted
    return said["error"]


def refusal(of: Asked) -> tuple[int | None, str, str]:
    said = error(of)
    return of.ran.status, said["code"], said["message"]
