"""Query nodes: how much of their memory Milvus fills, whether some hold what is to be loaded, and how many of which size do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from scripts.capacity import quantities
from scripts.capacity.quantities import GI, gibibytes
from scripts.errors import UsageError

# Milvus loads no segment that would take a node beyond this share of its memory (queryNode.overloadedMemoryThresholdPercentage).
FILLED = 0.9
# A share of a node is its own: the process, caches, growing rows. A rule of ours, not a measurement.
NODE_OWN_BYTES = GI
SIZES_GIB = (8, 16, 32, 64, 128, 256, 512)
# More nodes of a size than this, and the next size is taken.
_MANY = 8
_ALONE_GIB = 64
MAX_NODES = 1_000
_NODES = re.compile(r"(?:(?P<count>[0-9]{1,6})\s*[x×]\s*)?(?P<memory>.+)")


@dataclass(frozen=True, slots=True)
class Nodes:
    """Query nodes that are alike."""

    count: int
    memory: int

    @classmethod
    def parse(cls, text: str, name: str = "--memory") -> Nodes:
        """`64Gi` is one node, `4x64Gi` are four. Raises UsageError for anything else."""
        found = _NODES.fullmatch(text.strip())
        if not found:
            raise UsageError(f"{name}: {text!r} is not a size.", hint="Write 64Gi for one query node, 4x64Gi for four.")
        count = quantities.within(int(found["count"] or 1), f"{name}: the number of nodes", 1, MAX_NODES)
        memory = quantities.size(found["memory"], name)
        if memory * FILLED <= NODE_OWN_BYTES:
            raise UsageError(f"{name}: a query node of {memory:,} bytes can load nothing.", hint="Give it 2Gi or more: 64Gi, or 4x64Gi.")
        return cls(count, memory)

    def holds(self, segment: int) -> int:
        """Bytes that they can have loaded, if no node takes in more than it can while it loads one more segment of this size."""
        return max(0, int(self.count * (self.memory * FILLED - NODE_OWN_BYTES - segment)))

    def __str__(self) -> str:
        return f"{self.count} × {gibibytes(self.memory)}" if self.count > 1 else gibibytes(self.memory)


@dataclass(frozen=True, slots=True)
class Fit:
    nodes: Nodes
    needed: int
    usable: int

    @property
    def holds(self) -> bool:
        return self.needed <= self.usable


def fit(nodes: Nodes, needed: int, segment: int) -> Fit:
    """Whether these nodes hold `needed` bytes, in segments of at most `segment`."""
    return Fit(nodes, needed, nodes.holds(segment))


def sized(needed: int, segment: int, *, at_least: int = 1) -> Nodes:
    """One node up to 64Gi where that is enough; else the smallest usual size of which no more than eight hold it, and of the largest as many as it
    takes. Not fewer than `at_least`: each replica is on nodes of its own."""
    for gib in SIZES_GIB:
        if at_least == 1 and gib <= _ALONE_GIB and Nodes(1, gib * GI).holds(segment) >= needed:
            return Nodes(1, gib * GI)
    for gib in SIZES_GIB:
        one = Nodes(1, gib * GI).holds(segment)
        count = max(at_least, -(-needed // one)) if one else 0
        if count and (count <= max(_MANY, at_least) or gib == SIZES_GIB[-1]):
            return Nodes(count, gib * GI)
    raise UsageError(f"No node of {SIZES_GIB[-1]}Gi holds two segments of {segment:,} bytes.", hint="Choose an index that takes less.")


def is_for_one(nodes: Nodes) -> bool:
    """Whether a standalone Milvus is enough."""
    return nodes.count == 1 and nodes.memory <= _ALONE_GIB * GI
