"""The stack file that a run follows: how it is read, and when it may hold something else."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from secrets import token_bytes, token_urlsafe

import watchfiles

from corral.config.prices import FILE as PRICES
from corral.hosts.azure.entra import Tokens, token
from corral.local.placement import Desired, Simulate, desire
from corral.plan.checks.run import CheckedStack
from corral.plan.credentials import KEY_BYTES, key_of
from corral.repository import commit_of, head_log

_DEBOUNCE_MS, _STEP_MS = 50, 10
"""An event is acted on once none has followed it for the shorter time; after the longer one in any case."""
_POLL_MS = 500
"""The stack file is read this often also where no event comes, as on some network file systems."""


def _host_keys() -> defaultdict[str, str]:
    return defaultdict(lambda: f"simulated-{token_urlsafe(24)}")


def _tenant_keys() -> defaultdict[str, str]:
    return defaultdict(lambda: key_of(token_bytes(KEY_BYTES)))


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _changed(path: Path | None) -> bytes:
    """When a file was changed; of one that only grows its content would be long."""
    try:
        return str(path.stat().st_mtime_ns).encode() if path else b""
    except OSError:
        return b""


@dataclass
class Source:
    """The stack file that is followed, and what it asks of this machine."""

    project: Path
    file: Path
    load: Callable[[], CheckedStack]
    """Reads, plans and checks it.  Raises ConfigError or RefusedError."""
    environment: Mapping[str, str] = field(repr=False)
    """Where the hosts' keys are."""
    host_keys: Mapping[str, str] = field(default_factory=_host_keys, repr=False)
    """A key for any simulated host, the same one for the whole run."""
    tenant_keys: Mapping[str, str] = field(default_factory=_tenant_keys, repr=False)
    """A key for any tenant of a rehearsal, the same one for the whole run."""
    tokens: Tokens = field(default_factory=lambda: Tokens(partial(token, os.environ)), repr=False)
    """Of the hosts that take tokens in place of keys."""
    head_log: Path | None = None
    """The file into which git writes when another commit is checked out, when the stack was read last; None: there was
    none."""
    named: tuple[Path, ...] = ()
    """The files of certificates and of keys that the stack named when it was read last."""
    last_read: bytes | None = None
    """What the file held when it was read last, with all that it names."""

    def text(self) -> bytes | None:
        """What the file holds, the prices beside it and the files that it names, the token in use and the commit; None
        while there is no file, as when an editor is about to replace it."""
        text = self._with_prices()
        return None if text is None else self._with_named(text, _changed(self.head_log))

    @property
    def _prices(self) -> Path:
        return self.file.parent / PRICES

    def _with_prices(self) -> bytes | None:
        text = _content(self.file)
        return None if text is None else b"\0".join((text, _content(self._prices) or b""))

    def read(self, simulate: Simulate | None) -> Desired:
        """What the file asks of this machine now: whatever is saved from now on is another text.

        Raises ConfigError, RefusedError or EngineError.
        """
        text = self._with_prices() or b""
        self.last_read = self.text()
        stack = self.load()
        self.head_log = self.head_log or head_log(self.file)
        checked_out = _changed(self.head_log)
        stack = replace(stack, plan=replace(stack.plan, commit=commit_of(self.file, self._prices)))
        files, folder = stack.settings.certificate, stack.file.parent
        names = [files.cert_file, files.key_file] if files else []
        names += [issuer.jwks_file for issuer in stack.plan.issuers if issuer.jwks_file]
        for target in stack.plan.live_hosts.values():
            names += filter(None, (target.credential.key_file, target.ca))
        self.named = tuple((folder / name).expanduser() for name in names)
        mode = simulate or stack.settings.simulate
        desired = desire(stack, mode, self.environment, self.host_keys, self.tenant_keys, self.tokens.get)
        self.last_read = self._with_named(text, checked_out)
        return desired

    def _with_named(self, text: bytes, checked_out: bytes) -> bytes:
        """With what the named files hold, the token that is in use, and when a commit was checked out last."""
        named = (_content(path) or b"" for path in self.named)
        return b"\0".join((text, *named, (self.tokens.current or "").encode(), checked_out))

    async def events(self) -> AsyncIterator[object]:
        """One each time that the file may hold something else, and one at once, for what was saved before.

        What it holds decides then, not the event: one that came before the watch began is not missed.
        """

        def of_file(_: watchfiles.Change, path: str) -> bool:
            return Path(path) in (self.file, self._prices, *self.named)

        yield None
        watched = watchfiles.awatch(  # pyright: ignore[reportUnknownMemberType] (its event type is untyped)
            self.file.parent,
            watch_filter=of_file,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            recursive=False,
            rust_timeout=_POLL_MS,
            yield_on_timeout=True,
        )
        async for event in watched:
            yield event
