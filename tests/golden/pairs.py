"""A shop with two pairs, one of them behind the alias."""

from __future__ import annotations

from pathlib import Path

from scripts import golden
from scripts.adapters.milvus import MilvusStore
from tests.shop import Shop

ALIAS = "test_shop_prod"


class Pairs(Shop):
    """Production answers by initials, the candidate by words. No verdict is asked: the alias is set by hand."""

    production_pair: str
    candidate: str

    def fill(self) -> None:
        self.production_pair, self.candidate = self.build("initials"), self.build("words")
        with MilvusStore(self.milvus_uri, self.milvus_token) as store:
            store.point(ALIAS, self.production_pair)

    @property
    def suite(self) -> golden.Suite:
        return golden.load(self.folder / "golden")


def append(path: Path, *lines: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
