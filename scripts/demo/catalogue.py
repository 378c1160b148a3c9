"""Makes a shop's catalogue, and golden queries whose answers are known because the products were made from them.

A product starts as traits (a sofa, red, leather, vintage). Its text says each trait in one of several words, chosen
anew every time: one row sells a "crimson cowhide couch", the next a "red leather settee". A query asks for traits too,
so its relevant products are read off the traits and never off a model's opinion.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from scripts.demo.vocabulary import BRANDS, COLOURS, EXTRAS, FILLERS, KINDS, NAMES, OPENINGS, STYLES_OF, WORDS, Kind

ROWS = 3000
SEED = 7
QUERIES = 60
ZEROS = 20  # irrelevant products judged per query

PRODUCTS = pa.schema(
    [
        ("product_id", pa.int64()),
        ("product_name", pa.string()),
        ("product_description", pa.string()),
        ("category", pa.string()),
        ("colour", pa.string()),
        ("price_cents", pa.int64()),
        ("in_stock", pa.bool_()),
    ]
)
GOLDEN_QUERIES = pa.schema([("query_id", pa.string()), ("query", pa.string())])
JUDGMENTS = pa.schema([("query_id", pa.string()), ("product_id", pa.int64()), ("grade", pa.int64())])


Traits = dict[str, str]  # "thing", "colour", "material", "style" → the trait, a key of WORDS


@dataclass(frozen=True, slots=True)
class Product:
    """A product as it was made: its traits, and the row the shop publishes about it."""

    traits: Traits
    row: dict


def make(rows: int = ROWS, seed: int = SEED) -> Iterator[Product]:
    """Products with the traits they were made from, which the published rows only hint at."""
    for number in range(rows):
        # A generator per product: a larger catalogue begins with the smaller one.
        yield _product(number, random.Random(f"{seed}:{number}"))


def products(rows: int = ROWS, seed: int = SEED) -> pa.Table:
    """The catalogue: the same rows for the same seed, and row *n* the same however many follow it."""
    return pa.Table.from_pylist([product.row for product in make(rows, seed)], PRODUCTS)


def golden(rows: int = ROWS, seed: int = SEED) -> tuple[pa.Table, pa.Table]:
    """Golden queries and their judgments: every product above grade 0 is judged, and a few of the others."""
    made = list(make(rows, seed))
    rng = random.Random(f"{seed}:golden")
    queries, judgments = [], []
    for number, asked in enumerate(_asked(made, rng), start=1):
        query_id = f"q{number:02}"
        queries.append({"query_id": query_id, "query": _question(asked, rng)})
        judgments += [{"query_id": query_id, **judgment} for judgment in _judge(asked, made, rng)]
    return pa.Table.from_pylist(queries, GOLDEN_QUERIES), pa.Table.from_pylist(judgments, JUDGMENTS)


def grade(asked: Traits, traits: Traits) -> int:
    """3: all that was asked. 2: the thing, and some of the rest. 1: the thing alone. 0: another thing, however alike."""
    if traits["thing"] != asked["thing"]:
        return 0
    met = sum(traits[trait] == wanted for trait, wanted in asked.items())
    return 3 if met == len(asked) else min(met, 2)


def write(folder: Path, rows: int = ROWS, seed: int = SEED) -> None:
    """Leaves `products.parquet` in the folder."""
    pa.parquet.write_table(products(rows, seed), folder / "products.parquet")


def write_suite(folder: Path, rows: int = ROWS, seed: int = SEED) -> None:
    """Leaves `queries.csv` and `judgments.csv` in the folder, for the catalogue of the same rows and seed."""
    for name, table in zip(("queries.csv", "judgments.csv"), golden(rows, seed), strict=True):
        pa.csv.write_csv(table, folder / name)


def _product(number: int, rng: random.Random) -> Product:
    kind = rng.choice(KINDS)
    traits = {
        "thing": kind.names[0],
        "colour": rng.choice(list(COLOURS)),
        "material": rng.choice(kind.materials),
        "style": rng.choice(STYLES_OF[kind.category]),
    }
    brand = rng.choice(BRANDS)
    row = {
        "product_id": 100_000 + 10 * number + rng.randrange(8),  # gaps, as real keys have
        "product_name": _sentence(rng.choice(NAMES), brand=brand, **_say(traits, rng)),
        "product_description": _description(kind, traits, brand, rng),
        "category": kind.category,
        "colour": traits["colour"],
        "price_cents": round(kind.price * rng.uniform(60, 180)),
        "in_stock": rng.random() < 0.9,
    }
    return Product(traits, row)


def _description(kind: Kind, traits: Traits, brand: str, rng: random.Random) -> str:
    """Prose in other words than the name's, with the noise and the mess of a real feed."""
    opening = _sentence(rng.choice(OPENINGS), brand=brand, **_say(traits, rng))
    praise = _sentence(", ".join(rng.sample(kind.praise, 2))) + "."
    sentences = [opening, praise, *rng.sample(FILLERS, rng.randint(1, 3))]
    if rng.random() < 0.3:  # words of another product, as shops do
        other = _say({"thing": rng.choice(KINDS).names[0], "colour": rng.choice(list(COLOURS))}, rng)
        sentences.append("Goes well with our {colour} {thing}.".format(**other))
    if rng.random() < 0.1:
        sentences.append("Features: " + "; ".join(rng.choices(EXTRAS, k=25)) + ".")
    if rng.random() < 0.15:
        return "<br>".join(sentences).replace("&", "&amp;")
    return " ".join(sentences)


def _say(traits: Traits, rng: random.Random) -> Traits:
    """One of the words for each trait."""
    return {trait: rng.choice(WORDS[trait][value]) for trait, value in traits.items()}


def _sentence(template: str, **words: str) -> str:
    text = template.format(**words)
    return text[0].upper() + text[1:]


def _asked(made: list[Product], rng: random.Random) -> Iterator[Traits]:
    """What the golden queries ask: a thing and one or two more traits of a product that exists, never the same twice."""
    seen = []
    for product in rng.sample(made, len(made)):
        others = rng.sample(["colour", "material", "style"], rng.choice([1, 2, 2]))
        asked = {trait: product.traits[trait] for trait in ["thing", *others]}
        if asked not in seen:
            seen.append(asked)
            yield asked
        if len(seen) == QUERIES:
            return


def _question(asked: Traits, rng: random.Random) -> str:
    said = _say(asked, rng)
    return " ".join(said[trait] for trait in ["style", "colour", "material", "thing"] if trait in said)


def _judge(asked: Traits, made: list[Product], rng: random.Random) -> list[dict]:
    """Judges all that is relevant, so what stays unjudged is irrelevant for certain."""
    graded = [{"product_id": product.row["product_id"], "grade": grade(asked, product.traits)} for product in made]
    zeros = [judgment for judgment in graded if judgment["grade"] == 0]
    return [judgment for judgment in graded if judgment["grade"]] + rng.sample(zeros, min(ZEROS, len(zeros)))
