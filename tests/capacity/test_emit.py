"""`capacity --emit`: a Milvus that holds the plan."""

from __future__ import annotations

import itertools
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner, Result

from scripts.capacity.quantities import GI, size
from scripts.capacity_commands import capacity
from scripts.errors import AnswerIsNo, UsageError
from tests.capacity.operator_schema import MILVUS

SMALL, LARGE = ("--rows", "1M", "--dim", "384"), ("--rows", "100M", "--dim", "768", "--index", "HNSW")
S3 = ("--s3", "s3.eu-west-1.amazonaws.com/my-bucket", "--s3-secret", "milvus-s3")
WAYS = [(), ("--queue", "kafka"), S3, ("--mode", "cluster"), ("--replicas", "2")]


def run(*words: str) -> Result:
    return CliRunner().invoke(capacity, words)


def emitted(kind: str, *words: str) -> dict[str, Any]:
    result = run(*words, "--emit", kind)
    assert result.exit_code == 0, result.output
    return yaml.safe_load(result.stdout)


@pytest.mark.parametrize(("plan", "way"), list(itertools.product((SMALL, LARGE, (*SMALL, "--index", "DISKANN")), WAYS)))
def test_the_resource_is_one_that_the_operator_takes(plan, way):
    """Standalone and cluster, each message queue, MinIO and S3."""
    jsonschema.validate(emitted("operator", *plan, *way), MILVUS)


def test_few_rows_are_one_pod_and_many_are_a_cluster():
    """The mode follows from the size, unless it was asked for."""
    modes = [emitted("operator", *words)["spec"]["mode"] for words in (SMALL, LARGE, (*SMALL, "--mode", "cluster"), (*SMALL, "--replicas", "2"))]
    assert modes == ["standalone", "cluster", "cluster", "cluster"]


@pytest.mark.parametrize("kind", ["operator", "helm"])
def test_the_query_nodes_hold_what_is_loaded_during_a_promotion(kind):
    """As many and as large as the plan says, and more memory than it needs."""
    made, plan = emitted(kind, *LARGE), yaml.safe_load(run(*LARGE, "--json").stdout)
    nodes = made["spec"]["components"]["queryNode"] if kind == "operator" else made["queryNode"]
    memory = size(nodes["resources"]["limits"]["memory"])
    assert (nodes["replicas"], memory) == (plan["query_nodes"]["count"], plan["query_nodes"]["memory"])
    assert nodes["resources"]["requests"] == nodes["resources"]["limits"]
    assert nodes["replicas"] * memory * 0.9 > plan["needed"]


def test_the_volumes_hold_what_is_kept_during_a_promotion():
    """Four drives, half of which is parity, and room for compaction."""
    made, plan = emitted("operator", *LARGE), yaml.safe_load(run(*LARGE, "--json").stdout)
    values = made["spec"]["dependencies"]["storage"]["inCluster"]["values"]
    assert values["mode"] == "distributed" and 4 * size(values["persistence"]["size"]) / 2 >= 2 * plan["moments"][-1]["storage"]
    assert emitted("helm", *LARGE)["minio"]["persistence"] == values["persistence"]


def test_nothing_that_is_deleted_takes_the_data_with_it():
    """Dependencies in the cluster are retained with their volumes."""
    made = emitted("operator", *LARGE, "--queue", "kafka")["spec"]["dependencies"]
    kept = [(part["inCluster"]["deletionPolicy"], part["inCluster"]["pvcDeletion"]) for part in (made["etcd"], made["kafka"], made["storage"])]
    assert kept == [("Retain", False)] * 3


@pytest.mark.parametrize("plan", [SMALL, LARGE])
def test_the_keys_of_s3_stay_in_their_secret(plan):
    """The operator is told its name; with the chart every pod of Milvus takes them from there."""
    storage = emitted("operator", *plan, *S3)["spec"]["dependencies"]["storage"]
    assert storage == {"external": True, "type": "S3", "endpoint": "s3.eu-west-1.amazonaws.com:443", "secretRef": "milvus-s3"}
    values = emitted("helm", *plan, *S3)
    assert values["minio"] == {"enabled": False} and not {"accessKey", "secretKey"} & set(values["externalS3"])
    pods = [part for part in values.values() if "resources" in part]
    named = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for pod in pods for entry in pod["extraEnv"]}
    assert all(len(pod["extraEnv"]) == 2 for pod in pods) and len(pods) == (1 if plan is SMALL else 5)
    assert {name: source["key"] for name, source in named.items()} == {"MINIO_ACCESS_KEY_ID": "accesskey", "MINIO_SECRET_ACCESS_KEY": "secretkey"}
    assert {source["name"] for source in named.values()} == {"milvus-s3"}


def test_one_message_queue_is_on():
    """The one that was asked for; the chart's own default, Pulsar, is off."""
    woodpecker, kafka = emitted("helm", *LARGE), emitted("helm", *LARGE, "--queue", "kafka")
    on = [[name for name in ("pulsarv3", "woodpecker", "kafka") if values[name]["enabled"]] for values in (woodpecker, kafka)]
    assert on == [["woodpecker"], ["kafka"]]
    assert emitted("helm", *SMALL)["standalone"]["messageQueue"] == "woodpecker"


def test_diskann_has_a_disk():
    """On every node that searches, and Milvus is told to use it."""
    made = emitted("operator", "--rows", "100M", "--dim", "768", "--index", "DISKANN")["spec"]
    nodes, needed = made["components"]["queryNode"], 100_000_000 * 3 * 4096
    assert nodes["replicas"] * size(nodes["resources"]["requests"]["ephemeral-storage"]) > needed
    assert made["config"]["queryNode"]["enableDisk"] and made["config"]["indexNode"]["enableDisk"]
    assert size(emitted("helm", *SMALL, "--index", "DISKANN")["standalone"]["resources"]["limits"]["ephemeral-storage"]) > GI


def test_passwords_are_on():
    """A Milvus without them lets anybody move the alias."""
    assert emitted("operator", *SMALL)["spec"]["config"]["common"]["security"]["authorizationEnabled"]
    assert yaml.safe_load(emitted("helm", *SMALL)["extraConfigFiles"]["user.yaml"])["common"]["security"]["authorizationEnabled"]


def test_the_file_has_what_is_printed(tmp_path):
    """YAML, that says in a comment what it is sized for."""
    result = run(*SMALL, "--emit", "helm", "--out", str(tmp_path / "values.yaml"))
    text = (tmp_path / "values.yaml").read_text()
    assert text.startswith("# Sized for 1,000,000 rows of 384 numbers, HNSW") and text.strip() == result.stdout.strip()


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ((*SMALL, "--name", "Milvus!"), UsageError),
        ((*SMALL, "--name", "a" * 41), UsageError),
        ((*SMALL, "--s3", "https://key:secret@host/bucket", "--s3-secret", "s"), UsageError),
        ((*SMALL, "--s3", "host:99999/bucket", "--s3-secret", "s"), UsageError),
        ((*SMALL, "--s3", "host/bucket", "--s3-secret", "No Name"), UsageError),
        ((*LARGE, "--mode", "standalone"), UsageError),
        ((*LARGE, "--memory", "64Gi"), AnswerIsNo),
        (("--rows", "1000B", "--dim", "32768"), UsageError),
    ],
)
def test_what_would_not_run_is_refused_in_one_line(words, kind):
    """Names and addresses that Kubernetes does not take, nodes that do not hold it, and hundreds of thousands of nodes."""
    refused = run(*words, "--emit", "operator").exception
    assert isinstance(refused, kind) and "\n" not in str(refused) and "secret@" not in str(refused)


@pytest.mark.parametrize("words", [(*SMALL, "--queue", "kafka"), (*SMALL, "--name", "m"), ("--emit", "helm"), (*SMALL, "--emit", "helm", *S3[:2])])
def test_options_of_an_emission_need_one(words):
    """Exit code 2, and nothing is written."""
    assert run(*words).exit_code == 2
