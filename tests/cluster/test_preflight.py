"""What a cluster needs before it is made, held against what an account has: answers in botocore's shapes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from corral.cluster.preflight import preconditions
from corral.config.secret_store import SecretStore
from corral.config.stack import Stack
from corral.hosts.probing import Judgement
from tests.hosts.account import Answer, FakeAccount, quota

LLAMA = "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"
ON_DEMAND, SPOT = "L-DB2E81BA", "L-3819A6DF"
END = datetime(2027, 3, 27, tzinfo=UTC)


def zone(letter: str, id_: str) -> dict[str, str]:
    return {"ZoneName": f"us-east-1{letter}", "ZoneId": id_}


def offerings(letters: str, instance: str = "g6e.12xlarge") -> dict[str, Any]:
    each = {"InstanceType": instance, "LocationType": "availability-zone"}
    return {"InstanceTypeOfferings": [each | {"Location": f"us-east-1{letter}"} for letter in letters]}


def quotas(**values: float) -> Answer:
    """GetServiceQuota, by code with `_` for `-`."""
    by_code = {
        "L-F678F1CE": 5.0,
        "L-0263D0A3": 5.0,
        ON_DEMAND: 192.0,
        SPOT: 192.0,
        "L-417A185B": 192.0,
        "L-1216C47A": 16.0,
    }
    by_code |= {code.replace("_", "-"): value for code, value in values.items()}
    return lambda params: (
        quota(params["ServiceCode"], params["QuotaCode"], by_code[params["QuotaCode"]])
        if params["QuotaCode"] in by_code
        else "NoSuchResourceException"
    )


def instance(kind: str, cores: int, **more: Any) -> dict[str, Any]:
    return {"InstanceType": kind, "CpuOptions": {"CoreCount": cores, "ThreadsPerCore": 2}} | more


def instances(*each: dict[str, Any]) -> dict[str, Any]:
    return {"Reservations": [{"Instances": [one]} for one in each]}


def tags(**named: str) -> dict[str, Any]:
    return {"Tags": [{"Key": key.replace("_", "-"), "Value": value} for key, value in named.items()]}


VCPUS = {"g6e.12xlarge": 48, "g6e.24xlarge": 96, "p5.48xlarge": 192}


def size(instance: str) -> dict[str, Any]:
    return {"InstanceTypes": [{"InstanceType": instance, "VCpuInfo": {"DefaultVCpus": VCPUS[instance]}}]}


GOOD: dict[str, Answer] = {
    "describe_cluster_versions": {
        "clusterVersions": [
            {"clusterVersion": "1.35", "versionStatus": "STANDARD_SUPPORT", "endOfStandardSupportDate": END}
        ]
    },
    "describe_availability_zones": {
        "AvailabilityZones": [
            zone("a", "use1-az1"),
            zone("b", "use1-az2"),
            zone("c", "use1-az4"),
            zone("d", "use1-az5"),
        ]
    },
    "describe_subnets": {"Subnets": []},
    "describe_instance_type_offerings": offerings("bd"),
    "describe_instance_types": lambda params: size(*params["InstanceTypes"]),
    "describe_instances": instances(),
    "describe_log_groups": {"logGroups": []},
    "describe_vpcs": {"Vpcs": [{"VpcId": "vpc-1"}]},
    "describe_addresses": {"Addresses": [{"AllocationId": "eipalloc-1"}]},
    "get_service_quota": quotas(),
    "get_aws_default_service_quota": "NoSuchResourceException",
}


def stack(cluster: Mapping[str, Any] | None = None, **gpus: Any) -> Stack:
    nodes = {"instance": "g6e.12xlarge", "min": 1, "max": 4} | gpus
    return Stack.model_validate(
        {
            "name": "prod",
            "region": "us-east-1",
            "engine": {"kind": "kubernetes"},
            "cluster": cluster or {},
            "hosts": {"vllm": {"kind": "vllm", "gpus": nodes, "modelWeights": {"llama-3.3-70b": LLAMA}}},
            "models": {"llama-3.3-70b": {"shares": {"vllm": 100}}},
        }
    )


def judged(patch: pytest.MonkeyPatch, declared: Stack, **answers: Answer) -> dict[tuple[str, str], Judgement]:
    FakeAccount(GOOD | answers).installed(patch)
    return {(each.part, each.subject): (each.outcome, each.why) for each in preconditions(declared, 1)}


def increase(service: str, code: str, value: int) -> str:
    return (
        f"`aws service-quotas request-service-quota-increase --service-code {service} --quota-code {code} "
        f"--desired-value {value} --region us-east-1`"
    )


LOGS = "/aws/eks/corral-prod/cluster"


def log_group(name: str) -> dict[str, str]:
    return {"logGroupName": name, "logGroupArn": f"arn:aws:logs:us-east-1:123456789012:log-group:{name}"}


STANDARD = "“Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances”"
G_AND_VT = "“Running On-Demand G and VT instances” is"


def test_an_account_with_all_that_a_new_cluster_takes_is_allowed(monkeypatch: pytest.MonkeyPatch):
    assert judged(monkeypatch, stack()) == {
        ("cluster", "Kubernetes 1.35"): ("allowed", "in standard support until 2027-03-27"),
        ("cluster", "zones"): ("allowed", "us-east-1a, us-east-1b, us-east-1d"),
        ("cluster", "VPC"): (
            "allowed",
            "“VPCs per Region” is 5 in us-east-1, of which others leave 4, and 1 are wanted",
        ),
        ("cluster", "elastic IPs"): (
            "allowed",
            "“EC2-VPC Elastic IPs” is 5 in us-east-1, of which others leave 4, and 3 are wanted",
        ),
        ("cluster", "log group"): ("allowed", f"{LOGS} is the stack's, or is not there"),
        ("cluster", "vCPUs of the Envoys"): (
            "allowed",
            f"{STANDARD} is 16 in us-east-1, of which others leave 16, and 10 are wanted",
        ),
        ("vllm", "g6e.12xlarge in the zones"): ("allowed", "offered in us-east-1b, us-east-1d"),
        ("vllm", "vCPUs, on demand"): (
            "allowed",
            f"{G_AND_VT} 192 in us-east-1, of which others leave 192, and 192 are wanted",
        ),
    }


def test_what_the_stack_has_made_already_does_not_count_against_it(monkeypatch: pytest.MonkeyPatch):
    own, node = tags(corral_stack="prod"), {"Tags": [{"Key": "aws:eks:cluster-name", "Value": "corral-prod"}]}
    subnets = [{"SubnetId": f"subnet-{letter}", "AvailabilityZone": f"us-east-1{letter}"} for letter in "bc"]
    there = judged(
        monkeypatch,
        stack(),
        describe_vpcs={"Vpcs": [{"VpcId": f"vpc-{n}"} for n in range(4)] + [{"VpcId": "vpc-own"} | own]},
        describe_addresses={"Addresses": [{"AllocationId": "eipalloc-1"}] + [own] * 4},
        describe_subnets={"Subnets": subnets},
        describe_instances=instances(*[instance("g6e.12xlarge", 24, **node)] * 4),
    )
    assert {outcome for outcome, _ in there.values()} == {"allowed"}
    assert there["cluster", "zones"] == ("allowed", "us-east-1b, us-east-1c")


CASES: list[tuple[str, dict[str, Any], dict[str, Answer], tuple[str, str], Judgement]] = [
    (
        "a quota too small for the least",
        {},
        {"get_service_quota": quotas(L_DB2E81BA=40.0)},
        ("vllm", "vCPUs, on demand"),
        (
            "refused",
            (
                f"{G_AND_VT} 40 in us-east-1, of which others leave 40, and 48 are wanted at least: "
                f"{increase('ec2', ON_DEMAND, 192)}"
            ),
        ),
    ),
    (
        "a quota that others use",
        {"min": 2},
        {"describe_instances": instances(instance("g5.48xlarge", 64), instance("m7i.large", 1))},
        ("vllm", "vCPUs, on demand"),
        (
            "refused",
            (
                f"{G_AND_VT} 192 in us-east-1, of which others leave 64, and 96 are wanted at least: "
                f"{increase('ec2', ON_DEMAND, 320)}"
            ),
        ),
    ),
    (
        "a quota for the least and not for the most",
        {"min": 0},
        {"get_service_quota": quotas(L_DB2E81BA=96.0)},
        ("vllm", "vCPUs, on demand"),
        (
            "allowed",
            (
                f"{G_AND_VT} 96 in us-east-1, of which others leave 96: enough for the least, 48, and not for the "
                f"most, 192: {increase('ec2', ON_DEMAND, 192)}"
            ),
        ),
    ),
    (
        "spot with a quota of its own",
        {"capacityType": "spot"},
        {
            "get_service_quota": quotas(L_DB2E81BA=0.0),
            "describe_instances": instances(instance("g6e.12xlarge", 24), instance("g6e.xlarge", 2)),
        },
        ("vllm", "vCPUs, spot"),
        (
            "allowed",
            "“All G and VT Spot Instance Requests” is 192 in us-east-1, of which others leave 192, and 192 are wanted",
        ),
    ),
    (
        "no spot, but on demand behind it",
        {"capacityType": "spot"},
        {"get_service_quota": quotas(L_3819A6DF=0.0)},
        ("vllm", "vCPUs, spot"),
        (
            "allowed",
            (
                f"nodes are bought as g6e.12xlarge on demand: {G_AND_VT} 192 in us-east-1, of which others leave 192, "
                "and 192 are wanted; for g6e.12xlarge on spot “All G and VT Spot Instance Requests” is 0 in "
                f"us-east-1, of which others leave 0, and 48 are wanted at least: {increase('ec2', SPOT, 192)}"
            ),
        ),
    ),
    (
        "spot instances of others",
        {"capacityType": "spot", "min": 4},
        {
            "get_service_quota": quotas(L_DB2E81BA=0.0),
            "describe_instances": instances(instance("g6.xlarge", 2, InstanceLifecycle="spot")),
        },
        ("vllm", "vCPUs, spot"),
        (
            "refused",
            (
                "“All G and VT Spot Instance Requests” is 192 in us-east-1, of which others leave 188, and 192 are "
                f"wanted at least: {increase('ec2', SPOT, 196)}; nor is there room for g6e.12xlarge on demand: "
                f"{G_AND_VT} 0 in us-east-1, of which others leave 0, and 192 are wanted at least: "
                f"{increase('ec2', ON_DEMAND, 192)}"
            ),
        ),
    ),
    (
        "no room for the preferred type, and for an alternative of another family",
        {"alternatives": ["p5.48xlarge"], "max": 1},
        {"get_service_quota": quotas(L_DB2E81BA=0.0)},
        ("vllm", "vCPUs, on demand"),
        (
            "allowed",
            (
                "nodes are bought as p5.48xlarge on demand: “Running On-Demand P instances” is 192 in us-east-1, of "
                f"which others leave 192, and 192 are wanted; for g6e.12xlarge on demand {G_AND_VT} 0 in us-east-1, of "
                f"which others leave 0, and 48 are wanted at least: {increase('ec2', ON_DEMAND, 48)}"
            ),
        ),
    ),
    (
        "no room for a preferred type, and an alternative that nobody knows the quota of",
        {"alternatives": ["trn2.48xlarge"], "max": 1},
        {"get_service_quota": quotas(L_DB2E81BA=0.0)},
        ("vllm", "vCPUs, on demand"),
        (
            "unknown",
            (
                "nodes are bought as trn2.48xlarge on demand: which quota counts trn2.48xlarge is not known here: see "
                f"Service Quotas, Amazon EC2; for g6e.12xlarge on demand {G_AND_VT} 0 in us-east-1, of which others "
                f"leave 0, and 48 are wanted at least: {increase('ec2', ON_DEMAND, 48)}"
            ),
        ),
    ),
    (
        "a preferred type that is not offered, and an alternative that is",
        {"alternatives": ["g6e.24xlarge"]},
        {"describe_instance_type_offerings": lambda params: offerings("b" if "g6e.24xlarge" in str(params) else "")},
        ("vllm", "g6e.12xlarge or g6e.24xlarge in the zones"),
        ("allowed", "g6e.24xlarge is offered in us-east-1b, and g6e.12xlarge is not"),
    ),
    (
        "an alternative that has to be large enough where the preferred type is not offered",
        {"alternatives": ["g6e.24xlarge"], "max": 1},
        {
            "describe_instance_type_offerings": lambda params: offerings("b" if "g6e.24xlarge" in str(params) else ""),
            "get_service_quota": quotas(L_DB2E81BA=48.0),
        },
        ("vllm", "vCPUs, on demand"),
        (
            "refused",
            (
                "no zone of the cluster offers g6e.12xlarge: take another; nor is there room for g6e.24xlarge on "
                f"demand: {G_AND_VT} 48 in us-east-1, of which others leave 48, and 96 are wanted at least: "
                f"{increase('ec2', ON_DEMAND, 96)}"
            ),
        ),
    ),
    (
        "what a reservation does not hold",
        {"capacityType": {"reservation": "cr-0123456789abcdef0", "otherwise": "onDemand"}, "min": 2},
        {"describe_capacity_reservations": lambda _: reservation(TotalInstanceCount=1)},
        ("vllm", "vCPUs, on demand"),
        ("allowed", f"{G_AND_VT} 192 in us-east-1, of which others leave 192, and 144 are wanted"),
    ),
    (
        "a family of which the quota is not known",
        {"instance": "p6-b200.48xlarge", "capacityType": "spot"},
        {},
        ("vllm", "vCPUs, spot"),
        ("unknown", "which quota counts p6-b200.48xlarge is not known here: see Service Quotas, Amazon EC2"),
    ),
    (
        "a quota that Service Quotas does not have",
        {"instance": "p5.48xlarge", "capacityType": "spot"},
        {},
        ("vllm", "vCPUs, spot"),
        ("unknown", "Service Quotas has no “All P5 Spot Instance Requests” (L-C4BD4855) in us-east-1"),
    ),
    (
        "an instance type that the region does not have",
        {},
        {"describe_instance_types": "InvalidInstanceType"},
        ("vllm", "vCPUs, on demand"),
        ("refused", "us-east-1 has no instance type g6e.12xlarge: take another"),
    ),
    (
        "an instance type that is offered nowhere",
        {},
        {"describe_instance_type_offerings": offerings("")},
        ("vllm", "g6e.12xlarge in the zones"),
        (
            "refused",
            (
                "offered nowhere in us-east-1, and the cluster is in us-east-1a, us-east-1b, us-east-1c: take another "
                "instance type"
            ),
        ),
    ),
    (
        "a version past its standard support",
        {},
        {"describe_cluster_versions": {"clusterVersions": [{"versionStatus": "EXTENDED_SUPPORT"}]}},
        ("cluster", "Kubernetes 1.35"),
        ("refused", "extended support: EKS makes it with standard support only; raise corral:cluster.version"),
    ),
    (
        "a version that EKS does not have",
        {},
        {"describe_cluster_versions": "InvalidParameterException"},
        ("cluster", "Kubernetes 1.35"),
        ("refused", "EKS has no version 1.35 in us-east-1: correct corral:cluster.version"),
    ),
    (
        "an account that is new, and has one node",
        {},
        {
            "get_service_quota": quotas(L_1216C47A=5.0),
            "describe_instances": instances(instance("m7i.xlarge", 2), instance("hpc7a.12xlarge", 12)),
        },
        ("cluster", "vCPUs of the Envoys"),
        (
            "refused",
            (
                f"{STANDARD} is 5 in us-east-1, of which others leave 1, and 2 are wanted at least: "
                f"{increase('ec2', 'L-1216C47A', 14)}"
            ),
        ),
    ),
    (
        "no elastic IP is left",
        {},
        {"describe_addresses": {"Addresses": [{"AllocationId": f"eipalloc-{n}"} for n in range(3)]}},
        ("cluster", "elastic IPs"),
        (
            "refused",
            (
                "“EC2-VPC Elastic IPs” is 5 in us-east-1, of which others leave 2, and 3 are wanted at least: "
                f"{increase('ec2', 'L-0263D0A3', 6)}"
            ),
        ),
    ),
    (
        "too few zones",
        {},
        {"describe_availability_zones": {"AvailabilityZones": [zone("a", "use1-az1"), zone("e", "use1-az3")]}},
        ("cluster", "zones"),
        ("refused", "us-east-1 has 1 zones for a cluster, not 3: lower corral:cluster.network.zones"),
    ),
    (
        "a permission that is missing",
        {},
        {"get_service_quota": "AccessDeniedException"},
        ("cluster", "VPC"),
        ("unknown", "these AWS credentials may not ask: allow servicequotas:GetServiceQuota"),
    ),
]


@pytest.mark.parametrize(
    ("gpus", "answers", "subject", "want"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_of_what_a_new_cluster_takes_is_judged(
    monkeypatch: pytest.MonkeyPatch,
    gpus: dict[str, Any],
    answers: dict[str, Answer],
    subject: tuple[str, str],
    want: Judgement,
):
    assert judged(monkeypatch, stack(**gpus), **answers)[subject] == want


@pytest.mark.parametrize(
    ("there", "tags", "want"),
    [
        (LOGS, {"corral-stack": "prod"}, ("allowed", f"{LOGS} is the stack's, or is not there")),
        (f"{LOGS}-2", {}, ("allowed", f"{LOGS} is the stack's, or is not there")),
        (
            LOGS,
            {},
            (
                "refused",
                (
                    f"{LOGS} is there, and not the stack's: left by a cluster of before, "
                    f"`aws logs delete-log-group --log-group-name {LOGS} --region us-east-1`"
                ),
            ),
        ),
    ],
    ids=["the stack's", "of a longer name", "left by a destroyed cluster"],
)
def test_a_log_group_that_a_destroyed_cluster_has_left_is_named_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, there: str, tags: dict[str, str], want: Judgement
):
    groups = {"logGroups": [log_group(there)]}
    judgements = judged(monkeypatch, stack(), describe_log_groups=groups, list_tags_for_resource={"tags": tags})
    assert judgements["cluster", "log group"] == want


def with_a_store() -> Stack:
    store = SecretStore(name="aws", keys={"huggingface": "corral/hf"})
    return stack({"addons": {"externalSecrets": "install"}}).model_copy(update={"secret_store": store})


@pytest.mark.parametrize(
    ("answer", "outcome", "why"),
    [
        pytest.param({"Name": "corral/hf"}, "allowed", "in Secrets Manager, us-east-1", id="there"),
        pytest.param(
            {"Name": "corral/hf", "DeletedDate": END},
            "refused",
            "it is deleted on 2027-03-27: `aws secretsmanager restore-secret --secret-id corral/hf --region us-east-1`",
            id="deleted",
        ),
        pytest.param(
            "ResourceNotFoundException",
            "refused",
            "Secrets Manager has none in us-east-1: `aws secretsmanager create-secret --name corral/hf "
            "--secret-string file://KEY --region us-east-1`",
            id="absent",
        ),
    ],
)
def test_a_secret_that_the_operator_of_the_stack_is_to_read_is_there(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, outcome: str, why: str
):
    judgements = judged(monkeypatch, with_a_store(), describe_secret=answer)
    assert judgements["huggingface", "secret corral/hf"] == (outcome, why)


RESERVED = {"capacityType": {"reservation": "cr-0123456789abcdef0"}}


def reservation(**changes: Any) -> dict[str, Any]:
    each = {
        "InstanceType": "g6e.12xlarge",
        "State": "active",
        "AvailabilityZone": "us-east-1b",
        "TotalInstanceCount": 2,
    }
    return {"CapacityReservations": [each | changes]}


@pytest.mark.parametrize(
    ("answer", "want"),
    [
        (reservation(), ("allowed", "active, 2 instances, and at most 4 wanted")),
        (reservation(TotalInstanceCount=4), ("allowed", "active, 4 instances")),
        ("InvalidCapacityReservationId.NotFound", ("refused", "us-east-1 has no such reservation of this account")),
        (
            reservation(InstanceType="p5.48xlarge"),
            ("refused", "it is for p5.48xlarge, not for g6e.12xlarge: correct gpus.instance"),
        ),
        (reservation(State="expired"), ("refused", "it is expired: name one that is active")),
        (
            reservation(AvailabilityZone="us-east-1c"),
            ("refused", "it is in us-east-1c, and the cluster is in us-east-1a, us-east-1b, us-east-1d"),
        ),
    ],
    ids=["small", "large", "absent", "another type", "over", "another zone"],
)
def test_a_reservation_is_held_against_the_nodes_and_no_quota_is(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, want: Judgement
):
    there = judged(monkeypatch, stack(**RESERVED), describe_capacity_reservations=answer)
    assert there["vllm", "cr-0123456789abcdef0"] == want
    assert [subject for _, subject in there if subject.startswith("vCPUs,")] == []


IDS = ["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"]
GIVEN = {"network": {"vpc": "vpc-0123456789abcdef0", "subnets": IDS}}


def subnets(*letters: str, vpc: str = "vpc-0123456789abcdef0") -> dict[str, Any]:
    placed = zip(IDS, letters, strict=True)
    return {
        "Subnets": [{"SubnetId": id_, "VpcId": vpc, "AvailabilityZone": f"us-east-1{letter}"} for id_, letter in placed]
    }


@pytest.mark.parametrize(
    ("answer", "want"),
    [
        (subnets("a", "b"), ("allowed", "us-east-1a, us-east-1b")),
        (subnets("a", "a"), ("refused", "its subnets are all in one zone: name private ones in two or more")),
        (
            subnets("a", "b", vpc="vpc-2"),
            ("refused", f"{IDS[0]}, {IDS[1]} is not in vpc-0123456789abcdef0: name subnets of that VPC"),
        ),
        (
            "InvalidSubnetID.NotFound",
            ("refused", "us-east-1 has not all of these subnets: correct corral:cluster.network.subnets"),
        ),
    ],
    ids=["two zones", "one zone", "another VPC", "absent"],
)
def test_a_vpc_that_is_there_is_looked_at_and_takes_no_quota(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, want: Judgement
):
    there = judged(monkeypatch, stack(GIVEN), describe_subnets=answer)
    assert there["cluster", "zones"] == want
    assert not {("cluster", "VPC"), ("cluster", "elastic IPs")} & {*there}


def test_a_cluster_that_is_there_is_asked_whether_it_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    there = judged(monkeypatch, stack({"kubeconfig": str(tmp_path / "config")}))
    assert list(there) == [("cluster", "API server")]
    assert there["cluster", "API server"][0] == "refused"
