"""LangChain, `from_texts`: embeds all texts in one call, then inserts them a thousand at a time."""

from __future__ import annotations

from collections.abc import Mapping

from langchain_huggingface import HuggingFaceEmbeddings
from langchain_milvus import Milvus

from benchmarks.peers.measure import main
from benchmarks.peers.minilm import WEIGHTS
from benchmarks.peers.place import Place


class LangChainFromTexts:
    """LangChain's Milvus.from_texts. It has no way to find out which texts changed."""

    name = "LangChain from_texts"
    packages = ("langchain-core", "langchain-milvus", "langchain-huggingface")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._embeddings = HuggingFaceEmbeddings(model_name=WEIGHTS, model_kwargs={"device": "cpu"})

    def build(self, texts: Mapping[str, str]) -> None:
        Milvus.from_texts(
            list(texts.values()),
            self._embeddings,
            ids=list(texts),
            collection_name=self._place.collection,
            connection_args=self._place.connection,
            index_params=self._place.index,
            drop_old=True,
        )


if __name__ == "__main__":
    main(LangChainFromTexts)
