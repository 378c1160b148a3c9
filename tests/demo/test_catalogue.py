from collections import Counter
from itertools import chain

import pyarrow.parquet as pq
import pytest

from scripts.demo import catalogue


@pytest.fixture(scope="module")
def rows():
    return catalogue.products().to_pylist()


@pytest.fixture(scope="module")
def golden():
    queries, judgments = catalogue.golden()
    return queries.to_pylist(), judgments.to_pylist()


def test_same_seed_makes_the_same_files(tmp_path):
    """A demo run today and one run next year start from the same bytes."""
    for folder in (tmp_path / "once", tmp_path / "again"):
        folder.mkdir()
        catalogue.write(folder, rows=200, seed=3)
        catalogue.write_suite(folder, rows=200, seed=3)
    for name in ("products.parquet", "queries.csv", "judgments.csv"):
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_another_seed_makes_another_catalogue():
    """The seed is what decides, not only the row's number."""
    assert catalogue.products(50, seed=1) != catalogue.products(50, seed=2)


def test_larger_catalogue_begins_with_the_smaller_one():
    """Rows can be added to a demo without changing those that are there."""
    assert catalogue.products(80).slice(0, 50) == catalogue.products(50)


def test_written_catalogue_is_the_catalogue(tmp_path):
    """What the demo reads from disk has the columns, types and rows that were made."""
    catalogue.write(tmp_path, rows=50)
    assert pq.read_table(tmp_path / "products.parquet") == catalogue.products(50)


def test_keys_are_unique_and_have_gaps(rows):
    """No key repeats, and none can be guessed by counting."""
    keys = [row["product_id"] for row in rows]
    assert len(set(keys)) == len(keys) == catalogue.ROWS
    assert all(after - before > 1 for before, after in zip(keys, keys[1:], strict=False))


def test_every_word_means_one_trait():
    """A query's word never asks for two things, so its judgments are not a matter of taste."""
    words = chain.from_iterable(chain.from_iterable(group.values() for group in catalogue.WORDS.values()))
    assert [word for word, count in Counter(words).items() if count > 1] == []


def test_texts_have_the_mess_of_a_real_feed(rows):
    """Some texts carry HTML, some run long, and none is empty."""
    texts = [row["product_description"] for row in rows]
    assert any("&amp;" in text for text in texts)
    assert any("<br>" in text for text in texts)
    assert max(map(len, texts)) > 600
    assert all(row["product_name"].strip() and row["product_description"].strip() for row in rows)


@pytest.mark.parametrize(
    ("traits", "grade"),
    [
        ({"thing": "sofa", "colour": "red", "material": "leather"}, 3),
        ({"thing": "sofa", "colour": "red", "material": "linen"}, 2),
        ({"thing": "sofa", "colour": "blue", "material": "linen"}, 1),
        ({"thing": "bed", "colour": "red", "material": "leather"}, 0),
    ],
)
def test_grade_counts_the_traits_asked_for(traits, grade):
    """All, some, the thing alone, another thing."""
    assert catalogue.grade({"thing": "sofa", "colour": "red", "material": "leather"}, traits) == grade


def test_one_trait_besides_the_thing_is_enough_for_a_full_match():
    """A query that asks little can be answered in full."""
    assert catalogue.grade({"thing": "sofa", "colour": "red"}, {"thing": "sofa", "colour": "red", "material": "linen"}) == 3
    assert catalogue.grade({"thing": "sofa", "colour": "red"}, {"thing": "sofa", "colour": "blue", "material": "linen"}) == 1


def test_queries_are_distinct(golden):
    """Sixty questions, asked once each."""
    queries, _ = golden
    assert len({row["query_id"] for row in queries}) == len({row["query"] for row in queries}) == catalogue.QUERIES


def test_every_query_has_a_full_match_and_irrelevant_products(golden):
    """No query is impossible, and none is satisfied by everything."""
    queries, judgments = golden
    for grade in (3, 0):
        assert {row["query_id"] for row in judgments if row["grade"] == grade} == {row["query_id"] for row in queries}


def test_judgments_name_existing_products_once(golden, rows):
    """Each judgment is about a product in the catalogue, and no product is judged twice for a query."""
    _, judgments = golden
    assert {row["product_id"] for row in judgments} <= {row["product_id"] for row in rows}
    assert len({(row["query_id"], row["product_id"]) for row in judgments}) == len(judgments) <= 6000


def test_every_relevant_product_is_judged(golden):
    """An unjudged product counts as irrelevant, so it has to be: judging more finds only more zeros."""
    queries, judgments = golden
    things = {product.row["product_id"]: product.traits["thing"] for product in catalogue.make()}
    stock = Counter(things.values())
    for query in queries:
        relevant = [things[row["product_id"]] for row in judgments if row["query_id"] == query["query_id"] and row["grade"]]
        assert Counter(relevant) == {relevant[0]: stock[relevant[0]]}


def test_queries_often_use_words_the_best_product_does_not(golden, rows):
    """Matching words is not enough: most full matches lack one of the query's words."""
    queries, judgments = golden
    asked = {row["query_id"]: row["query"].split() for row in queries}
    texts = {row["product_id"]: f"{row['product_name']} {row['product_description']}".lower() for row in rows}
    full = [row for row in judgments if row["grade"] == 3]
    lacking = [row for row in full if any(word not in texts[row["product_id"]] for word in asked[row["query_id"]])]
    assert len(lacking) > len(full) / 2
