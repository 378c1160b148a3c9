"""What PairSearcher adds to a query, over encoding it and searching with pymilvus alone.

    python -m benchmarks.load.overhead ALIAS MODELS QUERIES      addresses come from the environment
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
from pymilvus import MilvusClient

from benchmarks.load.client import LIMIT, backends
from benchmarks.load.recognition import text
from scripts import config
from scripts.adapters.embedders import load_model
from scripts.layout import VECTOR
from scripts.pair import identifier
from scripts.serving import PairSearcher


def main() -> None:
    """The two in turn, in one process: whatever else the machine does strikes both alike."""
    alias, models, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    environment = config.environment(Path.cwd())
    seen = backends(models).look(alias)
    index = seen.stamp.layout.index
    model = load_model(models / f"{identifier(seen.stamp.model.name)}_v{seen.stamp.model.version}")
    client = MilvusClient(environment.milvus_uri, token=environment.milvus_token.get_secret_value())
    how = {"metric_type": index.metric.value, "params": index.search_params(LIMIT)}

    def bare(query: str) -> None:
        found = client.search(seen.collection, data=model.encode([query], ""), anns_field=VECTOR, limit=LIMIT, search_params=how)[0]
        [(hit.id, hit.distance) for hit in found]

    with PairSearcher(alias, models=models) as searcher:
        ways = {"bare": bare, "searcher": lambda query: searcher.search(query, limit=LIMIT)}
        took: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(count + 20):
            for name in list(ways)[:: 1 if number % 2 else -1]:
                began = perf_counter()
                ways[name](text(number + 1))
                if number >= 20:
                    took[name].append((perf_counter() - began) * 1000)
    p50, p99 = ({name: float(np.percentile(times, q)) for name, times in took.items()} for q in (50, 99))
    print(json.dumps({"queries": count, "p50_ms": p50, "p99_ms": p99, "p50_ratio": p50["searcher"] / p50["bare"]}))


if __name__ == "__main__":
    main()
