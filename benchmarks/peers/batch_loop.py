"""The loop of many a blog: take a batch of rows, encode it, insert it; index and load in the end."""

from __future__ import annotations

from collections.abc import Mapping

from pymilvus import DataType, MilvusClient
from sentence_transformers import SentenceTransformer

from benchmarks.peers.measure import main
from benchmarks.peers.minilm import DIMENSION, WEIGHTS
from benchmarks.peers.place import Place

BATCH = 1000


class BatchLoop:
    """A loop over batches of 1,000 rows in the order of the file, with pymilvus and sentence-transformers alone."""

    name = "loop of batches"
    packages = ()

    def __init__(self, place: Place) -> None:
        self._place = place
        self._client = place.client()
        self._model = SentenceTransformer(WEIGHTS, device="cpu")

    def build(self, texts: Mapping[str, str]) -> None:
        name, client = self._place.collection, self._client
        schema = MilvusClient.create_schema()
        schema.add_field("key", DataType.VARCHAR, max_length=64, is_primary=True)
        schema.add_field("text", DataType.VARCHAR, max_length=65_535)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
        client.create_collection(name, schema=schema)
        rows = list(texts.items())
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            vectors = self._model.encode([text for _, text in batch])
            client.insert(name, [{"key": key, "text": text, "vector": vector} for (key, text), vector in zip(batch, vectors, strict=True)])
        client.flush(name)
        index = client.prepare_index_params()
        index.add_index("vector", **self._place.index)
        client.create_index(name, index)
        client.load_collection(name)


if __name__ == "__main__":
    main(BatchLoop)
