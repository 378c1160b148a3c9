"""What the clients saw, as figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.load.stage import Switch

Span = tuple[float, float]


@dataclass(frozen=True)
class Told:
    """Queries of some clients, in the order in which they began."""

    began: np.ndarray
    ms: np.ndarray
    pair: np.ndarray
    fault: np.ndarray

    @classmethod
    def of(cls, seen: Sequence[dict[str, Any]]) -> Told:
        began, ms = (np.concatenate([np.asarray(each[name], float) for each in seen]) for name in ("began", "ms"))
        pair, fault = (np.concatenate([np.asarray(each[name], object) for each in seen]) for name in ("pair", "fault"))
        order = np.argsort(began, kind="stable")
        return cls(began[order], ms[order], pair[order], fault[order])

    def during(self, spans: Sequence[Span]) -> Told:
        """Those under way at any time of these spans."""
        ended = self.began + self.ms / 1000
        inside = np.zeros(len(self.began), bool)
        for start, end in spans:
            inside |= (self.began < end) & (ended > start)
        return Told(self.began[inside], self.ms[inside], self.pair[inside], self.fault[inside])

    def latency(self) -> dict[str, float]:
        return {name: float(np.percentile(self.ms, q)) for name, q in (("p50_ms", 50), ("p99_ms", 99), ("max_ms", 100))} if len(self.ms) else {}

    def counts(self) -> dict[str, int]:
        mixed = int((self.fault == "mixed").sum())
        return {"queries": len(self.ms), "mixed": mixed, "errors": int((self.fault != "").sum()) - mixed}

    def faults(self) -> dict[str, int]:
        return dict(Counter(fault for fault in self.fault if fault).most_common())


def followed(each: Sequence[Told], switch: Switch) -> float:
    """When the last client had its first answer of the new pair, in seconds since the epoch."""
    times = []
    for told in each:
        later = told.began[(told.began > switch.began) & (told.pair == switch.to)]
        if len(later):
            times.append(float(later[0]))
    return max(times, default=switch.ended)


def of_switches(clients: Sequence[Told], quiet: Span, switches: Sequence[Switch]) -> dict[str, Any]:
    """`during` is from the start of a command until it has ended and the last client has followed it, `between` the time from there to the next,
    in which every other time a pair is validated, and `without` when nothing else ran at all."""
    everyone = _all(clients)
    until = [followed(clients, switch) for switch in switches]
    without = everyone.during([quiet])
    ends = [max(end, switch.ended) for switch, end in zip(switches, until, strict=True)]
    during = everyone.during([(switch.began, end) for switch, end in zip(switches, ends, strict=True)])
    between = everyone.during(list(zip(ends, [switch.began for switch in switches[1:]], strict=False)))
    lag = [end - switch.began for switch, end in zip(switches, until, strict=True)]
    took = {name: [s.ended - s.began for s in switches if s.command == name] for name in ("promote", "rollback")}
    return {
        "switches": {name: len(times) for name, times in took.items()},
        "all": everyone.counts(),
        "without": without.counts() | without.latency(),
        "between": between.counts() | between.latency(),
        "during": during.counts() | during.latency(),
        "p99_ratio": during.latency()["p99_ms"] / without.latency()["p99_ms"],
        "p50_ratio": during.latency()["p50_ms"] / without.latency()["p50_ms"],
        "commands_p50_s": {name: float(np.median(times)) for name, times in took.items() if times},
        "last_client_followed_s": {"p50": float(np.median(lag)), "max": float(np.max(lag))} if lag else {},
        "faults": everyone.faults(),
    }


def of_kill(clients: Sequence[Told], killed: float, healthy: float, end: float) -> dict[str, Any]:
    """What clients saw from a `kill -9` of Milvus at `killed`; `healthy` is when its health page said OK again."""
    told = _all(clients).during([(killed, end)])
    failed = told.fault != ""
    first = told.began[failed].min() if failed.any() else killed
    last = (told.began + told.ms / 1000)[failed].max() if failed.any() else killed
    return {
        "queries": len(told.ms),
        "failed": int(failed.sum()),
        "mixed": told.counts()["mixed"],
        "longest_failure_ms": float(told.ms[failed].max()) if failed.any() else 0.0,
        "healthy_after_s": healthy - killed,
        "first_failure_after_s": float(first - killed),
        "last_failure_after_s": float(last - killed),
        "answered_at_the_end": all(each.fault[-1] == "" for each in clients),
        "faults": told.faults(),
    }


def table(found: dict[str, Any]) -> str:
    share = found["naive"]["mixed"] / max(found["naive"]["queries"], 1)
    rows = ["| figure | measured |", "|---|---|"]
    switches, naive = found["switches"], found["naive"]
    counts = switches["all"]
    number = switches["switches"]
    rows += [
        f"| promotions and rollbacks under load | {number['promote']} and {number['rollback']} |",
        f"| queries through PairSearcher | {counts['queries']:,}: {counts['errors']} errors, {counts['mixed']} mixed answers |",
        f"| queries of the naive client | {naive['queries']:,}: {naive['errors']} errors, {naive['mixed']:,} mixed answers ({share:.0%}) |",
        f"| p99 without switches | {switches['without']['p99_ms']:.1f} ms (p50 {switches['without']['p50_ms']:.1f} ms) |",
        f"| p99 between switches, where pairs are validated | {switches['between']['p99_ms']:.1f} ms (p50 {switches['between']['p50_ms']:.1f} ms) |",
        f"| p99 during switches | {switches['during']['p99_ms']:.1f} ms (p50 {switches['during']['p50_ms']:.1f} ms): ÷ without {switches['p99_ratio']:.2f} |",
    ]
    if lag := switches["last_client_followed_s"]:
        rows.append(f"| from the start of the command until the last client follows | {lag['p50']:.1f} s (median), at most {lag['max']:.1f} s |")
    if cost := found.get("overhead"):
        bare, ours = cost["p50_ms"]["bare"], cost["p50_ms"]["searcher"]
        rows.append(f"| one query, PairSearcher ÷ encode and pymilvus' search | {cost['p50_ratio']:.2f} ({ours:.2f} ms, {bare:.2f} ms) |")
    if kill := found.get("kill"):
        rows += [
            f"| Milvus `kill -9`: its health page is back | after {kill['healthy_after_s']:.0f} s |",
            f"| the last query that failed | {kill['last_failure_after_s']:.0f} s after the kill |",
            f"| queries from the kill on | {kill['queries']:,}: {kill['failed']:,} failed, {kill['mixed']} mixed |",
            f"| the longest that a query took to fail | {kill['longest_failure_ms'] / 1000:.1f} s |",
        ]
    return "\n".join(rows)


def _all(clients: Sequence[Told]) -> Told:
    columns = zip(*((each.began, each.ms, each.pair, each.fault) for each in clients), strict=True)
    return Told(*(np.concatenate(column) for column in columns))
