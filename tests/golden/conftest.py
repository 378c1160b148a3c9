"""Pairs to look into: built once for each file of tests, because nothing here changes them."""

from __future__ import annotations

import pytest

from tests.golden.pairs import Pairs


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, mlflow_server) -> Pairs:
    folder = tmp_path_factory.mktemp("pairs")
    shop = Pairs(folder / "shop", str(folder / "milvus.db"), "", mlflow_server.uri)
    shop.fill()
    return shop


@pytest.fixture
def shop(pairs) -> Pairs:
    """With its suite as it was."""
    for path in (pairs.folder / "golden").iterdir():
        path.unlink()
    pairs.write_suite()
    pairs.configure()
    return pairs
