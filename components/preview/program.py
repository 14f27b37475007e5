"""The project's own program, run on the mocks for one version of a stack file."""

from __future__ import annotations

import runpy
from hashlib import sha256
from pathlib import Path
from typing import Any

from components.config.errors import SECRET_PLACES, SECRETS, TENANT_SECRETS, Report
from components.config.stack import Secret, Stack
from components.config.stack_file import read_config
from components.hosts.keys import missing_keys
from components.plan.plan import Plan
from components.preview.recording import NO_RESOURCES, Recording
from components.preview.run import record


def run_program(program: Path, file: Path, stack: Stack, plan: Plan) -> Recording:
    """What `program` registers for the stack that was read from `file`.

    Keys stay encrypted: what stands in for one is made of its cipher text, and another cipher text is another key.  On
    an engine that is no cluster nothing is provisioned.  Raises `pulumi.RunError` where the program refuses the stack.
    """
    if plan.engine == "embedded":
        return NO_RESOURCES
    said = read_config(file, Report(str(file)))
    config = {key: value for key, value in said.items() if value is not None and key not in SECRET_PLACES}
    deploy = runpy.run_path(str(program))["deploy"]
    return record(
        lambda: deploy(file),
        stack=stack.name,
        config=config | {SECRETS: _stand_ins(stack, plan), TENANT_SECRETS: _tenants_stand_ins(stack)},
        secret_keys=SECRET_PLACES,
        preview=True,
    )


def _stand_ins(stack: Stack, plan: Plan) -> dict[str, Any]:
    """Per host a key; also where the stack has none yet, so that it can be looked at before it is set."""
    encrypted = {host: _stand_in(key) for host, key in stack.keys.items()}
    return dict.fromkeys(missing_keys(plan, stack.keys), "missing") | encrypted


def _tenants_stand_ins(stack: Stack) -> dict[str, Any]:
    """Per tenant a key, or a list of them."""
    return {
        tenant: [*map(_stand_in, keys)] if isinstance(keys, list) else _stand_in(keys)
        for tenant, keys in stack.tenant_keys.items()
    }


def _stand_in(key: Secret) -> str:
    return sha256(key.secure.encode()).hexdigest()
