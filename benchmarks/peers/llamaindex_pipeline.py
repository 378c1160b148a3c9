"""LlamaIndex, `IngestionPipeline` with a document store: it remembers each document's hash and takes upserts."""

from __future__ import annotations

from collections.abc import Mapping

from llama_index.core import Document
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.storage.docstore import SimpleDocumentStore

from benchmarks.peers.llamaindex_parts import embedding, splitter, vector_store
from benchmarks.peers.measure import main
from benchmarks.peers.place import Place


class LlamaIndexPipeline:
    """LlamaIndex's IngestionPipeline with the UPSERTS strategy, its documents' hashes kept in memory."""

    name = "LlamaIndex IngestionPipeline"
    packages = ("llama-index-core", "llama-index-vector-stores-milvus", "llama-index-embeddings-huggingface")

    def __init__(self, place: Place) -> None:
        self._pipeline = IngestionPipeline(
            transformations=[splitter(), embedding()],
            vector_store=vector_store(place),
            docstore=SimpleDocumentStore(),
            docstore_strategy=DocstoreStrategy.UPSERTS,
        )

    def build(self, texts: Mapping[str, str]) -> None:
        self._pipeline.run(documents=[Document(text=text, id_=key) for key, text in texts.items()])

    def update(self, texts: Mapping[str, str]) -> None:
        self.build(texts)


if __name__ == "__main__":
    main(LlamaIndexPipeline)
