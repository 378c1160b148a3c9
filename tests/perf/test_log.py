"""Queries from a log, encoded by the model that made the pair."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from scripts.encoding import Encoder
from scripts.endings import Commands
from scripts.errors import Refused, UsageError
from scripts.layout import Column, FieldType, Metric
from scripts.perf.ports import Target
from scripts.perf.queries import logged
from scripts.perf_commands import perf
from scripts.quality.query_log import Log
from tests.test_pair import stamp

LOG = Log("log.csv", ("red sofa", "blue lamp", "a sofa, red"), entries=5, repeated=2)
TARGET = Target("c", "", "vector", 4, Column(name="id", type=FieldType.INT64), Metric.COSINE, "HNSW", stamp=stamp())


class Letters:
    """A model: how often a text has each of some letters. Texts of the same letters have the same vector."""

    batch_size = 2

    def __init__(self, dimension: int = 4) -> None:
        self.dimension, self.prompts = dimension, []

    def encode(self, texts, prompt):
        self.prompts.append(prompt)
        return np.array([[1.0 + text.count(letter) for letter in "redblu"[: self.dimension]] for text in texts])


def test_a_log_is_encoded_with_the_query_prompt_of_the_pair():
    """As validation and clients encode queries; of texts whose vectors are alike one is asked."""
    model = Letters()
    queries = logged(TARGET, LOG, lambda stamp: Encoder(model, stamp.embedding))
    assert queries.vectors.shape == (2, 4) and queries.vectors.dtype == np.float32 and queries.rows == ()
    assert set(model.prompts[1:]) == {"query: "}
    entries = "3 distinct queries of log.csv (5 entries, 0 blank, 2 repeated)"
    assert queries.told == f"{entries}, 2 of them with vectors of their own, encoded by m version 3"


def test_a_model_of_another_dimension_is_refused():
    """With both dimensions; nothing was searched."""
    with pytest.raises(Refused, match="gives vectors of dimension 3; vector has 4"):
        logged(TARGET, LOG, lambda stamp: Encoder(Letters(3), stamp.embedding))


def test_a_collection_whose_model_is_not_known_has_no_log():
    """Any model would do, and its vectors would mean nothing there."""
    with pytest.raises(UsageError, match="the model that made the collection, and that of c is not known: it is not the kit's"):
        logged(replace(TARGET, stamp=None, unstamped="it is not the kit's"), LOG, lambda stamp: pytest.fail("no model is to be loaded"))


def test_a_log_is_asked_of_a_pair(lite_shop):
    """From a file of queries to latencies, with the registry's own model and this service's configuration."""
    pair = lite_shop.build("words")
    words = ["perf", pair, "--config", str(lite_shop.folder / "promotion.yaml"), "--log", str(lite_shop.folder / "golden" / "queries.csv")]
    quick = ["--seconds", "0.2", "--warm-up", "0", "--concurrency", "2", "--queries", "20"]
    group = Commands("kit", commands={"perf": perf})
    done = CliRunner().invoke(group, [*words, *quick, "--json"], env=lite_shop.environment)
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["levels"][0]["searches"] > 0 and facts["own_row_first"] is None
    assert facts["queries"].startswith("20 distinct queries of queries.csv") and f"encoded by {lite_shop.model} version" in facts["queries"]
    both = CliRunner().invoke(group, [*words, "--noise", "0.1"], env=lite_shop.environment)
    assert both.exit_code == 2 and "--noise and --seed do not go with --log" in both.output
