"""How often `max_loss` lets a loss through, and how often it refuses without reason.

    python -m benchmarks.gate_errors

Prints the tables of docs/quality-gate.md. Seeded: it prints the same tables again. Four minutes on one core; --rounds 10 takes ten times
as long and is three times as exact.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np

from benchmarks.gate_errors import answers as real_answers
from benchmarks.gate_errors.answers import MEASURES, Answers
from benchmarks.gate_errors.losses import LOSSES, Loss, some_break
from benchmarks.gate_errors.methods import KITS, intervals
from scripts.quality.gates import Outcome
from scripts.quality.statistics import effective_queries, mean_interval

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
TOLERATED = 0.05
TIMES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
# Samples of a cell, by queries: large ones cost more and are less surprising.
SAMPLES = {50: 300, 100: 300, 300: 120, 1000: 48}
# At exactly the tolerated loss, where errors are counted, this many times more.
MORE = 4
METHOD_SAMPLES = {20: 1500, 30: 1500, 50: 1500, 100: 1000, 300: 500}


def samples(drawn_from: Sequence[Answers], loss: Loss, size: float, queries: int, count: int) -> Iterator[tuple]:
    """As many samples of every population, one after the other."""
    for number in range(count):
        rng = np.random.default_rng([list(LOSSES.values()).index(loss), round(1000 * size), queries, number])
        yield loss(drawn_from[number % len(drawn_from)], size, queries, rng), rng


def shares(outcomes: Sequence[Outcome]) -> tuple[float, float, float]:
    """Pass, fail, inconclusive, in per cent."""
    counted = Counter(outcomes)
    return tuple(100 * counted[each] / len(outcomes) for each in (Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE))


def standard_error(percent: float, count: int) -> float:
    return 100 * math.sqrt(percent / 100 * (1 - percent / 100) / count)


def gate_table(drawn_from: Sequence[Answers], rounds: int) -> Iterator[str]:
    yield f"| what is worse | queries | {' | '.join('no loss' if not times else f'{times:g} x' for times in TIMES)} | ± |"
    yield f"|---|--:|{'--:|' * len(TIMES)}--:|"
    for name, loss in LOSSES.items():
        for queries, count in SAMPLES.items():
            cells = []
            for times in TIMES:
                many = rounds * count * (MORE if times == 1 else 1)
                drawn = samples(drawn_from, loss, times * TOLERATED, queries, many)
                said = shares([sample.judged(tolerated=TOLERATED, confidence=0.95) for sample, _ in drawn])
                cells.append(" / ".join(f"{share:.{1 if times == 1 else 0}f}" for share in said))
            yield f"| {name} | {queries} | {' | '.join(cells)} | {standard_error(2.5, rounds * count * MORE):.1f} |"


def boundary_table(drawn_from: Sequence[Answers], rounds: int, confidence: float) -> Iterator[str]:
    yield "| queries | " + " | ".join(LOSSES) + " | ± |"
    yield f"|--:|{'--:|' * len(LOSSES)}--:|"
    for queries, count in ((50, 300), (100, 300), (300, 150)):
        cells = []
        for loss in LOSSES.values():
            drawn = samples(drawn_from, loss, TOLERATED, queries, rounds * count)
            passed, failed, _ = shares([sample.judged(tolerated=TOLERATED, confidence=confidence) for sample, _ in drawn])
            cells.append(f"{passed:.1f} / {failed:.1f}")
        yield f"| {queries} | {' | '.join(cells)} | {standard_error(100 * (1 - confidence) / 2, rounds * count):.1f} |"


def method_table(drawn_from: Sequence[Answers], rounds: int) -> Iterator[str]:
    for name, loss in LOSSES.items():
        columns: dict[str, list[str]] = {}
        for queries, count in METHOD_SAMPLES.items():
            passed, failed = Counter(), Counter()
            for sample, rng in samples(drawn_from, loss, TOLERATED, queries, rounds * count):
                for method, (low, high) in intervals(sample.differences, -TOLERATED, 0.95, rng).items():
                    passed[method] += low >= -TOLERATED - 1e-9
                    failed[method] += high < -TOLERATED - 1e-9
            for method in intervals(np.zeros(1), 0.0, 0.95, np.random.default_rng(0)):
                share = [100 * counted[method] / (rounds * count) for counted in (passed, failed)]
                columns.setdefault(method, []).append(" / ".join(f"{each:.1f}" for each in share))
        yield f"| {name} | {' | '.join(map(str, METHOD_SAMPLES))} |"
        yield f"|---|{'--:|' * len(METHOD_SAMPLES)}"
        for method, cells in columns.items():
            yield f"| {f'**{method}**' if method == KITS else method} | {' | '.join(cells)} |"
        yield ""


def weights_table(drawn_from: Sequence[Answers], rounds: int, queries: int = 150) -> Iterator[str]:
    """By the interval alone: the gate would find most of these too few."""
    ranks = np.arange(1, queries + 1)
    yield f"| weights of {queries} queries | count as | {' | '.join(LOSSES)} |"
    yield f"|---|--:|{'--:|' * len(LOSSES)}"
    for name, weights in {"equal": ranks**0.0, "one over the root of the rank": ranks**-0.5, "one over the rank": 1 / ranks}.items():
        cells = []
        for loss in LOSSES.values():
            drawn = samples(drawn_from, loss, TOLERATED, queries, rounds * 360)
            found = [mean_interval(sample.differences, weights, 0.95) for sample, _ in drawn]
            wrong = (np.mean([each.low >= -TOLERATED for each in found]), np.mean([each.high < -TOLERATED for each in found]))
            cells.append(" / ".join(f"{share:.1%}".rstrip("%") for share in wrong))
        yield f"| {name} | {effective_queries(weights):.0f} | {' | '.join(cells)} |"


def together_table(drawn_from: Sequence[Answers], rounds: int, queries: int = 300) -> Iterator[str]:
    """Gates on several measures of the same queries."""
    yield f"| gates, {queries} queries | no loss | 1 x | 2 x |"
    yield "|---|--:|--:|--:|"
    for measures in (MEASURES[:1], MEASURES):
        cells = []
        for times in (0.0, 1.0, 2.0):
            said = []
            for number in range(rounds * 120):
                first = number % (len(drawn_from) // len(MEASURES)) * len(MEASURES)
                # The same seed draws the same queries, and breaks the same ones.
                drawn = [some_break(each, times * TOLERATED, queries, np.random.default_rng(number)) for each in drawn_from[first : first + len(measures)]]
                said.append([sample.judged(tolerated=TOLERATED, confidence=0.95) for sample in drawn])
            failed = np.mean([Outcome.FAIL in outcomes for outcomes in said])
            passed = np.mean([set(outcomes) == {Outcome.PASS} for outcomes in said])
            cells.append(" / ".join(f"{share:.1%}".rstrip("%") for share in (passed, failed, 1 - passed - failed)))
        yield f"| {', '.join(measures)} | {' | '.join(cells)} |"


def needed_table(drawn_from: Sequence[Answers]) -> Iterator[str]:
    """How many queries let a candidate pass that is as good as production, four times of five; by the normal distribution."""
    tolerances = (0.01, 0.02, 0.05, 0.1)
    yield f"| real differences | unchanged queries | spread | {' | '.join(f'{each:g}' for each in tolerances)} |"
    yield f"|---|--:|--:|{'--:|' * len(tolerances)}"
    for each in drawn_from:
        queries = [math.ceil(((1.96 + 0.84) * each.spread / tolerated) ** 2) for tolerated in tolerances]
        yield f"| {each.name} | {each.unchanged:.0%} | {each.spread:.2f} | {' | '.join(f'{count:,}' for count in queries)} |"


def unseen_table() -> Iterator[str]:
    yield "| queries, all unchanged | share of queries that may be broken |"
    yield "|--:|--:|"
    for queries in (20, 30, 50, 100, 200, 300, 1000):
        yield f"| {queries} | {100 * (1 - 0.025 ** (1 / queries)):.1f}% |"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), default=DATA, help="The folder of icecat and movies.")
@click.option("--rounds", type=click.IntRange(min=1), default=1, show_default=True, help="How many times as many samples.")
def main(data: Path, rounds: int) -> None:
    """Simulate the gate max_loss on real differences and print how often it errs, as Markdown."""
    drawn_from = real_answers.real(data)
    tables = {
        f"max_loss, at_most: {TOLERATED}, confidence: 0.95; pass / fail / inconclusive, in per cent": gate_table(drawn_from, rounds),
        "confidence: 0.9; misses / false alarms at exactly the tolerated loss": boundary_table(drawn_from, rounds, 0.9),
        "methods; misses / false alarms at exactly the tolerated loss": method_table(drawn_from, rounds),
        "weights; misses / false alarms at exactly the tolerated loss": weights_table(drawn_from, rounds),
        "several gates; pass / fail / inconclusive, in per cent": together_table(drawn_from, rounds),
        "queries needed by tolerated loss": needed_table(drawn_from),
        "what nobody saw": unseen_table(),
    }
    for title, table in tables.items():
        click.echo(f"\n### {title}\n")
        for line in table:
            click.echo(line)


if __name__ == "__main__":
    main()
