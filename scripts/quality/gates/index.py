"""Gates on the index, apart from the model: is the collection what its stamp says, and does its index find what it holds?

They stand guard whether or not the suite names them; naming one sets its limit.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scripts.quality.facts import IndexFacts
from scripts.quality.gates.verdict import GateResult, Judged, Outcome, reaches, within
from scripts.quality.sampling import ROWS
from scripts.quality.seen import Seen

# The metric under which a longer vector wins whatever the query.
_NEEDS_LENGTH_ONE = "IP"


class _OnIndex(Judged):
    def judge(self, seen: Seen) -> GateResult:
        if seen.index is None:
            return self.result(Outcome.INCONCLUSIVE, seen.unseen.get("index", "the collection was not looked at"))
        return self._of(seen.index)

    def _of(self, facts: IndexFacts) -> GateResult:
        raise NotImplementedError

    def _unread(self, facts: IndexFacts, part: str) -> GateResult:
        return self.result(Outcome.INCONCLUSIVE, facts.unread.get(part, "not looked at"))


class Contents(_OnIndex):
    """The collection holds exactly the rows that its stamp says: count, distinct keys and the fingerprint of (key, text, columns)."""

    gate: Literal["contents"] = "contents"

    def __str__(self) -> str:
        return "the collection holds what it was built with"

    def _of(self, facts: IndexFacts) -> GateResult:
        if facts.rows != facts.stamped_rows:
            return self.result(Outcome.FAIL, f"{facts.rows:,} rows, built with {facts.stamped_rows:,}", candidate=facts.rows)
        if facts.distinct_keys != facts.rows:
            return self.result(Outcome.FAIL, f"{facts.rows:,} rows have {facts.distinct_keys:,} distinct keys", candidate=facts.distinct_keys)
        if not facts.content_as_stamped:
            return self.result(Outcome.FAIL, f"{facts.rows:,} rows, but other keys, texts or columns than it was built with", candidate=facts.rows)
        return self.result(Outcome.PASS, f"{facts.rows:,} rows, distinct keys, the content it was built with", candidate=facts.rows)


class Vectors(_OnIndex):
    """Every vector is finite, not zero, and of the stamped dimension."""

    gate: Literal["vectors"] = "vectors"

    def __str__(self) -> str:
        return "every vector is usable"

    def _of(self, facts: IndexFacts) -> GateResult:
        faults = [
            f"{count:,} of {facts.rows:,} are {what}" for count, what in ((facts.not_finite, "not finite"), (facts.zero, "zero")) if count
        ]
        if facts.dimension != facts.stamped_dimension:
            faults.append(f"dimension {facts.dimension}, stamped {facts.stamped_dimension}")
        return self.limited(not faults, "; ".join(faults) or f"{facts.rows:,} of dimension {facts.dimension}, finite and not zero")


class Index(_OnIndex):
    """The index is of the stamped metric, covers every row, and is loaded."""

    gate: Literal["index"] = "index"

    def __str__(self) -> str:
        return "the index is as stamped and covers every row"

    def _of(self, facts: IndexFacts) -> GateResult:
        faults = []
        if facts.metric != facts.stamped_metric:
            faults.append(f"metric {facts.metric}, stamped {facts.stamped_metric}")
        if facts.unindexed:
            faults.append(f"{facts.unindexed:,} rows are not covered")
        if not facts.loaded:
            faults.append("not loaded")
        return self.limited(not faults, "; ".join(faults) or f"{facts.metric}, all rows covered, loaded")


class Norms(_OnIndex):
    """Under inner product vectors are expected to be of length 1 (longer ones win whatever the query); `at_most` this share may not be."""

    gate: Literal["norms"] = "norms"
    at_most: float = Field(default=0.0, ge=0, le=1)

    def __str__(self) -> str:
        return f"vectors of another length than 1 under IP <= {100 * self.at_most:g}%"

    def _of(self, facts: IndexFacts) -> GateResult:
        if facts.stamped_metric != _NEEDS_LENGTH_ONE:
            return self.result(Outcome.PASS, f"{facts.stamped_metric} takes any length")
        why = f"{facts.unlike_one:.1%} are not of length 1 ({facts.shortest:.3g} to {facts.longest:.3g})"
        if not within(facts.unlike_one, self.at_most):
            return self.result(Outcome.FAIL, f"{why}; set model.normalize: true, or this gate's at_most where the model means it so", candidate=facts.unlike_one)
        return self.result(Outcome.PASS, why, candidate=facts.unlike_one)


class Collapse(_OnIndex):
    """The mean cosine of random pairs of rows may be `at_most` this: a model that says the same of everything finds nothing."""

    gate: Literal["collapse"] = "collapse"
    at_most: float = Field(default=0.95, ge=-1, le=1)

    def __str__(self) -> str:
        return f"mean cosine of random pairs <= {self.at_most:g}"

    def _of(self, facts: IndexFacts) -> GateResult:
        return self.limited(within(facts.parallel, self.at_most), f"{facts.parallel:.4f}", candidate=facts.parallel)


class AnnRecall(_OnIndex):
    """The index gives `at_least` this share of what exact search over the same vectors gives."""

    gate: Literal["ann_recall"] = "ann_recall"
    at_least: float = Field(default=0.95, ge=0, le=1)

    def __str__(self) -> str:
        return f"the index' recall of the exact answer >= {self.at_least:g}"

    def _of(self, facts: IndexFacts) -> GateResult:
        recall = facts.recall
        if recall is None:
            return self._unread(facts, "recall")
        why = f"{recall.mean:.4f} of the exact top {recall.k} over {recall.queries} queries, at worst {recall.worst:.2f}"
        if not reaches(recall.mean, self.at_least):
            return self.result(Outcome.FAIL, f"{why}; the index is at fault, not the model: raise index.search or index.params", candidate=recall.mean)
        return self.result(Outcome.PASS, why, candidate=recall.mean)


class SameVectors(_OnIndex):
    """Sampled rows of the source, encoded again, are what is stored under their keys: cosine and lengths alike to `at_least`."""

    gate: Literal["same_vectors"] = "same_vectors"
    at_least: float = Field(default=0.999, ge=-1, le=1)
    rows: int = Field(default=ROWS, ge=1, le=100_000)

    def __str__(self) -> str:
        return f"stored vectors and the model's agree >= {self.at_least:g}"

    def _of(self, facts: IndexFacts) -> GateResult:
        again = facts.reencoded
        if again is None:
            return self._unread(facts, "reencoded")
        if again.compared == 0:
            return self.result(Outcome.INCONCLUSIVE, "no sampled row of the source is in the collection")
        why = f"{again.compared} rows encoded again, the least similar {again.worst:.4f}"
        if not reaches(again.worst, self.at_least):
            keys = ", ".join(again.unlike[:3])
            return self.result(Outcome.FAIL, f"{why} (keys {keys}): the stored vectors are not this model's of these texts", candidate=again.worst)
        return self.result(Outcome.PASS, why, candidate=again.worst)


class Fresh(_OnIndex):
    """At most this share of rows differs from the source as it is now."""

    gate: Literal["fresh"] = "fresh"
    at_most: float = Field(default=0.01, ge=0, le=1)

    def __str__(self) -> str:
        return f"rows that differ from the source <= {100 * self.at_most:g}%"

    def _of(self, facts: IndexFacts) -> GateResult:
        source = facts.source
        if source is None:
            return self._unread(facts, "source")
        why = f"{source.stale:.2%} differ ({source.new:,} new, {source.changed:,} changed, {source.vanished:,} vanished)"
        if not within(source.stale, self.at_most):
            return self.result(Outcome.FAIL, f"{why}; run `catch-up`, then validate again", candidate=source.stale)
        return self.result(Outcome.PASS, why, candidate=source.stale)


class Complete(_OnIndex):
    """At most this share of production's documents is missing from the candidate: an old or partial export shows here. With `at_most: 1`
    it passes unseen, as where the keys are of another type and cannot be compared."""

    gate: Literal["complete"] = "complete"
    at_most: float = Field(default=0.01, ge=0, le=1)

    def __str__(self) -> str:
        return f"production's documents that are missing <= {100 * self.at_most:g}%"

    def judge(self, seen: Seen) -> GateResult:
        if seen.baseline.absent:
            return self.result(Outcome.NOT_APPLICABLE, "there is no production to compare with")
        if within(1, self.at_most):
            return self.result(Outcome.PASS, "all may be missing, so nobody looked")
        return super().judge(seen)

    def _of(self, facts: IndexFacts) -> GateResult:
        coverage = facts.coverage
        if coverage is None:
            return self._unread(facts, "coverage")
        share = coverage.missing / max(coverage.production_rows, 1)
        why = f"{coverage.missing:,} of {coverage.production_rows:,} are missing" + (f" (keys {', '.join(coverage.examples[:3])})" if coverage.missing else "")
        return self.limited(within(share, self.at_most), why, candidate=share)


class Prompted(_OnIndex):
    """The pair's prompts are those of the configuration, and those that the model declares where it does."""

    gate: Literal["prompts"] = "prompts"

    def __str__(self) -> str:
        return "prompts are the configuration's and the model's own"

    def _of(self, facts: IndexFacts) -> GateResult:
        p = facts.prompts
        faults = [
            f"the pair's {what} prompt is {stamped!r}, {whose} {other!r}"
            for what, stamped, whose, other in (
                ("query", p.query, "the configuration's", p.configured_query),
                ("document", p.document, "the configuration's", p.configured_document),
                ("query", p.query, "the model's own", p.declared_query),
                ("document", p.document, "the model's own", p.declared_document),
            )
            if other is not None and stamped != other
        ]
        return self.limited(not faults, "; ".join(faults) or f"query {p.query!r}, document {p.document!r}")


ALWAYS = (Contents(), Vectors(), Index(), Norms(), Collapse(), AnnRecall(), SameVectors(), Fresh(), Complete(), Prompted())
