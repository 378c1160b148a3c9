"""Rows that are hard to carry: numbers as keys, gaps, strings as long as Milvus takes them, and pages whose weight nobody could foresee."""

from __future__ import annotations

import dataclasses
import math

from scripts import digests
from scripts.jobs.backup import backup
from scripts.jobs.restore import restore
from scripts.layout import MAX_STRING_BYTES, Column, FieldType, Layout
from scripts.pair import Stamp
from scripts.records import Rows
from tests.backup.world import OTHER, PAIR, content, folder, held, layout, opened, rows, stamp, vectors


def build(kit, layout: Layout, of: Rows) -> None:
    held = content(of)
    of_all: Stamp = stamp(layout=layout, content=held, shards={"0-of-2": held, "1-of-2": held.model_copy(update={"rows": 0, "fingerprint": "0" * 16})})
    kit.store.create(PAIR, layout, of_all.properties())
    collection = kit.store.open(PAIR)
    collection.write(of, vectors(len(of), layout.dimension))
    for step in (collection.flush, collection.build_index, collection.load):
        step()


def all_of(kit, name: str) -> str:
    """As text, since NaN is not equal to itself."""
    return repr((sorted(held(kit, name).items()), kit.store.properties(name)["promotion.shards.0-of-2"]))


def test_numbers_as_keys_and_gaps_are_kept(empty_milvus_server, tmp_path):
    """The smallest and the largest key, a double without a value, empty texts, lists and objects, and a text with every kind of letter: from milvus-lite
    to the server and to milvus-lite."""
    numbers = [-(2**63) + 1, -1, 0, 1, 2**63 - 2, *range(10, 305)]
    strings = rows(len(numbers))
    gaps = {"weight": math.nan, "name": "", "sizes": [], "ratios": [math.inf], "tags": [""], "extra": {"none": None, "nan": [None], "": {}}, "price": 0, "sold": False}
    columns = {name: [gaps[name] if at % 3 == 0 else value for at, value in enumerate(values)] for name, values in strings.columns.items()}
    columns["name"][1] = "\x01\t\n\r\"'\\ \u2028 é ß 漢字 😀 ‮ \ufeff"
    keyed = dataclasses.replace(strings, keys=numbers, columns=columns, key_ids=digests.of_keys(numbers))
    of = layout().model_copy(update={"key": Column(name="id", type=FieldType.INT64)})
    with opened(tmp_path / "kit", str(tmp_path / "milvus.db")) as laptop:
        build(laptop, of, keyed)
        backup(laptop, PAIR, folder(tmp_path / "there"), part_bytes=1 << 20)
        restore(laptop, folder(tmp_path / "there"), OTHER)
        expected = all_of(laptop, PAIR)
        assert all_of(laptop, OTHER) == expected
    with opened(tmp_path / "kit", empty_milvus_server.uri, empty_milvus_server.token) as cluster:
        restore(cluster, folder(tmp_path / "there"))
        assert all_of(cluster, PAIR) == expected


def test_rows_that_are_too_heavy_for_one_answer_come_in_smaller_pages(empty_milvus_server, tmp_path):
    """After hundreds of light ones, by which the size of pages is chosen: three texts of 64 KiB each, of which 2.3.5 has no room for 400 in one answer."""
    light, heavy = 600, 400
    some = rows(light + heavy)
    keys = [f"{'a' if at < light else 'b'}{at:05d}" for at in range(len(some))]
    longest = "é" * (MAX_STRING_BYTES // 2)
    columns = some.columns | {
        "name": ["light" if at < light else longest for at in range(len(some))],
        "tags": [[] if at < light else [longest, longest] for at in range(len(some))],
    }
    weighty = dataclasses.replace(some, keys=keys, columns=columns, key_ids=digests.of_keys(keys))
    with opened(tmp_path / "kit", empty_milvus_server.uri, empty_milvus_server.token) as kit:
        build(kit, layout(), weighty)
        backup(kit, PAIR, folder(tmp_path / "there"), part_bytes=32 << 20)
        there, like = folder(tmp_path / "there"), layout()
        found = [page for name in sorted(there.names()) if name.startswith("part") for page in there.pages(name, like)]
        assert [key for page in found for key in page.keys] == keys
        assert all(page.columns["tags"] == [columns["tags"][int(key[1:])] for key in page.keys] for page in found)
        assert max(len(page.keys) for page in found if page.keys[0][0] == "b") < heavy
