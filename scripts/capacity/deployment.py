"""A Milvus that holds a plan: how its parts are sized, whatever it is written for."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum

from scripts.capacity.nodes import MAX_NODES, is_for_one
from scripts.capacity.plan import Plan
from scripts.capacity.quantities import GI, gibibytes
from scripts.errors import AnswerIsNo, UsageError
from scripts.footprint import shown
from scripts.layout import IndexType

# Woodpecker and the streaming node are there from 2.6 on. What is emitted was checked against the operator 1.3.8 and the chart 5.0.19, which both
# come with images of 2.6.
IMAGE = "milvusdb/milvus"
VERSION = "v2.6.15"

# Keys and secrets of external storage, as the operator names them in the Secret.
ACCESS_KEY, SECRET_KEY = "accesskey", "secretkey"

_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")  # Helm appends to it; Kubernetes takes 63
_SECRET = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_HOST, _BUCKET = r"[A-Za-z0-9]([-.A-Za-z0-9]{0,251}[A-Za-z0-9])?", r"[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]"
_ADDRESS = re.compile(rf"(?P<host>{_HOST})(:(?P<port>[0-9]{{1,5}}))?/(?P<bucket>{_BUCKET})")

_GIB_PER_CPU = 8
# What a standalone Milvus needs beside loaded pairs, for building indexes above all. A rule of ours, not a measurement.
_OTHER_ROLES_BYTES = 8 * GI
# Compaction writes a segment anew before the old one is collected as garbage (dataCoord.gc.dropTolerance: 3 hours on 2.3.5).
_STORAGE_FACTOR = 2
# MinIO of both charts: four drives in a cluster, half of which is parity.
_DRIVES, _PARITY_FACTOR = 4, 2
_LEAST_VOLUME = 20 * GI


class Mode(StrEnum):
    STANDALONE = "standalone"
    CLUSTER = "cluster"


class Queue(StrEnum):
    WOODPECKER = "woodpecker"
    KAFKA = "kafka"


@dataclass(frozen=True, slots=True)
class Bucket:
    """External S3. Its keys are in a Secret that is there already; they are never asked for."""

    host: str
    port: int
    name: str
    secret: str

    @classmethod
    def parse(cls, address: str, secret: str) -> Bucket:
        """Of `HOST[:PORT]/BUCKET`. Raises UsageError for anything else."""
        found = _ADDRESS.fullmatch(address)
        if not found or not 0 < int(found["port"] or 443) < 65_536:
            raise UsageError("--s3: this is not HOST[:PORT]/BUCKET.", hint="Write s3.eu-west-1.amazonaws.com/my-bucket; keys go into the Secret.")
        if not _SECRET.fullmatch(secret):
            raise UsageError(f"--s3-secret: {secret!r} is not the name of a Secret.", hint=f"It is one that has {ACCESS_KEY} and {SECRET_KEY}.")
        return cls(found["host"], int(found["port"] or 443), found["bucket"], secret)


@dataclass(frozen=True, slots=True)
class Size:
    """Of each pod of a component."""

    replicas: int
    memory: int
    cpu: int

    def resources(self) -> dict[str, dict[str, str]]:
        """Memory is the same as limit and as request: Milvus takes the limit for what the node has, and fills 90% of it."""
        size = {"cpu": str(self.cpu), "memory": gibibytes(self.memory)}
        return {"requests": size, "limits": dict(size)}


@dataclass(frozen=True, slots=True)
class Deployment:
    """`bucket` is None for a MinIO in the cluster."""

    name: str
    plan: Plan
    mode: Mode
    queue: Queue
    bucket: Bucket | None

    @property
    def is_on_disk(self) -> bool:
        return self.plan.shape.index.type is IndexType.DISKANN

    @property
    def standalone(self) -> Size:
        memory = self.plan.nodes.memory + _OTHER_ROLES_BYTES
        return Size(1, memory, _cpus(memory))

    @property
    def query_node(self) -> Size:
        return Size(self.plan.nodes.count, self.plan.nodes.memory, _cpus(self.plan.nodes.memory))

    @property
    def node_disk(self) -> int:
        """Of one query node, beside its memory: DISKANN's files and room for those that are being loaded."""
        return math.ceil(self.plan.promotion.node_disk / self.plan.nodes.count * 1.2)

    @property
    def others(self) -> dict[str, Size]:
        """Starting points, to be corrected by what their metrics show. A data node builds indexes, of segments of 1 GiB."""
        return {
            "proxy": Size(2, 4 * GI, 2),
            "mixCoord": Size(1, 4 * GI, 2),
            "dataNode": Size(2 if self.plan.pair.rows >= 10**7 else 1, 8 * GI, 4),
            "streamingNode": Size(1, 8 * GI, 2),
        }

    @property
    def volume(self) -> int:
        """Of each of MinIO's drives."""
        stored = max(_LEAST_VOLUME, self.plan.promotion.storage * _STORAGE_FACTOR)
        return stored if self.mode is Mode.STANDALONE else math.ceil(stored * _PARITY_FACTOR / _DRIVES)

    def title(self) -> list[str]:
        """What it is sized for, as comments of what is emitted."""
        pair, at = self.plan.pair, self.plan.promotion
        told = f"{pair.rows:,} rows of {self.plan.shape.dimension} numbers, {self.plan.shape.index.type}, {at.loaded} pairs loaded during a promotion"
        needs = f"{shown(at.memory)} of memory and {shown(at.storage)} of storage then, an estimate from rows and layout"
        lines = [f"# Sized for {told}:", f"# {needs}."]
        return [*lines, f"# The Secret {self.bucket.secret} has to be there, with {ACCESS_KEY} and {SECRET_KEY}."] if self.bucket else lines


def deployed(plan: Plan, *, name: str, mode: Mode | None, queue: Queue, bucket: Bucket | None) -> Deployment:
    """Standalone where one node of 64Gi is enough and nothing else was asked for.

    Raises UsageError for a name that Kubernetes does not take, a standalone that needs more nodes, or more nodes than anybody has; AnswerIsNo where
    the plan's own nodes do not hold it.
    """
    if not _LABEL.fullmatch(name):
        raise UsageError(f"--name: {name!r} is not a name.", hint="Small letters, digits and hyphens, at most 40, beginning with a letter.")
    if not plan.fit.holds:
        raise AnswerIsNo(
            f"{plan.nodes} of query nodes do not hold {shown(plan.fit.needed)} during a promotion.", hint="Leave --memory out, or name more of it."
        )
    if plan.nodes.count > MAX_NODES:
        raise UsageError(f"This takes {plan.nodes} of query nodes, more than {MAX_NODES:,}.", hint="Is --rows meant so? Else choose an index that takes less.")
    mode = mode or (Mode.STANDALONE if is_for_one(plan.nodes) else Mode.CLUSTER)
    if mode is Mode.STANDALONE and plan.nodes.count > 1:
        raise UsageError(f"--mode standalone is one node; this takes {plan.nodes}.", hint="Choose cluster, or one large node by --memory.")
    return Deployment(name, plan, mode, queue, bucket)


def _cpus(memory: int) -> int:
    return max(2, math.ceil(memory / GI / _GIB_PER_CPU))
