"""What the simulated hosts' process and its parent must agree on: paths, names, and the JSON that goes to and fro."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

CONTROL = "/_control"
"""The path of the control endpoints.  No host can be named so."""

TOKEN_VARIABLE = "CORRAL_SIMULATED_TOKEN"  # noqa: S105 (its name, not its value)
"""The environment variable that gives the process the token of its control endpoints."""


class Described(BaseModel):
    """Unknown keys are refused, nothing is coerced, nothing changes after loading, and errors never quote a value."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def said(error: ValidationError) -> str:
    """What is wrong and where, in one line that holds no value of the input: it may be a key."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}" for one in found)
