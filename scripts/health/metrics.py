"""Health as Prometheus reads it, in its text format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from scripts.health.indexes import Judgment
from scripts.health.report import ClusterHealth, HealthReport
from scripts.health.seen import Load
from scripts.health.statuses import CollectionHealth, Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "promotion_health_"

_WHAT = {
    "timestamp_seconds": "When this look was made.",
    "cluster_up": "Whether the cluster was seen, and all in it that serves.",
    "cluster_seconds": "How long the look at the cluster took.",
    "cluster_unseen_collections": "Collections that the time-out left no time for.",
    "cluster_errors": "What is wrong with the cluster as a whole, such as an alias that points to nothing.",
    "collections": "Collections by status.",
    "alias": "1 for each alias and the collection that it points to.",
    "collection_status": "0 healthy, 1 warning, 2 error. Only what has an alias can be 2.",
    "collection_rows": "The true number of rows.",
    "collection_loaded": "Whether it can be searched.",
    "collection_load_progress_ratio": "Of a collection that is being loaded.",
    "collection_segments": "Sealed segments, and the small ones among them.",
    "collection_growing_rows": "Rows that queries find outside of sealed segments.",
    "collection_replicas": "Copies in memory.",
    "index_coverage_ratio": "Of the rows, how many are searched through the index.",
    "index_uncovered_rows": "Rows that are searched one by one, at most.",
    "index_judgment": "1 for the judgment that holds: waiting, building, completed or unknown.",
}


def text(report: HealthReport) -> str:
    """Every figure that is known; what is not known has no line."""
    samples: dict[str, list[str]] = {name: [] for name in _WHAT}

    def add(metric: str, value: float | None, **labels: str) -> None:
        if value is not None:
            inside = ",".join(f'{name}="{_escaped(label)}"' for name, label in labels.items())
            samples[metric].append(f"{PREFIX}{metric}{f'{{{inside}}}' if inside else ''} {value:.15g}")

    add("timestamp_seconds", report.at.timestamp())
    for cluster in report.clusters:
        _of_cluster(add, cluster)
    return "".join(_family(name, lines) for name, lines in samples.items() if lines)


def _of_cluster(add: Any, cluster: ClusterHealth) -> None:
    add("cluster_up", int(not cluster.failure), cluster=cluster.name)
    add("cluster_seconds", round(cluster.seconds, 3), cluster=cluster.name)
    if cluster.failure and not cluster.collections:
        return
    add("cluster_unseen_collections", len(cluster.unseen), cluster=cluster.name)
    add("cluster_errors", sum(finding.status is Status.ERROR for finding in cluster.findings), cluster=cluster.name)
    counted = Counter(each.status for each in cluster.collections)
    for status in Status:
        add("collections", counted[status], cluster=cluster.name, status=str(status))
    for each in cluster.collections:
        for alias in each.seen.aliases:
            add("alias", 1, cluster=cluster.name, alias=alias, collection=each.seen.name)
        if not each.is_record:
            _of_collection(add, cluster.name, each)


def _of_collection(add: Any, cluster: str, each: CollectionHealth) -> None:
    seen, where = each.seen, {"cluster": cluster, "collection": each.seen.name}
    add("collection_status", int(each.status), **where, state=each.state.value if each.state else "", serves=str(each.serves).lower())
    add("collection_rows", seen.rows, **where)
    add("collection_loaded", None if seen.load is Load.UNKNOWN else int(seen.load is Load.LOADED), **where)
    add("collection_load_progress_ratio", None if seen.progress is None else seen.progress / 100, **where)
    if seen.segments is not None:
        sealed = sum(segment.stored for segment in seen.segments)
        for kind, count in (("sealed", sealed), ("small", each.small_segments)):
            add("collection_segments", count, **where, kind=kind)
    add("collection_growing_rows", seen.growing_rows, **where)
    add("collection_replicas", seen.replicas, **where)
    for index in each.indexes:
        which = where | {"field": index.index.field, "index": index.index.name}
        add("index_coverage_ratio", None if index.coverage is None else index.coverage / 100, **which)
        add("index_uncovered_rows", index.uncovered_rows, **which)
        for judgment in Judgment:
            add("index_judgment", int(index.judgment is judgment), **which, judgment=judgment.value)


def _family(name: str, lines: Iterable[str]) -> str:
    return "\n".join([f"# HELP {PREFIX}{name} {_WHAT[name]}", f"# TYPE {PREFIX}{name} gauge", *lines]) + "\n"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
