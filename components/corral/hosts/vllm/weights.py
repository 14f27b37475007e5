"""Whether the weights that a vLLM host loads are to be had, as its servers will ask for them.  Only reads.

Hugging Face answers a HEAD of a file as it would answer its download: 200 or a redirect, or a refusal whose
`X-Error-Code` says why (`GatedRepo`: a licence that is not accepted; `RepoNotFound`: no such repository, or a private
one).  Source: huggingface_hub, utils/_http.py, `hf_raise_for_status`.
"""

from __future__ import annotations

import httpx

from corral.hosts.aws import Account
from corral.hosts.probing import HostError, Judgement, answer

_URL = "https://huggingface.co"
_FILE = "config.json"
"""A file that weights which vLLM loads come with."""
_TIMEOUT_SECONDS = 10.0


def of_hugging_face(
    repository: str, token: str | None, *, stated: bool, transport: httpx.BaseTransport | None = None
) -> Judgement:
    """`stated`: the stack has a token, which cannot be read here; `token` is the same, of this machine.

    Raises HostError.
    """
    sent = token if stated else None
    headers = {"authorization": f"Bearer {sent}"} if sent else {}
    with httpx.Client(base_url=_URL, headers=headers, timeout=_TIMEOUT_SECONDS, transport=transport) as client:
        try:
            response = answer(client, f"/{repository}/resolve/main/{_FILE}", "HEAD")
        except HostError:
            raise HostError("unknown", "huggingface.co does not answer: see whether it is in reach from here") from None
    code, page = response.headers.get("x-error-code"), f"{_URL.removeprefix('https://')}/{repository}"
    if response.status_code < 400:
        return "allowed", "to be had" if sent else "to be had without a token"
    if response.status_code in (401, 403) and stated and not sent:
        return "unknown", "it takes a token: set HF_TOKEN here to the one that the stack has, and ask again"
    if code == "GatedRepo" and sent:
        return "refused", f"the token's owner has not accepted the licence: {page}"
    if code == "GatedRepo":
        command = "`pulumi config set --secret --path 'corral:keys.huggingface'`"
        return "refused", f"its licence is to be accepted ({page}), and the stack has no token: {command}"
    if response.status_code in (401, 403, 404) and code != "EntryNotFound":
        whose = "that this token may read" if sent else "that can be read without a token"
        return "refused", f"Hugging Face has no repository {repository} {whose}: correct modelWeights, or the token"
    return "unknown", f"Hugging Face answers HTTP {response.status_code} to {repository}/{_FILE}"


def of_s3(path: str, account: Account) -> Judgement:
    """Whether there is an object below an `s3://` path.  Raises HostError."""
    bucket, _, prefix = path.removeprefix("s3://").rstrip("/").partition("/")
    answered = account.read(
        "s3",
        "list_objects_v2",
        ("NoSuchBucket",),
        Bucket=bucket,
        Prefix=f"{prefix}/" if prefix else "",
        PaginationConfig={"MaxItems": 1, "PageSize": 1},
    )
    if answered is None:
        return "refused", f"there is no bucket {bucket}: correct modelWeights"
    if not answered.get("Contents"):
        return "refused", f"nothing is below {path}: put the weights there, or correct modelWeights"
    return "allowed", "there"
