"""A deployment as YAML: the resource that the Milvus Operator takes, or values of the Milvus chart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from scripts.capacity.deployment import ACCESS_KEY, IMAGE, SECRET_KEY, VERSION, Bucket, Deployment, Mode, Queue, Size
from scripts.capacity.quantities import gibibytes

# The chart's names of what the operator calls otherwise.
_CHART_NAMES = {"mixCoord": "mixCoordinator"}


def operator(deployment: Deployment) -> str:
    """A resource of kind Milvus (milvus.io/v1beta1), for `kubectl apply`. What it makes stays when it is deleted: volumes are retained."""
    spec = {
        "mode": str(deployment.mode),
        "components": _components(deployment),
        "dependencies": _dependencies(deployment),
        "config": _config(deployment),
    }
    metadata = {"name": deployment.name, "labels": {"app": "milvus"}}
    return _written(deployment, {"apiVersion": "milvus.io/v1beta1", "kind": "Milvus", "metadata": metadata, "spec": spec})


def helm(deployment: Deployment) -> str:
    """Values for `helm install NAME zilliztech/milvus --values FILE`, chart 5."""
    is_cluster, kafka = deployment.mode is Mode.CLUSTER, deployment.queue is Queue.KAFKA
    env = {"extraEnv": _keys(deployment.bucket)} if deployment.bucket else {}
    values: dict[str, Any] = {
        "image": {"all": {"repository": IMAGE, "tag": VERSION}},
        "cluster": {"enabled": is_cluster},
        "streaming": {"enabled": True, "woodpecker": {"embedded": True, "storage": {"type": "minio"}}},
        "pulsarv3": {"enabled": False},
        "woodpecker": {"enabled": is_cluster and not kafka},
        "kafka": {"enabled": kafka},
        "etcd": {"replicaCount": 3 if is_cluster else 1},
        "extraConfigFiles": {"user.yaml": _Block(yaml.safe_dump({"common": {"security": {"authorizationEnabled": True}}}))},
    }
    if is_cluster:
        sizes = deployment.others | {"queryNode": deployment.query_node}
        values |= {_CHART_NAMES.get(name, name): _component(size) | env for name, size in sizes.items()}
        _with_disk(values["queryNode"], deployment)
    else:
        values["standalone"] = _component(deployment.standalone) | {"messageQueue": str(deployment.queue)} | env
        _with_disk(values["standalone"], deployment)
    if deployment.bucket:
        values |= {"minio": {"enabled": False}, "externalS3": _external(deployment.bucket, deployment.name)}
    else:
        values["minio"] = {"enabled": True, "mode": _minio_mode(deployment), "persistence": {"size": gibibytes(deployment.volume)}}
    return _written(deployment, values)


WRITERS: dict[str, Callable[[Deployment], str]] = {"operator": operator, "helm": helm}


def _components(deployment: Deployment) -> dict[str, Any]:
    image = {"image": f"{IMAGE}:{VERSION}"}
    if deployment.mode is Mode.STANDALONE:
        alone = _component(deployment.standalone)
        _with_disk(alone, deployment)
        return image | {"standalone": alone | {"serviceType": "ClusterIP"}}
    parts = {name: _component(size) for name, size in deployment.others.items()}
    parts["proxy"]["serviceType"] = "ClusterIP"
    parts["queryNode"] = _component(deployment.query_node)
    _with_disk(parts["queryNode"], deployment)
    return image | parts


def _dependencies(deployment: Deployment) -> dict[str, Any]:
    is_cluster = deployment.mode is Mode.CLUSTER
    made: dict[str, Any] = {"msgStreamType": str(deployment.queue), "etcd": _in_cluster({"replicaCount": 3 if is_cluster else 1})}
    if deployment.queue is Queue.KAFKA:
        copies = 3 if is_cluster else 1
        made["kafka"] = _in_cluster({"replicaCount": copies, "defaultReplicationFactor": copies, "offsetsTopicReplicationFactor": copies})
    if bucket := deployment.bucket:
        made["storage"] = {"external": True, "type": "S3", "endpoint": f"{bucket.host}:{bucket.port}", "secretRef": bucket.secret}
    else:
        made["storage"] = _in_cluster({"mode": _minio_mode(deployment), "persistence": {"size": gibibytes(deployment.volume)}})
    return made


def _config(deployment: Deployment) -> dict[str, Any]:
    config: dict[str, Any] = {"common": {"security": {"authorizationEnabled": True}}}
    if bucket := deployment.bucket:
        config["minio"] = {"bucketName": bucket.name, "rootPath": deployment.name, "useSSL": bucket.port == 443}
    if deployment.is_on_disk:
        config |= {"queryNode": {"enableDisk": True}, "indexNode": {"enableDisk": True}}
    return config


def _in_cluster(values: dict[str, Any]) -> dict[str, Any]:
    return {"inCluster": {"deletionPolicy": "Retain", "pvcDeletion": False, "values": values}}


def _component(size: Size) -> dict[str, Any]:
    return {"replicas": size.replicas, "resources": size.resources()}


def _with_disk(part: dict[str, Any], deployment: Deployment) -> None:
    """Room for DISKANN's files on the pod's own disk, which should be NVMe."""
    if deployment.is_on_disk:
        for share in part["resources"].values():
            share["ephemeral-storage"] = gibibytes(deployment.node_disk)


def _external(bucket: Bucket, root: str) -> dict[str, Any]:
    return {"enabled": True, "host": bucket.host, "port": str(bucket.port), "bucketName": bucket.name, "rootPath": root, "useSSL": bucket.port == 443}


def _keys(bucket: Bucket) -> list[dict[str, Any]]:
    """The chart would have them in its values. Milvus takes them from the environment, too, which comes before its files."""
    named = {"MINIO_ACCESS_KEY_ID": ACCESS_KEY, "MINIO_SECRET_ACCESS_KEY": SECRET_KEY}
    return [{"name": name, "valueFrom": {"secretKeyRef": {"name": bucket.secret, "key": key}}} for name, key in named.items()]


def _minio_mode(deployment: Deployment) -> str:
    return "distributed" if deployment.mode is Mode.CLUSTER else "standalone"


class _Block(str):
    """Text that is YAML itself, and read as such by people."""


class _Dumper(yaml.SafeDumper):
    """Without anchors, which nobody wants to edit."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(_Block, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|"))


def _written(deployment: Deployment, content: dict[str, Any]) -> str:
    return "\n".join([*deployment.title(), yaml.dump(content, Dumper=_Dumper, sort_keys=False)])
