"""What two real rankers score on the same real queries."""

from __future__ import annotations

import csv
import gzip
import html
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ir_measures
import numpy as np
import pyarrow.parquet
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

MEASURES = ("nDCG@10", "RR@10", "R@100")
# The dimensions of the SVD; without one, all words count.
RANKERS = {"LSA": 256, "TF-IDF": None}
_DEPTH = 100


@dataclass(frozen=True)
class Answers:
    """Of one measure, float [queries]: with words alone, and with pairs of words beside them."""

    name: str
    words: np.ndarray
    pairs: np.ndarray

    @property
    def spread(self) -> float:
        return float((self.pairs - self.words).std())

    @property
    def unchanged(self) -> float:
        return float((self.pairs == self.words).mean())


def real(data: Path) -> list[Answers]:
    """Of each data set, ranker and measure."""
    return [each for read in (_icecat, _films) for each in _of(read.__name__.strip("_"), *read(data))]


def _of(name: str, texts: dict[str, str], queries: dict[str, str], qrels: dict[str, dict[str, int]]) -> Iterator[Answers]:
    judged = {query: grades for query, grades in qrels.items() if any(grades.values())}
    asked = [queries[query] for query in judged]
    for ranker, dimension in RANKERS.items():
        sides = []
        for length in (1, 2):
            best = _best(list(texts.values()), asked, dimension, length)
            keys = list(texts)
            run = {query: {keys[row]: float(-place) for place, row in enumerate(rows)} for query, rows in zip(judged, best, strict=True)}
            found = {(str(each.measure), each.query_id): each.value for each in ir_measures.iter_calc(map(ir_measures.parse_measure, MEASURES), judged, run)}
            sides.append(found)
        for measure in MEASURES:
            words, pairs = (np.array([side[measure, query] for query in judged]) for side in sides)
            yield Answers(f"{name}, {ranker}, {measure}", words, pairs)


def _best(texts: list[str], queries: list[str], dimension: int | None, length: int) -> np.ndarray:
    """Rows of the best texts of each query."""
    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english", ngram_range=(1, length), min_df=length)
    documents, asked = vectorizer.fit_transform(texts), vectorizer.transform(queries)
    if dimension:
        topics = TruncatedSVD(dimension, random_state=0).fit(documents)
        documents, asked = normalize(topics.transform(documents)), normalize(topics.transform(asked))
        scores = asked @ documents.T
    else:
        scores = (asked @ documents.T).toarray()
    return np.argsort(-scores, axis=1, kind="stable")[:, :_DEPTH]


def _icecat(data: Path) -> tuple[dict[str, str], dict[str, str], dict[str, dict[str, int]]]:
    rows = pyarrow.parquet.read_table(data / "icecat" / "products.parquet", columns=["product_id", "product_name", "product_description"]).to_pylist()
    texts = {str(row["product_id"]): html.unescape(f"{row['product_name']}. {row['product_description'] or ''}") for row in rows}
    return texts, *_judgments(data / "icecat", "product_id")


def _films(data: Path) -> tuple[dict[str, str], dict[str, str], dict[str, dict[str, int]]]:
    with gzip.open(data / "movies" / "movies.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = {film["id"]: f"{film['title']}. {film['overview']}" for film in map(json.loads, lines)}
    return texts, *_judgments(data / "movies", "doc_id")


def _judgments(folder: Path, key: str) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    qrels: dict[str, dict[str, int]] = {}
    with (folder / "judgments.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            qrels.setdefault(row["query_id"], {})[row[key]] = int(row["grade"])
    with (folder / "queries.csv").open(encoding="utf-8", newline="") as file:
        return {row["query_id"]: row["query"] for row in csv.DictReader(file)}, qrels
