"""LlamaIndex, `VectorStoreIndex.from_documents`: splits, embeds ten at a time, inserts."""

from __future__ import annotations

from collections.abc import Mapping

from llama_index.core import Document, StorageContext, VectorStoreIndex

from benchmarks.peers.llamaindex_parts import embedding, splitter, vector_store
from benchmarks.peers.measure import main
from benchmarks.peers.place import Place


class LlamaIndexFromDocuments:
    """LlamaIndex's VectorStoreIndex.from_documents on its Milvus store."""

    name = "LlamaIndex VectorStoreIndex"
    packages = ("llama-index-core", "llama-index-vector-stores-milvus", "llama-index-embeddings-huggingface")

    def __init__(self, place: Place) -> None:
        self._store = vector_store(place)
        self._embedding = embedding()

    def build(self, texts: Mapping[str, str]) -> None:
        documents = [Document(text=text, id_=key) for key, text in texts.items()]
        storage = StorageContext.from_defaults(vector_store=self._store)
        VectorStoreIndex.from_documents(documents, storage_context=storage, embed_model=self._embedding, transformations=[splitter()])


if __name__ == "__main__":
    main(LlamaIndexFromDocuments)
