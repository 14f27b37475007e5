"""A Pulumi program that does nothing but register what it finds in `resources.json`, a stack's resources as Pulumi
exports them: what the engine takes for them by itself.

Each has the type, the name, the parent, the inputs and the provider that it has there.  It waits for none but these.
"""

import json
from pathlib import Path
from typing import Any

import pulumi

_SIGNATURE, _SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"


def register(exported: list[dict[str, Any]]) -> None:
    """All but the stack, which is there already, the providers that the engine makes, and what is only looked up."""
    registered: dict[str, Any] = {}
    for each in exported:
        urn = each["urn"]
        name, inputs = urn.split("::", 3)[3], _inputs(each.get("inputs", {}))
        provider = each.get("provider", "").rpartition("::")[0]
        opts = pulumi.ResourceOptions(parent=registered.get(each.get("parent", "")), provider=registered.get(provider))
        if each["type"] == "pulumi:pulumi:Stack" or "::default" in urn or each.get("external"):
            continue
        if each["type"].startswith("pulumi:providers:"):
            registered[urn] = pulumi.ProviderResource(each["type"].rpartition(":")[2], name, inputs, opts)
        elif each["custom"]:
            if "::default_" in provider:
                opts.version = provider.rpartition("::default_")[2].replace("_", ".")
            registered[urn] = pulumi.CustomResource(each["type"], name, inputs, opts)
        else:
            registered[urn] = pulumi.ComponentResource(each["type"], name, inputs, opts)


def _inputs(value: Any) -> Any:
    match value:
        case dict() if value.get(_SIGNATURE) == _SECRET:
            return pulumi.Output.secret(json.loads(value["plaintext"]))
        case dict():
            return {key: _inputs(below) for key, below in value.items() if key != "__internal"}
        case list():
            return [_inputs(below) for below in value]
        case _:
            return value


register(json.loads(Path("resources.json").read_text(encoding="utf-8")))
