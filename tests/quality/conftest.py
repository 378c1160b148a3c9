"""Where pairs of these tests are made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.adapters.milvus import MilvusStore
from tests.conftest import MilvusAddress
from tests.quality.pairs import FEW, Bench, products


@pytest.fixture
def bench(milvus: MilvusAddress, tmp_path: Path) -> Iterator[Bench]:
    """On both kinds of Milvus in turn."""
    with MilvusStore(milvus.uri, milvus.token) as store:
        yield _with_products(store, tmp_path)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Bench]:
    """For what has nothing to do with the kind of Milvus, which takes a server several seconds to make a pair for."""
    with MilvusStore(str(tmp_path / "milvus.db")) as store:
        yield _with_products(store, tmp_path)


def _with_products(store: MilvusStore, folder: Path) -> Bench:
    bench = Bench(store, folder)
    bench.write(products(FEW))
    return bench
