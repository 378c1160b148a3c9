"""Sound pairs pass the whole gate, several of each kind: a gate that cries wolf is turned off.

docs/quality-gate.md tells of twenty of each: `SOUND_PAIRS=20 make test ARGS=tests/test_sound_pairs.py`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from scripts.demo.models import Recipe
from tests.conftest import needs
from tests.films import DATA, DIMENSION, GOOD, Films, films

RUNS = int(os.environ.get("SOUND_PAIRS", "8"))
LARGE = Recipe("films-large", dimension=160, dampen_repeats=True)


def the_same_model_rebuilt(shop: Films, run: int) -> str:
    return shop.build()


def a_reordered_source(shop: Films, run: int) -> str:
    rows = list(films())
    random.Random(run).shuffle(rows)
    shop.write_products(rows)
    return shop.build()


def another_shard_count(shop: Films, run: int) -> str:
    shop.stage()
    pair, count = shop.do("create")["pair"], 2 + run % 3
    for shard in range(count):
        shop.do("embed", "--pair", pair, "--shard", f"{shard}/{count}")
    shop.do("finish", "--pair", pair)
    return pair


def a_slightly_better_model(shop: Films, run: int) -> str:
    """The more dimensions, the more of the words' differences are kept."""
    return shop.build(LARGE, f"first {DIMENSION + 14 + 2 * run}")


KINDS = (the_same_model_rebuilt, a_reordered_source, another_shard_count, a_slightly_better_model)


@pytest.fixture(scope="module")
def service(tmp_path_factory, mlflow_server) -> Films:
    needs(DATA.is_dir(), "../shared/data has no movies")
    folder = tmp_path_factory.mktemp("films")
    shop = Films(folder / "films", str(folder / "milvus.db"), "", mlflow_server.uri)
    shop.promote(GOOD)
    return shop


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_a_sound_pair_passes(service: Films, make: Callable[[Films, int], str]):
    """Every time."""
    verdicts = []
    for run in range(RUNS):
        service.__post_init__()
        result = service.run("validate", "--pair", make(service, run))
        verdicts.append(result.stdout.splitlines()[0])
        service.do("cleanup")
    assert [told for told in verdicts if "PASS" not in told.upper()] == []
    assert len(verdicts) == RUNS
