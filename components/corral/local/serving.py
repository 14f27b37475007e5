"""Puts together what one run of `corral serve` needs, and takes it apart again in order."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from corral.local import state_folder as directory
from corral.local import state_folder as made_keys
from corral.local import state_folder as registry
from corral.local.envoy_process import EnvoyProcess, claim_port, find_envoy
from corral.local.page.server import listen, numbers_route, serving_page
from corral.local.session import Options, Place, Say, Session
from corral.local.sidecars import Sidecars
from corral.local.source import Source
from corral.local.state_folder import Folder, claimed
from corral.local.statistics.request_log import Records


@asynccontextmanager
async def serving(source: Source, options: Options, say: Say) -> AsyncGenerator[Session]:
    """Serves a stack from here until the end of the block, however it ends; nothing is left running or lying about.

    Raises ConfigError, RefusedError or EngineError where it cannot be served.
    """
    async with AsyncExitStack() as ending:
        first = source.edition()
        settings, stack = first.loaded.settings, first.loaded.plan.stack
        ending.enter_context(claimed(source.project, stack))
        binary = find_envoy()
        address = options.address or settings.address
        port = claim_port(address, settings.port if options.port is None else options.port)
        page = listen(settings.page_port)
        ending.callback(page.socket.close)
        files = directory.create_directory(stack)
        ending.callback(directory.remove_directory, files)
        ending.callback(registry.forget_running, source.project, stack)
        ending.callback(made_keys.forget_keys, source.project, stack)
        sidecars = Sidecars(say)
        ending.push_async_callback(sidecars.stop)
        envoy = EnvoyProcess(binary, files, say)
        ending.push_async_callback(envoy.stop, options.grace)
        records = Records(Folder.of(source.project, stack), envoy.admin.reopen_logs, say)
        session = Session(source, options, Place(address, port, files, page), envoy, sidecars, records, first, say)
        ending.push_async_callback(session.stop)
        await session.start()
        await ending.enter_async_context(records.kept_in_order())
        routes = (numbers_route("/metrics", session.metrics), numbers_route("/status", session.status_json))
        await ending.enter_async_context(serving_page(page, session, session.url, *routes))
        yield session
