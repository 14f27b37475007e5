"""Charts as files: pulled once from a real registry, compared on every use, and never pulled again."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from corral.config.cluster import Versions
from corral.config.registry import Registry
from corral.gateway.archives import ArchiveError, Archives, Origin
from corral.gateway.charts import KEDA, Chart, Charts
from tests.gateway.registry import AUTHORITY, OciRegistry, served

ARCHIVE, OTHER = b"an archive", b"another archive"
CHARTS = Charts.of(Versions())
CERT_MANAGER, ENVOY_GATEWAY = CHARTS.cert_manager, CHARTS.envoy_gateway
PATH = ("mirror/envoyproxy/gateway-helm", "v1.8.3")
TRUST_IT = "delete it, or, where you trust it, `sha256sum gateway-helm-v1.8.3.tgz >> SHA256SUMS` in that folder"
BLOB = f"sha256:{sha256(ARCHIVE).hexdigest()}"


@pytest.fixture(autouse=True)
def nobodys_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.setenv("NO_PROXY", "*")
    return folder


@pytest.fixture
def registry(request: pytest.FixtureRequest) -> Iterator[OciRegistry]:
    with served(OciRegistry(**getattr(request, "param", {}))) as registry:
        registry.archives[PATH] = ARCHIVE
        yield registry


def origin(registry: OciRegistry, folder: Path, login: str | None = None) -> Origin:
    AUTHORITY.cert_pem.write_to_path(str(folder / "ca.pem"))
    return Origin(Registry.model_validate({"mirror": f"{registry.address}/mirror", "ca": "ca.pem"}), folder, login)


def refused(archives: Archives, origin: Origin, *charts: Chart) -> str:
    with pytest.raises(ArchiveError) as error:
        archives.complete(charts, origin)
    return str(error.value)


def test_a_chart_that_is_in_no_registry_is_downloaded_and_comes_from_a_mirror_where_there_is_one(
    registry: OciRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    downloaded: list[str] = []
    monkeypatch.setattr("corral.gateway.oci.download", lambda url: downloaded.append(url) or ARCHIVE)
    assert Archives(tmp_path / "charts").complete([KEDA], Origin(None, tmp_path)) == [KEDA]
    assert downloaded == [f"https://kedacore.github.io/charts/{KEDA.archive}"]
    registry.archives["mirror/charts/keda", KEDA.version] = ARCHIVE
    assert Archives(tmp_path / "mirrored").complete([KEDA], origin(registry, tmp_path)) == [KEDA]
    assert len(downloaded) == 1


def test_what_is_missing_is_pulled_once_and_recorded_in_the_form_of_sha256sum(registry: OciRegistry, tmp_path: Path):
    archives = Archives(tmp_path / "charts")
    assert archives.complete([ENVOY_GATEWAY], origin(registry, tmp_path)) == [ENVOY_GATEWAY]
    assert {file.name: file.read_bytes() for file in archives.folder.iterdir()} == {
        "gateway-helm-v1.8.3.tgz": ARCHIVE,
        "SHA256SUMS": f"{sha256(ARCHIVE).hexdigest()}  gateway-helm-v1.8.3.tgz\n".encode(),
    }
    registry.requests.clear()
    assert (archives.complete([ENVOY_GATEWAY], origin(registry, tmp_path)), registry.requests) == ([], [])


@pytest.mark.parametrize(
    ("registry", "login", "credentials"),
    [
        ({}, None, ["", "", ""]),
        ({"scheme": "Bearer"}, None, ["", "", "Bearer", "Bearer", ""]),
        ({"scheme": "Bearer", "login": "robot:pass"}, "robot:pass", ["", "Basic", "Bearer", "Bearer", ""]),
        ({"scheme": "Basic", "login": "robot:pass"}, "robot:pass", ["", "Basic", "Basic", ""]),
    ],
    ids=["open", "anonymous token", "token for a password", "password"],
    indirect=["registry"],
)
def test_a_registry_gets_the_credential_that_it_asks_for_and_the_store_of_archives_gets_none(
    registry: OciRegistry, login: str | None, credentials: list[str], tmp_path: Path
):
    Archives(tmp_path / "charts").complete([ENVOY_GATEWAY], origin(registry, tmp_path, login))
    assert [credential for _, credential in registry.requests] == credentials
    assert registry.requests[-1] == (f"/storage/{BLOB}", "")


@pytest.mark.parametrize("registry", [{"scheme": "Basic", "login": "robot:pass"}], indirect=True)
def test_a_password_is_taken_from_docker_login(registry: OciRegistry, tmp_path: Path, nobodys_logins: Path):
    kept = {"auths": {registry.address: {"auth": base64.b64encode(b"robot:pass").decode()}}}
    (nobodys_logins / "config.json").write_text(json.dumps(kept))
    assert Archives(tmp_path / "charts").complete([ENVOY_GATEWAY], origin(registry, tmp_path)) == [ENVOY_GATEWAY]


@pytest.mark.process
@pytest.mark.parametrize("registry", [{"scheme": "Basic", "login": "robot:pass"}], indirect=True)
def test_a_password_is_taken_from_the_helper_of_docker_login(
    registry: OciRegistry, tmp_path: Path, nobodys_logins: Path, monkeypatch: pytest.MonkeyPatch
):
    helper = tmp_path / "docker-credential-test"
    helper.write_text("""#!/bin/sh\nprintf '{"ServerURL": "%s", "Username": "robot", "Secret": "pass"}' "$(cat)"\n""")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (nobodys_logins / "config.json").write_text(json.dumps({"credHelpers": {registry.address: "test"}}))
    assert Archives(tmp_path / "charts").complete([ENVOY_GATEWAY], origin(registry, tmp_path)) == [ENVOY_GATEWAY]


@pytest.mark.parametrize(
    ("registry", "login", "why"),
    [
        ({"scheme": "Bearer", "login": "robot:pass"}, "robot:NEVER", "127.0.0.1 gives no token: 403 Forbidden"),
        ({"scheme": "Basic", "login": "robot:pass"}, "robot:NEVER", "127.0.0.1 answers 401 Unauthorized"),
    ],
    ids=["token", "password"],
    indirect=["registry"],
)
def test_a_wrong_password_is_refused_in_words_without_it(registry: OciRegistry, login: str, why: str, tmp_path: Path):
    assert refused(Archives(tmp_path / "charts"), origin(registry, tmp_path, login), ENVOY_GATEWAY) == (
        f"{registry.address}/mirror/envoyproxy/gateway-helm:v1.8.3 cannot be pulled: {why}. Name another registry in "
        "corral:registry.mirror, or put gateway-helm-v1.8.3.tgz into stacks/charts with its line in SHA256SUMS"
    )


def test_a_chart_that_is_not_there_is_an_error_and_those_before_it_are_kept(registry: OciRegistry, tmp_path: Path):
    archives = Archives(tmp_path / "charts")
    why = refused(archives, origin(registry, tmp_path), ENVOY_GATEWAY, CERT_MANAGER)
    assert why.startswith(f"{registry.address}/mirror/jetstack/charts/cert-manager:v1.21.2 cannot be pulled: 127.0.0.1 "
                          "answers 404 Not Found. ")  # fmt: skip
    assert archives.complete([ENVOY_GATEWAY], origin(registry, tmp_path)) == []


def test_a_registry_of_an_unknown_authority_is_not_believed(registry: OciRegistry, tmp_path: Path):
    stranger = Origin(Registry.model_validate({"mirror": f"{registry.address}/mirror"}), tmp_path)
    assert "certificate verify failed" in refused(Archives(tmp_path / "charts"), stranger, ENVOY_GATEWAY)
    assert registry.requests == []


def test_a_file_of_authorities_that_is_not_there_is_named(registry: OciRegistry, tmp_path: Path):
    source = Origin(Registry.model_validate({"mirror": registry.address, "ca": "absent.pem"}), tmp_path)
    assert f"{tmp_path}/absent.pem: No such file" in refused(Archives(tmp_path / "charts"), source, ENVOY_GATEWAY)


def test_an_archive_that_was_changed_on_its_way_is_not_kept(registry: OciRegistry, tmp_path: Path):
    registry.served_archive = OTHER
    archives = Archives(tmp_path / "charts")
    assert f"it arrived as sha256:{sha256(OTHER).hexdigest()}, and its manifest has {BLOB}" in refused(
        archives, origin(registry, tmp_path), ENVOY_GATEWAY
    )
    assert not archives.folder.exists()


def test_a_tag_that_was_moved_is_refused(registry: OciRegistry, tmp_path: Path):
    archives = Archives(tmp_path / "charts")
    archives.complete([ENVOY_GATEWAY], origin(registry, tmp_path))
    (archives.folder / ENVOY_GATEWAY.archive).unlink()  # a runner that has the record and not the archive
    registry.archives[PATH] = OTHER
    assert refused(archives, origin(registry, tmp_path), ENVOY_GATEWAY) == (
        f"{registry.address}/mirror/envoyproxy/gateway-helm:v1.8.3 is another archive (sha256 "
        f"{sha256(OTHER).hexdigest()}) than {archives.folder}/SHA256SUMS records ({sha256(ARCHIVE).hexdigest()}): its "
        "tag was moved, or somebody changed it on its way. Where you know why, delete its line and pull again"
    )
    assert not (archives.folder / ENVOY_GATEWAY.archive).exists()


def test_an_archive_that_was_changed_in_the_repository_is_refused_without_asking_a_registry(
    registry: OciRegistry, tmp_path: Path
):
    archives = Archives(tmp_path / "charts")
    archives.complete([ENVOY_GATEWAY], origin(registry, tmp_path))
    registry.requests.clear()
    (archives.folder / ENVOY_GATEWAY.archive).write_bytes(OTHER)
    assert refused(archives, origin(registry, tmp_path), ENVOY_GATEWAY) == (
        f"{archives.folder}/gateway-helm-v1.8.3.tgz (sha256 {sha256(OTHER).hexdigest()}) is not what SHA256SUMS beside "
        f"it records ({sha256(ARCHIVE).hexdigest()}): restore both from version control, or delete the file and "
        "`corral registry pull`"
    )
    assert registry.requests == []


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path):
    (tmp_path / "charts").write_text("")
    why = refused(Archives(tmp_path / "charts"), Origin(None, tmp_path), ENVOY_GATEWAY)
    assert why == f"{tmp_path}/charts/SHA256SUMS: Not a directory"


@pytest.mark.parametrize(
    ("sums", "why"),
    [
        ("", f"{ENVOY_GATEWAY.archive} is not recorded in SHA256SUMS beside it: {TRUST_IT}"),
        ("<<<<<<< HEAD\n", "SHA256SUMS:1 is not a line of sha256sum: restore it"),
    ],
    ids=["not recorded", "a conflict of a merge"],
)
def test_a_record_that_lacks_the_archive_or_cannot_be_read_is_refused(sums: str, why: str, tmp_path: Path):
    archives = Archives(tmp_path)
    (tmp_path / ENVOY_GATEWAY.archive).write_bytes(ARCHIVE)
    (tmp_path / "SHA256SUMS").write_text(sums)
    assert refused(archives, Origin(None, tmp_path), ENVOY_GATEWAY) == f"{tmp_path}/{why}"
