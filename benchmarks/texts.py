"""The texts that figures are measured on: products of the icecat catalogue, in the order in which the file has them."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet

ICECAT = Path(__file__).resolve().parents[2] / "shared" / "data" / "icecat"
EDITION = " (revised edition)"


def icecat(rows: int, data: Path = ICECAT) -> dict[str, str]:
    """The first `rows` products as key → text, the very text that the kit's template makes: `{product_name}. {product_description}`."""
    path = data / "products.parquet"
    if not path.is_file():
        raise SystemExit(f"{path} is missing: --data names the folder that has the icecat products.")
    table = pyarrow.parquet.read_table(path, columns=["product_id", "product_name", "product_description"])
    if not 0 < rows <= table.num_rows:
        raise SystemExit(f"The catalogue has {table.num_rows:,} products: --rows {rows} is not between 1 and that.")
    return {
        str(row["product_id"]): html.unescape(f"{row['product_name']}. {row['product_description'] or ''}")
        for row in table.slice(0, rows).to_pylist()
    }


def revised(texts: Mapping[str, str], share: float) -> dict[str, str]:
    """The same products in the same order, that share of the texts changed, spread evenly."""
    step = round(1 / share)
    return {key: text + EDITION if place % step == step // 2 else text for place, (key, text) in enumerate(texts.items())}
