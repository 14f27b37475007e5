"""Puts together what one run of `corral serve` needs, and takes it apart again in order."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from corral.local.envoy_process import EnvoyProcess, claim_port, find_envoy
from corral.local.page.server import listen, numbers_route, serving_page
from corral.local.session import Options, Place, Say, Session
from corral.local.sidecars import Sidecars
from corral.local.source import Source
from corral.local.state_folder import StateFolder, envoy_directory
from corral.local.statistics.request_log import Records


@asynccontextmanager
async def serving(source: Source, options: Options, say: Say) -> AsyncGenerator[Session]:
    """Serves a stack from here until the end of the block, however it ends; nothing is left running or lying about.

    Raises ConfigError, RefusedError or EngineError where it cannot be served.
    """
    async with AsyncExitStack() as ending:
        first = source.edition()
        settings, stack = first.stack.settings, first.stack.plan.stack
        folder = StateFolder.of(source.project, stack)
        ending.enter_context(folder.claimed())
        binary = find_envoy()
        address = options.address or settings.address
        port = claim_port(address, settings.port if options.port is None else options.port)
        page = listen(settings.page_port)
        ending.callback(page.socket.close)
        files = ending.enter_context(envoy_directory(stack))
        sidecars = Sidecars(say)
        ending.push_async_callback(sidecars.stop)
        envoy = EnvoyProcess(binary, files, say)
        ending.push_async_callback(envoy.stop, options.grace)
        records = Records(folder, envoy.admin.reopen_logs, say)
        session = Session(source, options, Place(address, port, files, page), envoy, sidecars, records, first, say)
        ending.push_async_callback(session.stop)
        await session.start()
        await ending.enter_async_context(records.kept_in_order())
        routes = (numbers_route("/metrics", session.metrics), numbers_route("/status", session.status_json))
        await ending.enter_async_context(serving_page(page, session, session.url, *routes))
        yield session
