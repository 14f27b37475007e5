"""`corral key`: makes an API key for a tenant, or hashes one that is there.

A key is on standard output, once, and nowhere else; what to do with it is on standard error, so that the key can be
piped to where it is kept.
"""

from __future__ import annotations

import sys
from getpass import getpass
from secrets import token_bytes
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from corral.catalog.patterns import TenantName
from corral.cli.project import CommandError, StackOption, root, stack_file
from corral.cli.terminal import console
from corral.config.problems import shown
from corral.plan.credentials import KEY_BYTES, InvalidKeyError, hash_of, in_stack, key_of
from corral.plan.tenants import keys_variable

_TENANT = TypeAdapter[str](TenantName)

key = typer.Typer(help="Make API keys for tenants, and hash them for the stack file.", no_args_is_help=True)


def _tenant(text: str) -> str:
    try:
        return _TENANT.validate_python(text)
    except ValidationError as error:
        raise typer.BadParameter(f"{shown(text)} {error.errors()[0].get('ctx', {})['error']}") from None


@key.command("new")
def new(
    tenant: Annotated[
        str, typer.Argument(metavar="TENANT", help="Whose key; need not be in the stack file yet.", parser=_tenant)
    ],
    stack: StackOption = "local",
) -> None:
    """Make an API key for a tenant: it is shown this once, and its hash belongs into the stack file."""
    generated = key_of(token_bytes(KEY_BYTES))
    console().out(generated, highlight=False)
    console(stderr=True).out(
        f"This key of {tenant} is shown this once. Its hash belongs into {stack_file(stack)}, beside those of keys\n"
        "that are to stay good:\n"
        "\n"
        "  corral:tenants:\n"
        f"    {tenant}:\n"
        f"      keys: [{in_stack(hash_of(generated))}]\n"
        "\n"
        f"Or give the key itself: to corral serve in {keys_variable(tenant)}, to the kubernetes engine with\n"
        f"pulumi config set --secret --path 'corral:tenantKeys.{tenant}' -s {stack}",
        highlight=False,
    )


@key.command("show")
def show(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Whose key.", parser=_tenant)],
    stack: StackOption = "local",
) -> None:
    """Print the key that a running corral serve has made for a tenant."""
    from corral.local.state_folder import StateFolder  # needs corral[local]

    keys = StateFolder.of(root(), stack).read_generated_keys()
    if tenant not in keys:
        raise CommandError(
            f"No key was made for {tenant} here: corral serve makes one, while it serves the stack {stack}, for a "
            "tenant that the stack gives none."
        )
    console().out(keys[tenant], highlight=False)


@key.command("hash")
def hashed() -> None:
    """Read an API key from standard input, and print its hash as it stands in a stack file."""
    try:
        text = getpass("Key: ") if sys.stdin.isatty() else sys.stdin.read()
        digest = hash_of(text.strip())
    except InvalidKeyError as why:
        raise typer.BadParameter(f"the key {why}", param_hint="standard input") from None
    except UnicodeDecodeError:
        raise typer.BadParameter("is no text", param_hint="standard input") from None
    console().out(in_stack(digest), highlight=False)
