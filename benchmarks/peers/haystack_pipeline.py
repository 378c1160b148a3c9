"""Haystack, a pipeline of an embedder and a writer."""

from __future__ import annotations

from collections.abc import Mapping

from haystack import Document, Pipeline
from haystack.components.writers import DocumentWriter
from haystack.utils import ComponentDevice, Secret
from haystack_integrations.components.embedders.sentence_transformers import (
    SentenceTransformersDocumentEmbedder,
)
from milvus_haystack import MilvusDocumentStore

from benchmarks.peers.measure import main
from benchmarks.peers.minilm import WEIGHTS
from benchmarks.peers.place import Place


class HaystackPipeline:
    """Haystack's indexing pipeline: embedder, then writer. It embeds whatever it is given, changed or not."""

    name = "Haystack pipeline"
    packages = ("haystack-ai", "milvus-haystack", "sentence-transformers-haystack")

    def __init__(self, place: Place) -> None:
        connection = place.connection | {"token": Secret.from_token(place.token)}
        store = MilvusDocumentStore(place.collection, connection_args=connection, index_params=place.index, drop_old=True)
        self._pipeline = Pipeline()
        embedder = SentenceTransformersDocumentEmbedder(model=WEIGHTS, device=ComponentDevice.from_str("cpu"), progress_bar=False)
        self._pipeline.add_component("embedder", embedder)
        self._pipeline.add_component("writer", DocumentWriter(store))
        self._pipeline.connect("embedder", "writer")
        self._pipeline.warm_up()

    def build(self, texts: Mapping[str, str]) -> None:
        self._pipeline.run({"embedder": {"documents": [Document(id=key, content=text) for key, text in texts.items()]}})


if __name__ == "__main__":
    main(HaystackPipeline)
