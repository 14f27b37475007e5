"""The hosts' keys: where this machine finds them, and which a stack lacks that is to be deployed.

A host that the stack provisions brings its key, or the cloud's own identity, along; one that is there already is called
with the key that its owner gave out, and that is in `corral:keys` or the store of `corral:secretStore`.  So are the
credentials for AWS where the gateway runs on a cluster that has no identity for it: without any it would answer 500,
and no other host would be tried.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from corral.plan.checks.findings import Finding
from corral.plan.plan import Plan


def keys_here(plan: Plan, environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """By host the keys that this machine has: in files, whose paths start from `folder`, and in the environment."""
    keys: dict[str, str] = {}
    for target in plan.hosts.values():
        credential = target.credential
        if credential.header and credential.key_file:
            try:
                keys[target.host] = (folder / credential.key_file).expanduser().read_text(encoding="utf-8").strip()
            except (OSError, ValueError):
                continue
        elif credential.header and credential.variable:
            keys[target.host] = environment.get(credential.variable, "")
    return {host: key for host, key in keys.items() if key}


def missing_keys(plan: Plan, held: Collection[str]) -> tuple[str, ...]:
    """The hosts that are called with a key which the stack, holding these hosts' keys, does not have; by name."""
    wanted = {
        target.host
        for target in plan.hosts.values()
        if not target.credential.stored
        and ((target.credential.header and not target.provisioned) or target.credential.file or target.credential.entra)
    }
    return tuple(sorted(wanted - {*held}))


def missing_key(host: str, plan: Plan) -> str:
    """That a host's key is missing, in one line."""
    command = f"pulumi config set --secret --path 'corral:keys.{host}' -s {plan.stack}"
    if any(target.credential.file for target in plan.at(host).values()):
        return (
            f"{host} is called with credentials of AWS, the cluster of corral:cluster.kubeconfig gives the gateway "
            f"none, and corral:keys has none for it: `{command} < credentials`, a file as ~/.aws/credentials, with the "
            "keys of an IAM user who may call it and nothing else as [default]"
        )
    if any(target.credential.entra for target in plan.at(host).values()):
        return (
            f"{host} is called with tokens of Entra, and corral:keys has no secret of its service principal: "
            f"`{command}`, a client secret of corral:hosts.{host}.entra.client"
        )
    return f"{host} is called with a key, and corral:keys has none for it: `{command}`"


def elsewhere(cloud: str, kind: str, actual: str, wanted: str, shows: str) -> str:
    """That the credentials are those of another account than the stack's."""
    return (
        f"the credentials for {cloud} are those of the {kind} {actual}, and the stack is for {wanted} "
        f"(corral:accounts.{cloud.lower()}): take the right ones ({shows} shows which they are)"
    )


def refusal(plan: Plan, findings: Sequence[Finding], held: Collection[str]) -> str | None:
    """Every reason, one a line, and after them whatever else was found; None: it can be deployed.

    Pulumi writes `error:` in front of it, so that the reasons do not.  `held` are the hosts whose keys the stack has.
    """
    if plan.engine == "local":
        nothing = f"stack {plan.stack} runs on one machine, where there is nothing to provision"
        return f"{nothing}: corral serve --stack {plan.stack}"
    errors = [str(finding).removeprefix("error ") for finding in findings if finding.level == "error"]
    reasons = [*errors, *(missing_key(host, plan) for host in missing_keys(plan, held))]
    others = [str(finding) for finding in findings if finding.level != "error" and not finding.accepted]
    return "\n".join([*reasons, *others]) if reasons else None
