"""What is measured, and how long."""

from __future__ import annotations

from dataclasses import dataclass

K = 10
TARGET_RECALL = 0.95
# Enough for an interval of about a hundredth, and few enough for one pass of exact search.
RECALL_QUERIES = 500


@dataclass(frozen=True)
class Plan:
    """Every level of `concurrency` is measured for `seconds`, after a warm-up of its own. `sweep` is empty, `auto`, or as `ef=16,32`; its settings
    are measured at the first level, and recall by the first `recall_queries`. A single search may take `timeout` seconds."""

    k: int = K
    where: str = ""
    concurrency: tuple[int, ...] = (1, 4, 16)
    seconds: float = 5.0
    warm_up: float = 1.0
    timeout: float = 10.0
    sweep: str = ""
    target_recall: float = TARGET_RECALL
    recall_queries: int = RECALL_QUERIES
