"""`sync`: the one primitive that moves data, on real collections."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scripts.adapters.milvus import MilvusStore
from scripts.adapters.sources import open_source
from scripts.encoding import Encoder
from scripts.errors import Refused, UnfitModel, UsageError
from scripts.layout import Column, FieldType, Index, Layout
from scripts.pair import Embedding
from scripts.settings import SourceSettings
from scripts.supply import Supply
from scripts.sync import Pass, sync
from tests.stored import stored_vectors
from tests.test_pair import stamp

NAME = "shop_v1_00000001"


class Model:
    """Encodes a text's length and first letter, and keeps every text that it was given."""

    batch_size = 50

    def cut_off(self, texts, prompt):
        return [position for position, text in enumerate(texts) if len(text) > 1_000]

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, texts, prompt):
        if any("poison" in text for text in texts):
            return np.full((len(texts), 2), np.nan)
        self.texts += texts
        return [[len(text), ord(text[0])] for text in texts]


class Bench:
    """A source file, a collection and a model; `sync` brings the first into the second."""

    def __init__(self, store, folder, key: FieldType) -> None:
        self._folder = folder
        self._key = key
        self.model = Model()
        self.encoder = Encoder(self.model, Embedding(template="{name}"))
        layout = Layout(key=Column(name="id", type=key), columns=(Column(name="price", type=FieldType.INT64),), dimension=2, index=Index())
        store.create(NAME, layout, stamp(layout=layout).properties())
        self.collection = store.open(NAME)

    def rows(self, *specs):
        """Rows of (number, name, price), with keys of this bench's type."""
        return [{"id": f"k'{number}" if self._key is FieldType.STRING else number, "name": name, "price": price} for number, name, price in specs]

    def sync(self, rows, how=None, **settings):
        (self._folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        source = SourceSettings(uri="rows.jsonl", key="id", text="{name}", columns=("price",), **settings)
        self.model.texts.clear()
        return sync(open_source(source, self._folder), source, self.collection, Supply(lambda: self.encoder), Pass(**(how or {})))

    def content(self):
        pages = list(self.collection.contents())
        return sorted(key for page in pages for key in page.keys)

    def lengths(self, keys):
        self.content()  # makes an unfinished collection readable
        return stored_vectors(self.collection, keys)[:, 0].tolist()


@pytest.fixture(params=["lite, int64", "lite, string", pytest.param("server, int64", marks=pytest.mark.server)])
def bench(request, tmp_path):
    """On both; with both types of keys on one of them, because the server takes its time to make an unfinished collection readable."""
    kind, key = request.param.split(", ")
    server = request.getfixturevalue("empty_milvus_server") if kind == "server" else None
    with MilvusStore(server.uri, server.token) if server else MilvusStore(str(tmp_path / "milvus.db")) as store:
        yield Bench(store, tmp_path, FieldType(key))


def test_a_first_pass_writes_everything_and_a_second_nothing(bench):
    """Running again is safe and costs no encoding."""
    rows = bench.rows((1, "aa", 1), (2, "b", 1), (3, "cccc", 1))
    first = bench.sync(rows)
    assert (first.seen, first.embedded, first.written) == (3, 3, 3)
    second = bench.sync(rows)
    assert (second.unchanged, second.embedded, second.written, second.deleted, bench.model.texts) == (3, 0, 0, 0, [])
    assert first.content(read_at=stamp().build.created_at) == second.content(read_at=stamp().build.created_at)


def test_only_changes_are_applied(bench):
    """A new row and a changed text are encoded, a changed column keeps its vector, a vanished row goes."""
    bench.sync(bench.rows((1, "aa", 1), (2, "b", 1), (3, "cccc", 1), (4, "d", 1)))
    rows = bench.rows((1, "aa", 1), (2, "bbb", 1), (3, "cccc", 99), (5, "eeeee", 1))
    report = bench.sync(rows)
    assert (report.unchanged, report.embedded, report.copied, report.written, report.deleted) == (1, 2, 1, 3, 1)
    assert bench.content() == sorted(row["id"] for row in rows)
    assert bench.lengths([row["id"] for row in rows]) == [2, 3, 4, 5]


def test_swapped_texts_are_noticed(bench):
    """Lists that look up by content hash alone keep the old vectors here."""
    bench.sync(bench.rows((1, "long text", 1), (2, "x", 1)))
    rows = bench.rows((1, "x", 1), (2, "long text", 1))
    assert bench.sync(rows).embedded == 2
    assert bench.lengths([row["id"] for row in rows]) == [1, 9]


def test_equal_texts_are_encoded_once(bench):
    """Within a window; every row has its vector."""
    rows = bench.rows((1, "same", 1), (2, "same", 2), (3, "other", 3))
    report = bench.sync(rows)
    assert (report.embedded, report.deduplicated, report.written) == (2, 1, 3)
    assert bench.lengths([row["id"] for row in rows]) == [4, 4, 5]


def test_an_interrupted_pass_deletes_nothing(bench):
    """A pass that stops early has not seen every row, so it may not conclude that one is gone."""
    old = bench.rows(*((i, "x" * i, 1) for i in range(1, 20)))
    bench.sync(old)
    with pytest.raises(UnfitModel):
        bench.sync(bench.rows((100, "poison", 1)))
    assert bench.content() == sorted(row["id"] for row in old)


def test_an_empty_source_deletes_nothing(bench):
    """It is a fault far more often than a wish."""
    bench.sync(bench.rows((1, "a", 1)))
    with pytest.raises(UsageError, match="no usable rows"):
        bench.sync(bench.rows((1, "", 1)), on_bad_row="skip")
    assert len(bench.content()) == 1


def test_a_duplicate_key_is_an_error_by_default(bench):
    """Named with its key and its place."""
    with pytest.raises(UsageError, match=r"duplicate_key in the source: key .*1 again in rows.jsonl, row 2"):
        bench.sync(bench.rows((1, "a", 1), (1, "b", 1)))


def test_skipped_duplicates_are_counted_and_the_first_row_stays(bench):
    """Also in another window, and again in a second pass."""
    many = [*((i, f"name {i}", 1) for i in range(5_000)), (7, "late duplicate", 1)]
    for _ in range(2):
        report = bench.sync(bench.rows(*many), on_bad_row="skip")
        assert (report.skipped, report.rows) == (1, 5_000)
    assert report.unchanged == 5_000


def test_the_fingerprint_is_of_the_content_not_of_its_order(bench):
    """A re-ordered source is the same source; a changed row makes another."""
    rows = bench.rows((1, "a", 1), (2, "b", 1), (3, "c", 1))
    forward, backward = bench.sync(rows), bench.sync(rows[::-1])
    changed = bench.sync(bench.rows((1, "a", 1), (2, "b", 1), (3, "c", 2)))
    assert forward.fingerprint == backward.fingerprint != changed.fingerprint


def test_texts_that_the_model_cuts_off_are_counted_and_named(bench):
    """They are embedded by their beginning, and the report says so."""
    rows = bench.rows((1, "short", 1), (2, "long " * 300, 1), (3, "longer " * 300, 1))
    report = bench.sync(rows)
    assert (report.embedded, report.cut_off, sorted(map(str, report.cut_off_keys))) == (3, 2, sorted(str(row["id"]) for row in rows[1:]))
    assert any("2 texts are longer than the model takes" in line for line in report.lines())


def test_windows_go_across_the_pieces_of_a_source(bench):
    """Few rows of each piece are new; they are encoded together, in order of length, and every row has its own vector."""
    old = bench.rows(*((i, f"n{i}", 1) for i in range(0, 10_000)))
    bench.sync(old)
    new = [dict(row, name="x" * (1 + i % 50)) if i % 100 == 0 else row for i, row in enumerate(old)]
    bench.sync(new)
    lengths = list(map(len, bench.model.texts))
    assert lengths == sorted(lengths, reverse=True)
    some = [row for row in new if row["name"].startswith("x")]
    assert bench.lengths([row["id"] for row in some]) == [len(row["name"]) for row in some]


def test_an_emptied_source_empties_the_collection_where_that_is_allowed(bench):
    """Only then."""
    bench.sync(bench.rows((1, "a", 1)))
    assert bench.sync([], how={"allow_empty": True}).deleted == 1
    assert bench.content() == []


def test_a_pass_that_was_taken_over_deletes_nothing(bench):
    """What it did not see may be what its successor wrote."""
    bench.sync(bench.rows((1, "a", 1), (2, "b", 1)))

    def advance(rows):
        if rows == 0:
            raise Refused("Another process took over.")

    with pytest.raises(Refused):
        bench.sync(bench.rows((1, "a", 1)), how={"advance": advance})
    assert len(bench.content()) == 2
