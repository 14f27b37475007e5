"""`corral registry`."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from corral.config.cluster import Versions
from corral.gateway.charts import Charts
from tests.cli.conftest import Corral
from tests.gateway.registry import AUTHORITY, OciRegistry, served

STACK = """\
config:
  corral:engine: {kind: kubernetes}
  corral:cluster: {kubeconfig: ~/.kube/config}
  corral:gateway: {certManager: false}
  corral:hosts: {deepinfra: {}}
  corral:models:
    llama-3.3-70b: {shares: {deepinfra: 100}}
"""

LIST = """\
docker.io/envoyproxy/gateway-crds-helm:v1.8.3
docker.io/envoyproxy/gateway-helm:v1.8.3
docker.io/envoyproxy/ai-gateway-crds-helm:v1.1.0
docker.io/envoyproxy/ai-gateway-helm:v1.1.0
docker.io/envoyproxy/gateway:v1.8.3
docker.io/envoyproxy/envoy:distroless-v1.38.3
docker.io/envoyproxy/ratelimit:1e50889b
docker.io/library/redis:8.2.4-alpine3.22
docker.io/envoyproxy/ai-gateway-controller:v1.1.0
docker.io/envoyproxy/ai-gateway-extproc:v1.1.0
"""

ALL = Charts.of(Versions())
CHARTS = (ALL.definitions, ALL.envoy_gateway, ALL.ai_definitions, ALL.ai_gateway)


def write(project: Path, registry: str = "") -> None:
    (project / "stacks" / "Pulumi.prod.yaml").write_text(STACK + registry)


def test_the_list_has_each_chart_and_image_of_the_stack_on_a_line(corral: Corral, project: Path):
    write(project)
    assert corral("registry", "list", "-s", "prod") == (0, LIST, "")


def test_the_list_has_the_versions_that_the_stack_names(corral: Corral, project: Path):
    write(project)
    file = project / "stacks" / "Pulumi.prod.yaml"
    versions = "envoyGateway: v1.9.2, aiGateway: v1.2.0, envoy: docker.io/envoyproxy/envoy:distroless-v1.39.1"
    file.write_text(file.read_text().replace("certManager: false", f"certManager: false, versions: {{{versions}}}"))
    want = LIST.replace("v1.8.3", "v1.9.2").replace("v1.1.0", "v1.2.0").replace("v1.38.3", "v1.39.1")
    assert corral("registry", "list", "-s", "prod") == (0, want, "")


def test_the_list_of_a_stack_with_a_mirror_says_what_to_copy_where(corral: Corral, project: Path):
    write(project, "  corral:registry: {mirror: registry.example.com/mirror}\n")
    want = [f"{name} {name.replace('docker.io', 'registry.example.com/mirror')}" for name in LIST.splitlines()]
    assert corral("registry", "list", "-s", "prod").out.splitlines() == want


def test_charts_are_pulled_from_the_mirror_into_the_folder_beside_the_stack_files_once(
    corral: Corral, project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DOCKER_CONFIG", str(project))
    AUTHORITY.cert_pem.write_to_path(str(project / "stacks" / "ca.pem"))
    with served(OciRegistry()) as registry:
        registry.archives = {
            (f"mirror/envoyproxy/{chart.name}", chart.version): chart.name.encode() for chart in CHARTS
        }
        write(project, f"  corral:registry: {{mirror: '{registry.address}/mirror', ca: ca.pem}}\n")
        first, second = (corral("registry", "pull", "-s", "prod") for _ in range(2))
    done = "all 4 charts are in stacks/charts"
    pulled = "".join(f"pulled stacks/charts/{chart.archive}\n" for chart in CHARTS)
    assert (first, second) == ((0, f"{pulled}{done}: commit it\n", ""), (0, f"{done}\n", ""))
    assert (project / "stacks" / "charts" / "SHA256SUMS").read_text() == "".join(
        f"{sha256(chart.name.encode()).hexdigest()}  {chart.archive}\n"
        for chart in sorted(CHARTS, key=lambda chart: chart.archive)
    )


def test_what_cannot_be_pulled_is_refused_in_words(corral: Corral, project: Path):
    write(project, "  corral:registry: {mirror: 'localhost:1/mirror'}\n")
    refused = corral("registry", "pull", "-s", "prod")
    assert (refused.status, refused.out) == (1, "")
    assert refused.err.startswith("localhost:1/mirror/envoyproxy/gateway-crds-helm:v1.8.3 cannot be pulled: ")


@pytest.mark.parametrize("verb", ["list", "pull"])
def test_a_stack_of_one_machine_takes_nothing_from_a_registry(corral: Corral, verb: str):
    why = "The stack local runs on one machine, and takes no chart and no image.\n"
    assert corral("registry", verb, "-s", "local") == (1, "", why)


pytestmark = pytest.mark.usefixtures("project")
