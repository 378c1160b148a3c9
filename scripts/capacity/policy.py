"""What promotion.yaml says of the cluster's capacity."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, field_validator

from scripts.capacity.nodes import Nodes
from scripts.errors import UsageError

AUTO = "auto"


class Policy(StrEnum):
    """What happens to a build or a restore whose promotion would not fit."""

    REFUSE = "refuse"
    WARN = "warn"
    OFF = "off"


class CapacitySettings(BaseModel):
    """What the cluster has for loaded collections, and what is done when a promotion would not fit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query_nodes: str = AUTO
    """`64Gi` is one query node, `4x64Gi` are four; `auto` asks the server."""
    policy: Policy = Policy.REFUSE
    replicas: int = Field(default=1, ge=1, le=100)
    """In how many replicas a pair is loaded."""

    @field_validator("query_nodes")
    @classmethod
    def _nodes(cls, text: str) -> str:
        try:
            if text != AUTO:
                Nodes.parse(text)
        except UsageError as error:
            raise ValueError(f"{error.what.partition(': ')[2].rstrip('.')}; write 64Gi, 4x64Gi or {AUTO}") from None
        return text

    @property
    def nodes(self) -> Nodes | None:
        """Those that the configuration names; None where the server is asked."""
        return None if self.query_nodes == AUTO else Nodes.parse(self.query_nodes, "capacity.query_nodes")
