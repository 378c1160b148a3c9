"""suite.yaml: what is measured, what is asked of it, and in which files queries and judgments are."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ir_measures
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from scripts import plain_yaml
from scripts.errors import UsageError
from scripts.golden.lines import whole
from scripts.quality.gates import DECISIVE, ON_MEASURES, Gate, check_kind

# As deep as TREC runs go, for measures that have no cutoff of their own; and as many hits as Milvus gives.
UNCUT_DEPTH, MAX_DEPTH = 1_000, 16_384

# What they say is stamped on a pair, where 64 KB are all there is.
MAX_GATES = MAX_MEASURES = 40

# By the beginnings of their names: how much is judged, how many queries, relevant documents and hits there are, and Bpref, which leaves out whatever
# nobody has judged: where only relevant documents were, whoever shows them at any rank has 1.
_SAY_NOTHING_OF_WHAT_IS_FOUND = ("Judged", "Num", "Bpref")

# Where suite.yaml names no file: what the kit writes, and the layout of BEIR.
QUERY_FILES = ("queries.csv", "queries.tsv", "queries.jsonl")
JUDGMENT_FILES = ("judgments.csv", "judgments.tsv", "qrels.txt", "qrels.tsv", "qrels/test.tsv")


class Description(BaseModel):
    """suite.yaml, with measures and gates under their standard names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measures: tuple[str, ...] = Field(min_length=1, max_length=MAX_MEASURES)
    gates: tuple[Gate, ...] = Field(default=(), max_length=MAX_GATES)
    queries: str = ""
    judgments: str = ""
    max_grade: int = Field(default=3, ge=1, le=100)
    title: str = ""
    replay: str = ""

    @field_validator("gates", mode="before")
    @classmethod
    def _known_kinds(cls, gates: Any) -> Any:
        return [check_kind(gate) for gate in gates] if isinstance(gates, list) else gates


@dataclass(frozen=True, slots=True)
class Files:
    description: Path
    queries: Path
    judgments: Path


def read_description(folder: Path) -> tuple[Description, Files]:
    """Raises UsageError naming the file and the field."""
    path = folder / "suite.yaml"
    if not path.exists():
        raise UsageError(f"There is no golden suite at {path}.", hint="Set `golden:` in the configuration to the suite's folder.")
    described = _parsed(path)
    measures = tuple(_standard_name(name, path) for name in described.measures)
    gates = tuple(_standard_gate(gate, measures, path) for gate in described.gates)
    files = Files(path, _found(folder, described.queries, "queries", QUERY_FILES), _found(folder, described.judgments, "judgments", JUDGMENT_FILES))
    return described.model_copy(update={"measures": measures, "gates": gates}), files


def depth_of(measure: str) -> int:
    """How many hits it looks at."""
    return ir_measures.parse_measure(measure).params.get("cutoff") or UNCUT_DEPTH


def nearest(name: str, known: Sequence[str]) -> str:
    """What to tell somebody who has misspelled one of `known`."""
    lowered = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.4)
    return f"Did you mean {lowered[near[0]]}?" if near else f"Known: {', '.join(known) or 'none'}."


def _parsed(path: Path) -> Description:
    raw = plain_yaml.parsed(whole(path), path)
    try:
        return Description.model_validate(raw)
    except ValidationError as error:
        # A misspelled name is one too many and one too few; the first says more.
        fault = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        where = ".".join(str(part) for part in fault["loc"]) or "the file"
        hint = nearest(where, list(Description.model_fields)) if fault["type"] == "extra_forbidden" and len(fault["loc"]) == 1 else ""
        raise UsageError(f"{path}: {where}: {fault['msg'].removeprefix('Value error, ')}.", hint=hint) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from None


def _found(folder: Path, named: str, what: str, usual: Sequence[str]) -> Path:
    if named:
        return folder / named
    there = [folder / name for name in usual if (folder / name).is_file()]
    if not there:
        raise UsageError(f"There are no {what} in {folder}: expected {' or '.join(usual)}.", hint=f"suite.yaml can name another under `{what}:`.")
    if len(there) > 1:
        names = [str(file.relative_to(folder)) for file in there]
        raise UsageError(f"{folder} has both {' and '.join(names)}.", hint=f"Name one in suite.yaml under `{what}:`.")
    return there[0]


def _standard_gate(gate: Gate, measures: tuple[str, ...], path: Path) -> Gate:
    if gate.gate not in ON_MEASURES:
        return gate
    named = gate.model_copy(update={"measure": _standard_name(gate.measure, path)})
    if named.measure not in measures:
        raise UsageError(f"{path}: a gate asks for {named.measure}, which is not among the measures ({', '.join(measures)}).", hint="Add it to them.")
    if gate.gate in DECISIVE and not _says_what_is_found(named.measure):
        raise UsageError(
            f"{path}: the gate {gate.gate} is on {named.measure}, which says nothing of whether what is found is good.",
            hint="Measure it, and decide by another, such as nDCG@10.",
        )
    return named


def _says_what_is_found(measure: str) -> bool:
    """Counts and shares of judgments do not, nor does a measure that leaves out whatever nobody has judged."""
    return not measure.startswith(_SAY_NOTHING_OF_WHAT_IS_FOUND) and not ir_measures.parse_measure(measure).params.get("judged_only")


def _standard_name(name: str, path: Path) -> str:
    try:
        parsed = ir_measures.parse_measure(name)
        cutoff = parsed.params.get("cutoff")
        # trec_eval ends the process at a cutoff of 0 (pytrec_eval-terrier 0.5.11), so that must not be tried. gdeval takes no query ids
        # but numbers, and needs Perl.
        if cutoff == 0 or not any(p.supports(parsed) for p in ir_measures.DefaultPipeline.providers if p is not ir_measures.gdeval):
            raise ValueError(name)
        # Some names parse and cannot be computed: a cutoff is missing, or it needs what plain judgments do not have.
        list(ir_measures.iter_calc([parsed], {"q": {"d": 1}}, {"q": {"d": 1.0}}))
    except Exception:  # ir_measures and its providers raise whatever occurs to them
        hint = nearest(name, ["nDCG@10", "R@100", "RR@10", "P@5", "AP", "Judged@10"])
        raise UsageError(f"{path}: {name!r} is not a measure that can be computed.", hint=hint) from None
    if cutoff and cutoff > MAX_DEPTH:
        raise UsageError(f"{path}: {name!r} looks at more hits than the {MAX_DEPTH:,} that a search gives.")
    return str(parsed)
