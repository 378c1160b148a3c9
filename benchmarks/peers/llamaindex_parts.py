"""What both ways of LlamaIndex are made of."""

from __future__ import annotations

from llama_index.core.node_parser import SentenceSplitter
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.vector_stores.milvus import MilvusVectorStore

from benchmarks.peers.minilm import DIMENSION, WEIGHTS
from benchmarks.peers.place import INDEX, METRIC, PARAMS, Place


def embedding() -> HuggingFaceEmbedding:
    return HuggingFaceEmbedding(WEIGHTS, device="cpu")


def splitter() -> SentenceSplitter:
    """As documented, but in chunks that no product exceeds: one row per product, as with the others. Without a splitter, an update would leave
    the old text beside the new."""
    return SentenceSplitter(chunk_size=8192, chunk_overlap=0)


def vector_store(place: Place) -> MilvusVectorStore:
    return MilvusVectorStore(
        uri=place.uri,
        token=place.token,
        collection_name=place.collection,
        dim=DIMENSION,
        similarity_metric=METRIC,
        index_config={"index_type": INDEX, **PARAMS},
        overwrite=True,
        use_async_client=False,
    )
