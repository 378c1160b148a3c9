"""What a resource of kind Milvus may have, as far as the kit writes one: in our own words, after the operator's CRD (v1beta1 of operator 1.3.8).

Stricter than a server, which drops what it does not know without a word. `values` and `config` are free there, too.
"""

from __future__ import annotations

from typing import Any


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_FREE = {"type": "object"}
_TEXT = {"type": "string", "minLength": 1}
_BOOL = {"type": "boolean"}
_QUANTITY = {"type": "string", "pattern": r"^[1-9][0-9]*(Gi)?$"}
_SHARE = _object(("cpu", "memory"), **{"cpu": _QUANTITY, "memory": _QUANTITY, "ephemeral-storage": _QUANTITY})
_RESOURCES = _object(("requests", "limits"), requests=_SHARE, limits=_SHARE)
_REPLICAS = {"type": "integer", "minimum": 1}
_COMPONENT = _object(("replicas", "resources"), replicas=_REPLICAS, resources=_RESOURCES)
_REACHED = {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]}
_SERVED = _object(("replicas", "resources", "serviceType"), replicas=_REPLICAS, resources=_RESOURCES, serviceType=_REACHED)
_IN_CLUSTER = _object(("values",), values=_FREE, deletionPolicy={"enum": ["Delete", "Retain"]}, pvcDeletion=_BOOL)
_STORAGE = _object(external=_BOOL, type={"enum": ["MinIO", "S3", "Azure"]}, endpoint=_TEXT, secretRef=_TEXT, inCluster=_IN_CLUSTER)

MILVUS = _object(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "milvus.io/v1beta1"},
    kind={"const": "Milvus"},
    metadata=_object(("name",), name={"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"}, labels=_FREE),
    spec=_object(
        ("mode", "components", "dependencies"),
        mode={"enum": ["cluster", "standalone"]},
        components=_object(
            ("image",),
            image=_TEXT,
            standalone=_SERVED,
            proxy=_SERVED,
            mixCoord=_COMPONENT,
            dataNode=_COMPONENT,
            queryNode=_COMPONENT,
            streamingNode=_COMPONENT,
        ),
        dependencies=_object(
            ("msgStreamType", "etcd", "storage"),
            msgStreamType={"enum": ["pulsar", "kafka", "woodpecker", "rocksmq", "natsmq", "custom"]},
            etcd=_object(("inCluster",), inCluster=_IN_CLUSTER),
            kafka=_object(("inCluster",), inCluster=_IN_CLUSTER),
            storage=_STORAGE,
        ),
        config=_FREE,
    ),
)
