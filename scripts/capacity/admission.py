"""Whether the promotion of a pair that is about to be made would fit beside all that is loaded, and what follows where it would not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from scripts.capacity import choice
from scripts.capacity.moments import Window
from scripts.capacity.needs import Shape, need, segment_memory
from scripts.capacity.nodes import Fit, Nodes, fit
from scripts.capacity.occupancy import Occupant
from scripts.capacity.policy import Policy
from scripts.errors import Refused
from scripts.footprint import shown


@dataclass(frozen=True, slots=True)
class Coming:
    """The pair that is about to be made, or restored. `rows` is None where nobody knows; `known_from` says who does."""

    shape: Shape
    rows: int | None
    known_from: str = ""
    replicas: int = 1
    occasion: str = "promotion"
    """On which it is loaded beside all others."""
    index_is_open: bool = True
    """Whether it might have another index: what is restored has the one that it had."""


@dataclass(frozen=True, slots=True)
class Admission:
    """`holds` is None where it is not known; then `line` says why. `hint` says what to do where it does not hold."""

    line: str
    holds: bool | None
    hint: str = ""

    def facts(self) -> dict[str, Any]:
        return {"fits": self.holds, "says": self.line}


def weigh(coming: Coming, beside: Sequence[Occupant], nodes: Nodes | None) -> Admission:
    """During a promotion the new pair is loaded beside all that is loaded then: `beside`, in which production and the predecessors to keep loaded are.

    By the formula of `capacity`, and its rule that Milvus fills 90% of a node.
    """
    if nodes is None:
        return unknown("the server does not say what memory its query nodes have; set capacity.query_nodes, such as 4x64Gi")
    if coming.rows is None:
        return unknown("neither the source nor production says how many rows there will be")
    others = sum(each.memory for each in beside)
    found = _fit(coming, coming.shape, others, nodes)
    pair = found.needed - others
    sized = [each for each in beside if each.shapes]
    of_others = f" beside {shown(others)} of {_counted(sized)}" if sized else ""
    blank = len(beside) - len(sized)
    uncounted = f" Not counted: {blank} collection{'' if blank == 1 else 's'} whose size is not known." if blank else ""
    needed = f"{shown(found.needed)} during its {coming.occasion}: {shown(pair)} for {coming.rows:,} rows ({coming.known_from}){of_others}"
    there = f"{shown(found.usable)} that {nodes} of query nodes can load"
    if found.holds:
        return Admission(f"capacity: fits: {needed}, of {there}.{uncounted}", True)
    return Admission(f"The {coming.occasion} would not fit: it takes {needed}, more than the {there}.", False, _way_out(coming, others, nodes))


def enforced(admission: Admission, policy: Policy) -> Admission:
    """The admission itself, with a warning in its line where it does not hold. Raises Refused there, if the policy is to refuse."""
    if admission.holds is not False:
        return admission
    if policy is Policy.REFUSE:
        raise Refused(admission.line, hint=f"{admission.hint} With capacity.policy: warn it is built all the same.")
    return replace(admission, line=f"warning: {admission.line} {admission.hint}")


def unknown(why: str) -> Admission:
    """Neither yes nor no, and why."""
    return Admission(f"capacity: not checked: {why}.", None)


def _fit(coming: Coming, shape: Shape, others: int, nodes: Nodes) -> Fit:
    rows = coming.rows or 0
    return fit(nodes, others + coming.replicas * need(shape, rows).memory, segment_memory(shape, rows))


def _counted(beside: Sequence[Occupant]) -> str:
    return beside[0].name if len(beside) == 1 else f"{len(beside)} collections"


def _way_out(coming: Coming, others: int, nodes: Nodes) -> str:
    """A smaller index, where one would fit; else what frees memory or brings more."""
    window = Window(keep_loaded=0, keep_previous=0, replicas=coming.replicas)
    for option in choice.options(coming.shape, coming.rows or 0, window, None) if coming.index_is_open else ():
        smaller = option.need.memory < need(coming.shape, coming.rows or 0).memory
        if smaller and _fit(coming, replace(coming.shape, index=option.index), others, nodes).holds:
            return f"{option.index.type} would fit (index.type); or free memory (`cleanup`, retention.keep_loaded), or add some."
    return "Free memory (`cleanup`, retention.keep_loaded, what else is loaded), or add some."
