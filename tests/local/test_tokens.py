"""Tokens that an issuer has signed, as a real Envoy verifies them and the module reads what they claim."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from tests.local.gateway import TWO_HOSTS, Gateway

ISSUER = "https://ci.example.com/"
NOBODY = "The token is good, but speaks for no tenant of this gateway."
UNKNOWN = "This key is not known here: it was mistyped or withdrawn."


def encoded(data: bytes | dict[str, Any]) -> str:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    return urlsafe_b64encode(text).rstrip(b"=").decode()


class Signer:
    """An issuer's private key."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65_537, 2_048)

    @property
    def public_keys(self) -> dict[str, Any]:
        numbers = self._key.public_key().public_numbers()
        modulus, exponent = encoded(numbers.n.to_bytes(256, "big")), encoded(numbers.e.to_bytes(3, "big"))
        return {"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": modulus, "e": exponent}]}

    def token(self, **claims: Any) -> str:
        payload = {"iss": ISSUER, "aud": "corral", "exp": int(time.time()) + 300, **claims}
        signed = f"{encoded({'alg': 'RS256', 'kid': '1', 'typ': 'JWT'})}.{encoded(payload)}"
        return f"{signed}.{encoded(self._key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


def test_a_good_token_speaks_for_the_tenant_of_its_claim_and_any_other_is_refused_in_words(tmp_path: Path) -> None:
    signer, project = Signer(), tmp_path / "project"
    (project / "stacks").mkdir(parents=True)
    (project / "stacks" / "keys.json").write_text(json.dumps(signer.public_keys))
    gateway = Gateway(project, "test")
    issuer = {"issuer": ISSUER, "audiences": ["corral"], "jwksFile": "keys.json", "claim": "realm.teams"}
    tenants = {"search": {"claims": ["team-é", "team-search"]}}
    gateway.save({**TWO_HOSTS, "corral:issuers": [issuer], "corral:tenants": tenants})

    def answer(token: str) -> tuple[int, str]:
        body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
        headers = {"authorization": f"Bearer {token}"}
        said = httpx.post(f"{gateway.url}/chat/completions", json=body, headers=headers, timeout=60)
        return said.status_code, said.json().get("error", {}).get("message", "")

    try:
        gateway.start()
        assert [
            answer(signer.token(realm={"teams": teams})) for teams in (["other", "team-search"], "team-é", "x")
        ] == [
            (200, ""),
            (200, ""),
            (401, NOBODY),
        ]
        expired = signer.token(exp=5, realm={"teams": "team-search"})
        assert answer(expired) == (401, "The token is not taken: Jwt is expired.")
        assert answer("opaque") == (401, UNKNOWN)
    finally:
        gateway.kill()
