# ruff: noqa: T201
"""Verifies a proof of `corral prove residency` against a repository, with nothing but Python's own library.

    python verify_residency.py proof.json REPOSITORY [CATALOG]

It imports nothing of Corral and reads the files itself: the stack file in the repository, and the catalog of Corral,
which is `components/corral/catalog` of the repository, or else the folder `catalog` beside this script.  It checks that
each file is the one the proof was made from (SHA-256), derives every path that a request could take from them by
itself, and compares these with those in the proof.

Exit status: 0 the proof is right and every path stays where it must; 1 it is not, or one does not; 2 something cannot
be read, and so is not proved.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

FORMAT = "corral residency proof 1"


class UnreadableError(Exception):
    """What this script cannot read it does not vouch for."""


class Yaml:
    """The YAML of stack files and of the catalog: block and flow collections, scalars, anchors and aliases.

    All scalars are texts.  What is none of this (tags, merge keys, several documents) is refused.
    """

    def __init__(self, text: str) -> None:
        self.text = text.removeprefix("\ufeff").replace("\r\n", "\n") + "\n"
        self.at = 0
        self.anchors: dict[str, Any] = {}

    def whole(self) -> Any:
        self.skip()
        if self.text.startswith("---\n", self.at):
            self.at += 4
        value = self.node(-1)
        self.skip()
        if self.at < len(self.text):
            raise self.error("something follows that belongs to nothing")
        return value

    def error(self, why: str) -> UnreadableError:
        return UnreadableError(f"line {self.text.count(chr(10), 0, self.at) + 1}: {why}")

    def column(self) -> int:
        return self.at - self.text.rfind("\n", 0, self.at) - 1

    def take(self, pattern: str) -> str:
        """Passes over what matches at this place; an empty text where nothing does."""
        match = re.compile(pattern).match(self.text, self.at)
        self.at += len(match[0]) if match else 0
        return match[0] if match else ""

    def skip(self, *, lines: bool = True) -> None:
        """Passes over blanks and comments, and over line ends unless told otherwise."""
        self.take(r"(?:[ \n]|(?:(?<=[ \n])|^)#[^\n]*)*" if lines else r" *(?:(?<= )#[^\n]*)?")

    def node(self, parent: int) -> Any:
        """What stands at or after this place, further right than `parent`; an empty text where nothing does."""
        self.skip(lines=False)
        name = self.take(r"&\S+ *")[1:].strip()
        self.skip(lines=False)
        value = self.inline(parent) if self.text[self.at] != "\n" and name else self.content(parent)
        if name:
            self.anchors[name] = value
        return value

    def content(self, parent: int) -> Any:
        before = self.text[: self.at].rpartition("\n")[2]
        if self.text[self.at] != "\n" and before.strip(" -"):  # behind a key, not at the start of a list's item
            return self.inline(parent)
        self.skip()
        column = self.column()
        is_item = self.is_item()
        if self.at >= len(self.text) or column < parent or (column == parent and not is_item):
            return ""
        if is_item:
            return self.sequence(column)
        if self.key(peek=True) is not None:
            return self.mapping(column)
        return self.inline(parent)

    def is_item(self) -> bool:
        return re.compile(r"-[ \n]").match(self.text, self.at) is not None

    def sequence(self, column: int) -> list[Any]:
        items: list[Any] = []
        while self.at < len(self.text) and self.column() == column and self.is_item():
            self.at += 1
            items.append(self.node(column))
            self.skip()
        return items

    def mapping(self, column: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while self.at < len(self.text) and self.column() == column and not self.is_item():
            key = self.key()
            if key is None or key in entries or key == "<<":
                raise self.error("is no key, stands twice, or is a merge key")
            entries[key] = self.node(column)
            self.skip()
        if self.at < len(self.text) and self.column() > column:
            raise self.error("is indented further than what it stands below")
        return entries

    _KEY = re.compile(r"(\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\n]|'')*'|[^\s\[\]{}\"'#&*!|>%@`,][^\n]*?)[ ]*:(?=[ \n])")

    def key(self, *, peek: bool = False) -> str | None:
        """The key at this place; None: there is none."""
        match = self._KEY.match(self.text, self.at)
        if match is None or (match[1][0] not in "\"'" and " #" in match[1]):
            return None
        if not peek:
            self.at = match.end()
        return self.unquoted(match[1])

    def inline(self, parent: int) -> Any:
        """What stands on this line: an alias, a flow collection, a block of text, or a scalar."""
        first = self.text[self.at]
        if first in "[{":
            value = self.flow()
        elif first in "|>":
            value = self.block(parent)
        elif first == "*":
            value = self.alias()
        elif first in "\"'":
            value = self.quoted()
        elif first in "!%@`":
            raise self.error(f"{first!r} is not read here")
        else:
            return self.plain(parent)
        self.skip(lines=False)
        if self.text[self.at] != "\n":
            raise self.error("something follows on this line")
        return value

    def alias(self) -> Any:
        name = self.take(r"\*[^\s,\[\]{}]+")[1:]
        if name not in self.anchors:
            raise self.error("there is no such anchor")
        return self.anchors[name]

    def plain(self, parent: int) -> str:
        lines: list[str] = []
        while True:
            lines.append(self.take(r"[^\n]*?(?=[ ]+#|[ ]*\n)"))
            if re.search(r":( |$)", lines[-1]):
                raise self.error("a key stands in a text")
            before = self.at
            ended = self.take(r"[ ]*\n")  # a comment ends the text
            self.skip()
            is_last = not ended or self.at >= len(self.text) or self.column() <= parent
            if is_last or "\n\n" in self.text[before : self.at]:
                self.at = before
                return " ".join(lines)

    def quoted(self) -> str:
        text = self.take(r"\"(?:[^\"\\]|\\[^\n])*\"|'(?:[^']|'')*'")
        if not text:
            raise self.error("a quotation mark is missing")
        return self.unquoted(text)

    def unquoted(self, text: str) -> str:
        if text[0] not in "\"'":
            return text
        folded = re.sub(r"[ ]*\n\s*", " ", text)
        if text[0] == "'":
            return folded[1:-1].replace("''", "'")
        try:
            return json.loads(folded)
        except ValueError:
            raise self.error("an escape is not read here") from None

    def block(self, parent: int) -> str:
        head = re.compile(r"([|>])(-?)[ ]*\n").match(self.text, self.at)
        if head is None:
            raise self.error("the head of a text is not read here")
        self.at = head.end()
        lines: list[str] = []
        indent = None
        while match := re.compile(r"([ ]*)([^\n]*)\n").match(self.text, self.at):
            indent = len(match[1]) if indent is None else indent
            if len(match[1]) < indent or indent <= parent or not match[2]:
                break
            if len(match[1]) > indent and head[1] == ">":
                raise self.error("an indented line of a folded text is not read here")
            lines.append(match[0][indent:-1])
            self.at = match.end()
        self.at -= 1  # at the line's end, as any value
        return (" " if head[1] == ">" else "\n").join(lines) + ("" if head[2] else "\n")

    def flow(self) -> Any:
        opening, self.at = self.text[self.at], self.at + 1
        closing = "]" if opening == "[" else "}"
        items: list[Any] = []
        while True:
            self.skip()
            if self.at >= len(self.text):
                raise self.error(f"{closing} is missing")
            if self.text[self.at] == closing:
                self.at += 1
                if opening == "{" and len(dict(items)) < len(items):
                    raise self.error("a key stands twice")
                return dict(items) if opening == "{" else items
            item = self.flow_item()
            self.skip()
            if opening == "{":
                value = ""
                if self.text[self.at] == ":":
                    self.at += 1
                    self.skip()
                    value = self.flow_item() if self.text[self.at] not in ",}" else ""
                item = (item, value)
                self.skip()
            items.append(item)
            if self.text[self.at : self.at + 1] == ",":
                self.at += 1
            elif self.text[self.at : self.at + 1] != closing:
                raise self.error(f", or {closing} is missing")

    def flow_item(self) -> Any:
        if anchor := self.take(r"&[^\s,\[\]{}]+\s+"):
            self.anchors[anchor[1:].strip()] = value = self.flow_item()
            return value
        first = self.text[self.at]
        if first in "[{":
            return self.flow()
        if first in "\"'":
            return self.quoted()
        if first == "*":
            return self.alias()
        text = self.take(r"(?:[^\s,\[\]{}:#]|:(?![\s,\[\]{}])|(?<!\s)#|\s+(?![\s,\[\]{}:#]))+")
        if not text or first in "&*!|>%@`":
            raise self.error("is not read here")
        return " ".join(text.split())


def called_region(name: str, host: dict[str, Any], config: dict[str, Any]) -> str | None:
    kind = host.get("kind", name)
    if kind == "bedrock":
        return host.get("region") or config.get("aws:region")
    if kind == "azure":
        return host.get("location")
    if kind == "vllm":
        return host.get("region") or (None if host.get("url") else config.get("aws:region"))
    return None


def at_host(
    model: str, name: str, config: dict[str, Any], entry: dict[str, Any]
) -> tuple[str | None, list[str] | None, dict[str, Any] | None]:
    """What a model is at a host: its id, the regions it reaches (None: unknown), and the catalog's entry of that id."""
    host = config["corral:hosts"][name]
    stated = host.get("models", {}).get(model, {})
    stated = {"id": stated} if isinstance(stated, str) else stated
    entries = entry.get("models", {})
    listed = entries.get(model)
    if (own := stated.get("id")) and (listed is None or listed["id"] != own):
        listed = next((entries[each] for each in sorted(entries) if entries[each]["id"] == own), listed)
    kind = host.get("kind", name)
    if not own and kind == "vllm":
        own = model if model in host.get("modelWeights", {}) or model in host.get("models", {}) else None
    elif not own:
        own = listed["id"] if listed and not entry.get("placeholder") else None
    of_id = listed if listed and listed["id"] == own else None
    called = called_region(name, host, config)
    here = [called] if called else None
    reached = of_id.get("reaches") if of_id else None
    if stated.get("reaches") or host.get("regions"):
        reached = stated.get("reaches") or host["regions"]
    elif kind == "bedrock":
        reached = reached or (here if own and re.fullmatch(r"meta\.[a-z0-9][a-z0-9.:-]*", own) else None)
    elif kind == "vllm":
        reached = here
    elif host.get("url"):
        reached = None
    else:
        reached = reached or entry.get("regions")
    return own, sorted(set(reached)) if reached else None, of_id


def allowed(residency: list[str], places: dict[str, list[str]]) -> set[str]:
    named = {region: place for place, within in places.items() for region in (place, *within)}
    return {region for region, place in named.items() if place in residency or region in residency}


def derived(config: dict[str, Any], catalog: dict[str, Any], places: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Every path, as `corral prove residency` writes them."""
    on_cluster = config.get("corral:engine", {}).get("kind", "local") == "kubernetes"
    none: dict[str, Any] = {}
    tenants: dict[str, Any] = config.get("corral:tenants") or ({"default": none} if on_cluster else none)
    hosts: dict[str, Any] = config["corral:hosts"]
    models: dict[str, Any] = config["corral:models"]
    paths: list[dict[str, Any]] = []
    for model, declared in sorted(models.items()):
        shares = {host: int(share) for host, share in declared["shares"].items()}
        fallback = [host for host in declared.get("fallback", []) if not shares.get(host)]
        sharing = [host for host in shares if host not in fallback and shares[host] > 0]
        candidate = [declared["mirror"]["to"]] if declared.get("mirror") else []
        wanted = declared.get("residency") or config.get("corral:residency")
        for tenant, limits in sorted(tenants.items()) or [(None, none)]:
            if tenant and model not in limits.get("models", models):
                continue
            bounds = [sorted(set(each)) for each in (wanted, limits.get("residency")) if each]
            for host in sorted({*sharing, *fallback, *candidate}):
                entry = catalog[hosts[host].get("kind", host)]
                own, reached, of_id = at_host(model, host, config, entry)
                stays = [reached is not None and allowed(each, places).issuperset(reached) for each in bounds]
                if own is None or (limits.get("residency") and not stays[-1]):
                    continue  # no such model there, or no request of this tenant goes there
                path: dict[str, Any] = {
                    "model": model,
                    "tenant": tenant,
                    "host": host,
                    "kind": hosts[host].get("kind", host),
                    "modelId": own,
                    "role": "fallback" if host in fallback else "candidate" if host in candidate else "share",
                    "region": called_region(host, hosts[host], config),
                    "reaches": reached,
                    "residency": bounds,
                    "holds": all(stays),
                    "source": of_id["source"] if of_id else "stack",
                    "asOf": of_id["asOf"] if of_id else None,
                    "verified": of_id.get("verified", "true") == "true" if of_id else True,
                }
                paths.append(path)
    return paths


def read(file: Path) -> Any:
    try:
        return Yaml(file.read_text(encoding="utf-8")).whole()
    except (OSError, UnicodeError, UnreadableError) as why:
        raise UnreadableError(f"{file}: {why}") from None


def verify(proof: dict[str, Any], repository: Path, catalog: Path) -> list[str]:
    """What is wrong, in sentences."""
    if proof.get("format") != FORMAT:
        raise UnreadableError(f"the proof is none of the format {FORMAT!r}")
    stack = repository / proof["stackFile"]
    config = read(stack)["config"]
    hosts, models = config["corral:hosts"], config["corral:models"].values()
    kinds = sorted(
        {hosts[host].get("kind", host) for each in models for host in (*each["shares"], *each.get("fallback", []))}
    )
    files = {proof["stackFile"]: stack, "catalog/regions.yaml": catalog / "regions.yaml"}
    files |= {f"catalog/hosts/{kind}.yaml": catalog / "hosts" / f"{kind}.yaml" for kind in kinds}
    problems = [f"the proof is not made from {name}" for name in files if name not in proof["files"]]
    problems += [f"the proof is made from {name} as well, which says nothing" for name in proof["files"].keys() - files]
    for name, file in files.items():
        if name in proof["files"] and hashlib.sha256(file.read_bytes()).hexdigest() != proof["files"][name]:
            problems.append(f"{name} is not the file that the proof was made from: {file}")
    entries = {kind: read(files[f"catalog/hosts/{kind}.yaml"]) for kind in kinds}
    paths = derived(config, entries, read(files["catalog/regions.yaml"]))
    named = "{model} at {host} for {tenant}".format_map
    proved = proof["paths"]
    problems += [f"{named(path)} is in the files, and not so in the proof" for path in paths if path not in proved]
    problems += [f"{named(path)} is in the proof, and not so in the files" for path in proved if path not in paths]
    for path in paths:
        if not path["holds"]:
            where = ", ".join(path["reaches"] or ["regions that nobody knows"])
            problems.append(f"{named(path)} may be processed in {where}, outside of {path['residency']}")
    return problems


def main(arguments: list[str]) -> int:
    if len(arguments) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    repository = Path(arguments[1])
    here = repository / "components" / "corral" / "catalog"
    packaged = here if here.is_dir() else Path(__file__).resolve().parent / "catalog"
    try:
        proof = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        problems = verify(proof, repository, Path(arguments[2]) if len(arguments) == 3 else packaged)
        paths, stack = len(proof["paths"]), proof["stack"]
    except (UnreadableError, OSError, ValueError, LookupError, TypeError, AttributeError) as why:
        print(f"not proved: {why if isinstance(why, UnreadableError) else repr(why)}", file=sys.stderr)
        return 2
    if problems:
        print("\n".join(problems))
        return 1
    print(f"proved: {paths} paths of stack {stack}, each within the residency that it is under")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
