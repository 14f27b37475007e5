"""The archives of charts as files, so that a preview and an `up` need no registry.

They lie in `charts/` beside the stack files and are committed with them: a runner has no cache, and who drains a host
in an incident may have no Docker Hub.  `SHA256SUMS` beside them records what was pulled first, in the form of
`sha256sum`; every use compares, and so does every later pull.  Nobody signs these charts and no digest of theirs is
known here, so the first pull is believed.  What is missing is pulled once.

The provider is given a path below the program's folder, in which it is started.  So the state has the same path on
every machine, and a release is not updated because it was last looked at from another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from corral.config.registry import Registry, parts
from corral.gateway.charts import Chart

FOLDER = "charts"

SUMS = "SHA256SUMS"


class ArchiveError(Exception):
    """An archive cannot be used, or not be had; the message says why, and the way out."""


def path(chart: Chart) -> str:
    """Where the provider reads the chart, from the program's folder."""
    return f"./{FOLDER}/{chart.archive}"


@dataclass(frozen=True)
class Origin:
    """Where archives are pulled from."""

    registry: Registry | None
    folder: Path
    """To which the file of the registry's authorities is relative."""
    login: str | None = field(default=None, repr=False)
    """`user:password`; None: what `docker login` has kept for the registry, or nothing."""

    def named(self, chart: Chart) -> str:
        """The chart's name, with its registry."""
        return self.registry.mirrored(chart.repository) if self.registry else chart.repository

    def pull(self, chart: Chart) -> bytes:
        """Raises ArchiveError."""
        from corral.gateway.oci import RegistryError, download, pull_chart  # only who pulls needs a client

        ca = self.folder / self.registry.ca if self.registry and self.registry.ca else None
        try:
            if chart.url and self.registry is None:
                return download(chart.url)
            return pull_chart(*parts(self.named(chart)), chart.version, ca, self.login)
        except RegistryError as error:
            raise ArchiveError(
                f"{self.named(chart)}:{chart.version} cannot be pulled: {error}. Name another registry in "
                f"corral:registry.mirror, or put {chart.archive} into stacks/{FOLDER} with its line in {SUMS}"
            ) from None


@dataclass(frozen=True)
class Archives:
    """The archives in a folder."""

    folder: Path

    def complete(self, charts: Iterable[Chart], origin: Origin) -> list[Chart]:
        """Pulls those that are missing, and compares the others; those that were pulled.  Raises ArchiveError."""
        try:
            return self._completed(charts, origin)
        except OSError as error:
            raise ArchiveError(f"{error.filename}: {error.strerror}") from None

    def _completed(self, charts: Iterable[Chart], origin: Origin) -> list[Chart]:
        recorded = dict(self._recorded())
        missing = [chart for chart in charts if not self._is_there(chart, recorded)]
        for chart in missing:
            archive = origin.pull(chart)
            digest = sha256(archive).hexdigest()
            if recorded.setdefault(chart.archive, digest) != digest:
                raise ArchiveError(
                    f"{origin.named(chart)}:{chart.version} is another archive (sha256 {digest}) than "
                    f"{self.folder / SUMS} records ({recorded[chart.archive]}): its tag was moved, or somebody changed "
                    "it on its way. Where you know why, delete its line and pull again"
                )
            self.folder.mkdir(exist_ok=True)
            self._write(chart.archive, archive)
            self._write(SUMS, "".join(f"{recorded[name]}  {name}\n" for name in sorted(recorded)).encode())
        return missing

    def _is_there(self, chart: Chart, recorded: dict[str, str]) -> bool:
        file = self.folder / chart.archive
        try:
            digest = sha256(file.read_bytes()).hexdigest()
        except FileNotFoundError:
            return False
        if chart.archive not in recorded:
            raise ArchiveError(
                f"{file} is not recorded in {SUMS} beside it: delete it, or, where you trust it, "
                f"`sha256sum {chart.archive} >> {SUMS}` in that folder"
            )
        if recorded[chart.archive] != digest:
            raise ArchiveError(
                f"{file} (sha256 {digest}) is not what {SUMS} beside it records ({recorded[chart.archive]}): restore "
                "both from version control, or delete the file and `corral registry pull`"
            )
        return True

    def _recorded(self) -> Iterator[tuple[str, str]]:
        """Name and digest of each archive."""
        try:
            text = (self.folder / SUMS).read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        for number, line in enumerate(text.splitlines(), 1):
            digest, blank, name = line.partition("  ")
            if not blank or len(digest) != sha256().digest_size * 2 or not name:
                raise ArchiveError(f"{self.folder / SUMS}:{number} is not a line of sha256sum: restore it")
            yield name, digest

    def _write(self, name: str, content: bytes) -> None:
        """So that what is there is always whole."""
        part = self.folder / f"{name}.part"
        part.write_bytes(content)
        part.replace(self.folder / name)
