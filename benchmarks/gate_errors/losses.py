"""Candidates that are worse than production by exactly so much on average, made of real answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.gate_errors.answers import Answers
from scripts.quality.gates import Outcome
from scripts.quality.gates.measured import MaxLoss
from scripts.quality.measures import Measured
from scripts.quality.seen import Baseline, Seen

MEASURE = "nDCG@10"


@dataclass(frozen=True)
class Sample:
    """Queries drawn at random, and what both score on each, float [queries]."""

    candidate: np.ndarray
    production: np.ndarray

    @property
    def differences(self) -> np.ndarray:
        return self.candidate - self.production

    def judged(self, *, tolerated: float, confidence: float, weights: np.ndarray | None = None) -> Outcome:
        """By the gate itself."""
        weigh = dict(enumerate(np.ones(len(self.candidate)) if weights is None else weights))
        ours, theirs = (Measured({MEASURE: dict(enumerate(values.tolist()))}, weigh) for values in (self.candidate, self.production))
        return MaxLoss(measure=MEASURE, at_most=tolerated, confidence=confidence).judge(Seen(ours, Baseline("production", theirs))).outcome


def everywhere(answers: Answers, loss: float, queries: int, rng: np.random.Generator) -> Sample:
    """Two rankers' real differences, all moved so that their mean is the loss."""
    drawn = rng.integers(0, len(answers.words), queries)
    moved = answers.pairs - answers.words
    return Sample(answers.words[drawn] + moved[drawn] - moved.mean() - loss, answers.words[drawn])


def some_break(answers: Answers, loss: float, queries: int, rng: np.random.Generator) -> Sample:
    """Which ranker is production is thrown anew for every query, so that neither is better; and some queries lose all that they had."""
    drawn = rng.integers(0, len(answers.words), queries)
    swapped = rng.random(queries) < 0.5
    production = np.where(swapped, answers.pairs[drawn], answers.words[drawn])
    candidate = np.where(swapped, answers.words[drawn], answers.pairs[drawn])
    had = (answers.words.mean() + answers.pairs.mean()) / 2
    return Sample(np.where(rng.random(queries) < loss / had, 0.0, candidate), production)


def only_broken(answers: Answers, loss: float, queries: int, rng: np.random.Generator) -> Sample:
    """The same answers, except that some queries lose all that they had."""
    production = answers.words[rng.integers(0, len(answers.words), queries)]
    return Sample(np.where(rng.random(queries) < loss / answers.words.mean(), 0.0, production), production)


Loss = Callable[[Answers, float, int, np.random.Generator], Sample]

LOSSES: dict[str, Loss] = {
    "worse everywhere": everywhere,
    "some queries break": some_break,
    "only broken queries differ": only_broken,
}
