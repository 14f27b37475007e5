"""`corral serve`: serves a stack on this machine, and follows its file."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from corral.cli.project import Followed, StackOption, root, stack_file
from corral.cli.tables import findings_text, status_table, tenant_lines
from corral.cli.terminal import lossy_console, print_prose, until_signalled
from corral.local.errors import EngineError
from corral.local.placement import past_proxy, unguarded
from corral.local.session import Notify, Options, Session, serving
from corral.local.source import Source
from corral.local.traffic import send_traffic
from corral.plan.diff import move, shares_moved
from corral.plan.plan import Plan

_REFRESH = 0.5


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise typer.BadParameter(f"{text} is not an IP address like 127.0.0.1 or 0.0.0.0") from None


def serve(
    stack: StackOption = "local",
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Simulate every host, also those there is a key for.")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(
            parser=_address, metavar="ADDRESS", help="The address to listen on, instead of the stack's (loopback)."
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port, instead of the stack's; 0: a free one.")
    ] = None,
    traffic: Annotated[
        bool, typer.Option("--traffic", help="Send a trickle of requests to models whose hosts are all simulated.")
    ] = False,
) -> None:
    """Serve a stack on this machine: Envoy, simulated hosts where they are wanted, and a live table.

    Edit the stack file and save: shares, hosts, models and keys change at once, and no request is lost.
    Ctrl-C ends it.
    """
    out = lossy_console()
    options = Options("always" if simulate else None, address, port)

    def notify(message: str) -> None:
        out.print(message, style="yellow", soft_wrap=True)

    file = stack_file(stack).resolve()
    source = Source(root(), file, Followed(stack_file(stack)), os.environ)
    asyncio.run(until_signalled(_serve(source, options, notify, out, traffic=traffic)))
    out.print("Stopped.")


async def _serve(source: Source, options: Options, notify: Notify, out: Console, *, traffic: bool) -> None:
    async with serving(source, options, notify) as session:
        _introduce(session, out)
        with Live(console=out, auto_refresh=False) as live:
            tasks = [asyncio.create_task(_show(session, live))] if out.is_terminal else []
            if traffic:
                tasks.append(asyncio.create_task(send_traffic(session, _own_key(session))))
            try:
                await session.follow(lambda before, after: _moved(before, after, out))
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


def _introduce(session: Session, out: Console) -> None:
    loaded = session.desired.stack
    model = loaded.plan.models[0].name
    served, edited = (loaded.plan.stack, "bold"), f"; edit {loaded.file} to move traffic, Ctrl-C to end."
    out.print(Text.assemble(served, " serves at ", (session.url, "bold"), edited))
    taken = f"; port {session.page.taken} is taken" if session.page.taken else ""
    out.print(Text.assemble("Watch it at ", (session.page.url, "bold"), f"{taken}."))
    out.print(
        f"  curl {session.url}/chat/completions -H 'content-type: application/json' {_with_key(session)}"
        f"""-d '{{"model": "{model}", "messages": [{{"role": "user", "content": "hello"}}]}}'\n""",
        soft_wrap=True,
        style="dim",
    )
    print_prose(out, Text(f"{_real_and_simulated(session.simulated)}\n"))
    out.print(_who_may_call(session), style="yellow" if session.desired.callers.generated else "")
    if session.plan.engine == "kubernetes" and (hosts := unguarded(session.plan, session.simulated)):
        out.print(
            f"Not simulated, and asked here without the guardrail that pulumi up makes: {', '.join(hosts)}.\n",
            style="yellow",
        )
    if hosts := past_proxy(session.plan, session.simulated):
        out.print(
            f"Called straight, for Envoy uses no HTTPS_PROXY (corral verify does): {', '.join(hosts)}.\n",
            style="yellow",
        )
    warnings = [finding for finding in loaded.findings if finding.level == "warning" and not finding.accepted]
    if warnings:
        print_prose(out, findings_text(warnings))


def _real_and_simulated(simulated: Mapping[str, str | None]) -> str:
    """Which hosts are the real ones on this machine, and why the others are not; `simulated` as the session's."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for host, why in sorted(simulated.items()):
        kinds[f"Simulated ({why})" if why else "Real"].append(host)
    return " ".join(f"{kind}: {', '.join(hosts)}." for kind, hosts in sorted(kinds.items()))


def _who_may_call(session: Session) -> str:
    """Whether callers need a key, and where those are that this run has made."""
    if not session.plan.tenants:
        return "No tenants are declared: whoever is on this machine may call, without a key.\n"
    names = ", ".join(tenant.name for tenant in session.plan.tenants)
    if not session.desired.callers.generated:
        return f"Callers need the key of a tenant: {names}.\n"
    own = ", ".join(session.desired.callers.generated)
    return (
        f"Callers need the key of a tenant: {names}. Made for this run: {own}; "
        f"the keys are in {session.generated_keys}.\n"
    )


def _with_key(session: Session) -> str:
    """The header that curl shows a key in, where one is asked for; a key itself is not printed."""
    if not session.plan.tenants:
        return ""
    tenant = next(iter(session.desired.callers.generated), session.plan.tenants[0].name)
    generated = tenant in session.desired.callers.generated
    key = f"$(corral key show {tenant} -s {session.plan.stack})" if generated else f"<a key of {tenant}>"
    return f'-H "authorization: Bearer {key}" '


def _own_key(session: Session) -> str:
    """A tenant's key that this run has made; empty where it has made none."""
    return next(iter(session.desired.callers.generated.values()), "")


def _moved(before: Plan, after: Plan, out: Console) -> None:
    lines = [
        *shares_moved(before, after),
        *(line for each in move(before, after).tenants for line in tenant_lines(each)),
    ]
    out.print(
        "\n".join(lines) if lines else "The stack file is in force; no share and no tenant has changed.",
        style="bold cyan",
    )


async def _show(session: Session, live: Live) -> None:
    """Keeps the table fresh."""
    while True:
        try:
            _update(live, status_table(await session.status()))
        except EngineError as reason:
            _update(live, Text(str(reason), style="red"))
        await asyncio.sleep(_REFRESH)


def _update(live: Live, shown: RenderableType) -> None:
    live.update(Group(Text(""), shown), refresh=True)
