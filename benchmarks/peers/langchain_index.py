"""LangChain, `index()`: a record manager remembers the hashes of what was written, a hundred documents at a time."""

from __future__ import annotations

from collections.abc import Mapping

from langchain_classic.indexes import SQLRecordManager, index
from langchain_core.documents import Document
from langchain_huggingface import HuggingFaceEmbeddings
from langchain_milvus import Milvus

from benchmarks.peers.measure import main
from benchmarks.peers.minilm import WEIGHTS
from benchmarks.peers.place import Place


class LangChainIndex:
    """LangChain's index() with its SQL record manager on SQLite and incremental clean-up."""

    name = "LangChain index()"
    packages = ("langchain-core", "langchain-classic", "langchain-milvus", "langchain-huggingface")

    def __init__(self, place: Place) -> None:
        self._embeddings = HuggingFaceEmbeddings(model_name=WEIGHTS, model_kwargs={"device": "cpu"})
        self._store = self._open(place)
        self._records = SQLRecordManager("milvus/products", db_url=f"sqlite:///{place.folder / 'records.db'}")
        self._records.create_schema()

    def build(self, texts: Mapping[str, str]) -> None:
        self._index(texts, self._store)

    def update(self, texts: Mapping[str, str]) -> None:
        self._index(texts, self._store)

    def build_again(self, texts: Mapping[str, str], place: Place) -> dict[str, int]:
        return self._index(texts, self._open(place))

    def _index(self, texts: Mapping[str, str], store: Milvus) -> dict[str, int]:
        documents = [Document(page_content=text, metadata={"source": key}) for key, text in texts.items()]
        return dict(index(documents, self._records, store, cleanup="incremental", source_id_key="source", key_encoder="sha256"))

    def _open(self, place: Place) -> Milvus:
        return Milvus(
            embedding_function=self._embeddings,
            collection_name=place.collection,
            connection_args=place.connection,
            index_params=place.index,
            auto_id=False,
            drop_old=True,
        )


if __name__ == "__main__":
    main(LangChainIndex)
