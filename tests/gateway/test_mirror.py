"""A mirror in the place of every registry: nothing that a program records, and no chart that is rendered with it, names
another one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from corral.catalog.load import load_catalog
from corral.config.cluster import INSTALLED_PROMETHEUS, Versions
from corral.config.read import stack_from_config
from corral.config.registry import Cache, Registry
from corral.gateway.charts import REDIS_IMAGE, charts, images
from corral.plan.build import build
from corral.testing import NEVER, Recorded, Secret, World
from corral.testing.recording import revealed, walk
from corral.testing.world import manifests
from tests.gateway.deployed import KEYS, config_of, deploy

MIRROR = "registry.example.com:5000/mirror"
PULL_SECRET = "registry"
REGISTRY = {"mirror": MIRROR, "pullSecret": PULL_SECRET}
LOGIN = f"robot:{NEVER}"
STACKS = ("kind", "staging", "prod")

OTHERS = re.compile(r"(docker\.io|quay\.io|ghcr\.io|gcr\.io|registry\.k8s\.io|public\.ecr\.aws|nvcr\.io)/")

RELEASE, CHART = "kubernetes:helm.sh/v3:Release", "kubernetes:helm.sh/v4:Chart"


@pytest.mark.parametrize(
    ("name", "mirror", "want"),
    [
        ("docker.io/envoyproxy/gateway:v1.8.3", MIRROR, f"{MIRROR}/envoyproxy/gateway:v1.8.3"),
        ("quay.io/jetstack/charts/cert-manager", MIRROR, f"{MIRROR}/jetstack/charts/cert-manager"),
        ("vllm/vllm-openai:v0.29.0", MIRROR, f"{MIRROR}/vllm/vllm-openai:v0.29.0"),
        ("redis:8", MIRROR, f"{MIRROR}/library/redis:8"),
        ("docker.io/redis:8@sha256:0", "registry.example.com", "registry.example.com/library/redis:8@sha256:0"),
        ("localhost/simulator:v1", MIRROR, f"{MIRROR}/simulator:v1"),
        ("registry.example.com:5000/team/vllm:v1", MIRROR, "registry.example.com:5000/team/vllm:v1"),
        ("vllm/vllm-openai:v1", "cache.example.com/{registry}", "cache.example.com/docker.io/vllm/vllm-openai:v1"),
        ("quay.io/a/b:1", "cache.example.com/team/{registry}", "cache.example.com/team/quay.io/a/b:1"),
    ],
)
def test_a_name_loses_its_registry_and_gets_the_mirror(name: str, mirror: str, want: str):
    assert Registry.model_validate({"mirror": mirror}).mirrored(name) == want


def with_registry(stack: str, registry: Mapping[str, Any] | None) -> dict[str, Any]:
    """An example whose tenants have limits, so that all that a stack can have is in it."""
    config = config_of(stack)
    first = next(iter(config.get("corral:tenants", {})), "search")
    if stack == "prod":
        addons = ("keda", "prometheusOperator", "externalSecrets")
        config["corral:cluster"]["addons"] = dict.fromkeys(addons, "install")
        config["corral:secretStore"] = {"name": "aws", "keys": {"huggingface": "corral/huggingface"}}
        config["corral:cluster"]["prometheus"] = {"url": INSTALLED_PROMETHEUS}
    config.setdefault("corral:tenants", {}).setdefault(first, {})["requestsPerMinute"] = 60
    return {**config, **({"corral:registry": dict(registry)} if registry else {})}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, World]:
    keys = {**KEYS, "registry": LOGIN}
    return {
        stack: deploy(stack, tmp_path_factory.mktemp(stack), with_registry(stack, REGISTRY), keys) for stack in STACKS
    }


@pytest.mark.parametrize("stack", STACKS)
def test_a_program_records_no_other_registry(worlds: Mapping[str, World], stack: str):
    leaves = [
        (resource.name, path, value)
        for resource in worlds[stack].resources
        for path, value, _ in walk(resource.inputs)
        if isinstance(value, str)
    ]
    assert [leaf for leaf in leaves if OTHERS.search(leaf[2])] == []
    named = [leaf for leaf in leaves if re.search(r"(\.image|\.repository|^values\.imageRegistry)$", leaf[1])]
    assert [leaf for leaf in named if not leaf[2].startswith(MIRROR)] == []
    assert {name for name, *_ in named} >= {
        *("gateway-software-envoy-gateway", "gateway-software-ai-gateway", "gateway-software-cert-manager"),
        *("gateway-software-redis-server", "gateway-proxy"),
    }


CACHE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/corral-prod"


def test_through_a_cache_every_image_of_a_program_is_pulled(tmp_path: Path):
    secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ecr-pullthroughcache/docker-hub-AbCdEf"
    world = deploy("prod", tmp_path, with_registry("prod", {"pullThrough": {"dockerHub": secret}}))
    named = {
        value
        for resource in world.resources
        for path, value, _ in walk(resource.inputs)
        if isinstance(value, str) and re.search(r"(\.image|\.repository|^values\.imageRegistry)$", path)
    }
    without_a_secret = "ghcr.io/"  # is pulled past the cache
    pulled = (f"{CACHE}/docker.io/", f"{CACHE}/quay.io", without_a_secret)
    assert {name for name in named if not name.startswith(pulled)} == set()
    assert {
        f"{CACHE}/docker.io/vllm/vllm-openai:v0.29.0",
        f"{CACHE}/docker.io/{REDIS_IMAGE.removeprefix('docker.io/')}",
    } <= named
    rules = {each.urn for each in world.of_type("PullThroughCacheRule")}
    assert rules <= world["gateway-software-envoy-gateway"].dependencies


def test_an_image_of_a_registry_that_the_cache_does_not_take_keeps_its_name():
    cache = Cache(mirror=f"{CACHE}/{{registry}}", upstreams=frozenset({"docker.io"}))
    names = ("redis:8", "nvcr.io/nvidia/vllm:1", "ghcr.io/llm-d/llm-d-inference-sim:v1")
    assert [cache.mirrored(name) for name in names] == [f"{CACHE}/docker.io/library/redis:8", *names[1:]]


def pods(world: World) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The pods that the program itself makes, by namespace."""
    for _, manifest in manifests(world):
        if manifest["kind"] == "Deployment":
            yield manifest["metadata"]["namespace"], manifest["spec"]["template"]["spec"]


@pytest.mark.parametrize("stack", STACKS)
def test_every_namespace_with_pods_has_the_pull_secret_and_every_pod_names_it(worlds: Mapping[str, World], stack: str):
    world = worlds[stack]
    secrets = {
        each.inputs["metadata"]["namespace"]: each
        for each in world.of_type("core/v1:Secret")
        if not each.read and each.inputs["metadata"]["name"] == PULL_SECRET
    }
    releases = {each.inputs["namespace"] for each in world.of_type(RELEASE)}
    assert {*secrets} == releases | {namespace for namespace, _ in pods(world)}
    configuration = {"auths": {"registry.example.com:5000": {"auth": "cm9ib3Q6c2stTkVWRVI="}}}
    for secret in secrets.values():
        assert secret.inputs["type"] == "kubernetes.io/dockerconfigjson"
        assert secret.inputs["stringData"] == Secret({".dockerconfigjson": json.dumps(configuration)})
    accounts = {
        (each["metadata"]["namespace"], each["metadata"]["name"]): each.get("imagePullSecrets", [])
        for _, each in manifests(world)
        if each["kind"] == "ServiceAccount"
    }
    for namespace, pod in pods(world):
        account = accounts.get((namespace, pod.get("serviceAccountName", "")), [])
        assert [*pod.get("imagePullSecrets", []), *account] == [{"name": PULL_SECRET}]
    proxy = world["gateway-proxy"].inputs["spec"]["provider"]["kubernetes"]["envoyDeployment"]
    assert (proxy["pod"]["imagePullSecrets"], proxy["container"]["image"]) == (
        [{"name": PULL_SECRET}],
        f"{MIRROR}/{Versions().envoy.removeprefix('docker.io/')}",
    )


def test_a_release_waits_for_the_secret_by_which_its_pods_are_pulled(worlds: Mapping[str, World]):
    world = worlds["kind"]
    for part, namespace in (("envoy-gateway", "envoy"), ("ai-gateway", "ai"), ("cert-manager", "cert")):
        secret = world[f"gateway-software-{namespace}-pull-secret"].urn
        assert secret in world[f"gateway-software-{part}"].dependencies


def test_a_secret_that_somebody_else_makes_is_named_and_not_made(tmp_path: Path):
    world = deploy("kind", tmp_path, with_registry("kind", REGISTRY))
    secrets = [each for each in world.of_type("core/v1:Secret") if not each.read]
    assert [each for each in secrets if each.inputs["metadata"]["name"] == PULL_SECRET] == []
    assert world["gateway-software-redis-server"].inputs["spec"]["template"]["spec"]["imagePullSecrets"] == [
        {"name": PULL_SECRET}
    ]


def test_no_chart_is_read_from_a_registry_and_none_from_a_path_of_this_machine(worlds: Mapping[str, World]):
    for stack, world in worlds.items():
        paths = {each.inputs["chart"] for each in (*world.of_type(RELEASE), *world.of_type(CHART))}
        addons = ("keda-2.20.2", "kube-prometheus-stack-88.5.3", "external-secrets-2.9.0")
        assert paths == {
            *(f"./charts/{addon}.tgz" for addon in addons if stack == "prod"),
            *("./charts/gateway-crds-helm-v1.8.3.tgz", "./charts/gateway-helm-v1.8.3.tgz"),
            *("./charts/ai-gateway-crds-helm-v1.1.0.tgz", "./charts/ai-gateway-helm-v1.1.0.tgz"),
            "./charts/cert-manager-v1.21.2.tgz",
        }


def test_the_versions_that_a_stack_names_are_installed(tmp_path: Path):
    config = with_registry("kind", REGISTRY)
    config["corral:gateway"] = {
        **config.get("corral:gateway", {}),
        "versions": {
            "envoyGateway": "v1.9.2",
            "aiGateway": "v1.2.0",
            "certManager": "v1.22.0",
            "envoy": "docker.io/envoyproxy/envoy:distroless-v1.39.1",
            "rateLimiter": "docker.io/envoyproxy/ratelimit:1",
        },
    }
    world = deploy("kind", tmp_path, config, {**KEYS, "registry": LOGIN})
    installed = {each.name: each.inputs["chart"] for each in (*world.of_type(RELEASE), *world.of_type(CHART))}
    assert installed == {
        "gateway-software-gateway-definitions": "./charts/gateway-crds-helm-v1.9.2.tgz",
        "gateway-software-envoy-gateway": "./charts/gateway-helm-v1.9.2.tgz",
        "gateway-software-ai-definitions": "./charts/ai-gateway-crds-helm-v1.2.0.tgz",
        "gateway-software-ai-gateway": "./charts/ai-gateway-helm-v1.2.0.tgz",
        "gateway-software-cert-manager": "./charts/cert-manager-v1.22.0.tgz",
    }
    named = world["gateway-software-envoy-gateway"].inputs["values"]["global"]["images"]
    assert {part: image["image"] for part, image in named.items()} == {
        "envoyGateway": f"{MIRROR}/envoyproxy/gateway:v1.9.2",
        "ratelimit": f"{MIRROR}/envoyproxy/ratelimit:1",
    }
    proxy = world["gateway-proxy"].inputs["spec"]["provider"]["kubernetes"]["envoyDeployment"]
    assert proxy["container"]["image"] == f"{MIRROR}/envoyproxy/envoy:distroless-v1.39.1"


def test_the_document_says_which_versions_go_with_corral():
    text = (Path(__file__).parents[2] / "docs" / "registry.md").read_text(encoding="utf-8")
    usual = Versions()
    assert f"| {usual.envoy_gateway} | {usual.ai_gateway} | {usual.cert_manager} |" in text


def archives() -> Path:
    """The folder of the published charts, which are not in this repository."""
    folder = Path(os.environ.get("CORRAL_CHARTS", "absent"))
    if shutil.which("helm") is None or not folder.is_dir():
        pytest.skip("needs helm on PATH, and in CORRAL_CHARTS a folder that `corral registry pull` has filled")
    return folder


def rendered(release: Recorded, folder: Path) -> list[dict[str, Any]]:
    """What Helm makes of a chart with the values of the program, definitions of types left out."""
    inputs = revealed(release.inputs)
    done = subprocess.run(
        ["helm", "template", inputs["name"], str(folder / Path(inputs["chart"]).name), "--values", "-",
         "--namespace", inputs["namespace"], "--kube-version", "1.33", "--skip-crds"],
        input=json.dumps(inputs.get("values", {})), capture_output=True, text=True, check=True,
    )  # fmt: skip
    objects = [each for each in yaml.load_all(done.stdout, yaml.CSafeLoader) if each]
    return [each for each in objects if each["kind"] != "CustomResourceDefinition"]


def image_names(objects: list[dict[str, Any]]) -> set[str]:
    """What stands where an image does: in pods, in the arguments of a controller, in Envoy Gateway's configuration."""
    names = re.findall(r'(?:"image": "|[Ii]mage[=:] ?|-reloader=)([^"\s\\]+)', json.dumps(objects))
    return {name.rstrip("\\") for name in names if "/" in name}


@pytest.mark.process
@pytest.mark.parametrize("stack", STACKS)
def test_charts_rendered_for_a_mirror_name_no_other_registry(worlds: Mapping[str, World], stack: str):
    folder, releases = archives(), worlds[stack].of_type(RELEASE)
    assert releases
    for release in releases:
        objects = rendered(release, folder)
        assert [text for _, text, _ in walk({"": objects}) if isinstance(text, str) and OTHERS.search(text)] == []
        assert [name for name in image_names(objects) if not name.startswith(MIRROR)] == []
        accounts = {each["metadata"]["name"]: each for each in objects if each["kind"] == "ServiceAccount"}
        templates = [each["spec"]["template"]["spec"] for each in objects if "template" in each.get("spec", {})]
        for pod in templates:  # a service account has its pods pull with its own secrets
            has_secrets = pod if "imagePullSecrets" in pod else accounts[pod["serviceAccountName"]]
            assert has_secrets["imagePullSecrets"] == [{"name": PULL_SECRET}]


@pytest.mark.process
def test_the_charts_of_addons_select_the_monitors_of_the_stack_and_listen_where_its_policies_let_in(
    worlds: Mapping[str, World],
):
    folder, world = archives(), worlds["prod"]
    made = {part: rendered(world[f"addons-{part}"], folder) for part in ("keda", "prometheus", "secrets")}
    (prometheus,) = [each["spec"] for each in made["prometheus"] if each["kind"] == "Prometheus"]
    for kind in ("serviceMonitor", "podMonitor"):
        monitors = world.of_type(f"{kind[0].upper()}{kind[1:]}")
        selected = prometheus[f"{kind}Selector"]["matchLabels"].items()
        assert {selected <= each.inputs["metadata"]["labels"].items() for each in monitors} == {True}
        assert prometheus[f"{kind}NamespaceSelector"] == {}
        assert [each for each in made["prometheus"] if each["kind"].lower() == kind.lower()] == []
    opened = {
        part: {
            port["port"]
            for each in world.resources
            if f"addons-{part}-policy/" in each.name
            for rule in each.inputs["spec"].get("ingress", ())
            for port in rule["ports"]
        }
        for part in made
    }
    listening = {
        part: {
            port["containerPort"]
            for each in objects
            if each["kind"] == "Deployment"
            for container in each["spec"]["template"]["spec"]["containers"]
            for port in container["ports"]
        }
        for part, objects in made.items()
    }
    assert {part: ports - opened[part] for part, ports in listening.items()} == {part: set() for part in made}
    (account,) = [each["metadata"]["name"] for each in made["secrets"] if each["kind"] == "ServiceAccount"]
    assert world["addons-identity-association"].inputs["serviceAccount"] == account


@pytest.mark.process
def test_the_list_of_images_is_that_of_the_charts(tmp_path: Path):
    folder, stack = archives(), "prod"
    world = deploy(stack, tmp_path, with_registry(stack, None))
    in_charts = {name for release in world.of_type(RELEASE) for name in image_names(rendered(release, folder))}
    declared = stack_from_config(stack, with_registry(stack, None), load_catalog())
    never_pulled = {name for name in in_charts if name.startswith("quay.io/thanos/thanos:")}  # no Thanos is asked for
    assert {image for chart in charts(declared) for image in chart.images} == in_charts - never_pulled | {
        Versions().envoy,
        REDIS_IMAGE,
    }


def test_the_list_of_images_has_those_of_the_hosts_that_the_stack_runs():
    catalog = load_catalog()
    lists = {stack: stack_from_config(stack, config_of(stack), catalog) for stack in STACKS}
    assert {stack: images(read, build(read, catalog))[-1] for stack, read in lists.items()} == {
        "kind": "ghcr.io/llm-d/llm-d-inference-sim:v0.10.2",
        "prod": "vllm/vllm-openai:v0.29.0",
        "staging": "quay.io/jetstack/cert-manager-startupapicheck:v1.21.2",
    }
