"""docs/serving.md, held to a real stamped collection: what it says is read by clients that this kit does not know."""

import hashlib
import json
import re
from pathlib import Path

import mlflow
from pymilvus import MilvusClient

from scripts import canary
from scripts.canary import Mode
from scripts.jobs.canary import start
from tests.serving.place import NAMES, ranking

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
TABLE = PAGE.split("## In other languages")[1]


def said(place) -> dict[str, str]:
    """What `describe_collection(alias)` says, of a pair with a canary."""
    with place.kit() as kit:
        start(kit, place.second, share=0.25, mode=Mode.SPLIT)
    described = place.store._milvus.call("describe_collection", place.alias)
    assert described["collection_name"] == place.first
    return dict(described["properties"])


def documented() -> set[str]:
    """The properties in the first column."""
    return {name for row in re.findall(r"^\| (`promotion\..*?) \|", TABLE, re.MULTILINE) for name in re.findall(r"`(promotion\.[\w.]+)`", row)}


def test_every_documented_property_is_there(place):
    """With a value, where a promoted pair has one."""
    found = said(place)
    assert documented() <= found.keys() | {"promotion.begun_at"}
    empty = {"promotion.embedding.query_prompt", "promotion.begun_at", "promotion.retired_at"}
    assert {name for name in documented() - empty if not found[name]} == set()


def test_the_values_are_as_documented(place):
    """The format, the model's address, the layout's keys, the canary's keys, its stint and its share of keys."""
    found = said(place)
    assert found["promotion.format"] == "1"
    assert found["promotion.service"].replace("-", "_") + "_prod" == place.alias
    assert found["promotion.embedding.normalize"] in ("True", "False")
    layout = json.loads(found["promotion.layout"])
    assert layout.keys() >= {"key", "dimension", "columns", "index", "consistency"} and layout["index"].keys() >= {"metric", "type", "search"}
    running = json.loads(found["promotion.canary"])
    row = next(line for line in TABLE.splitlines() if line.startswith("| `promotion.canary`"))
    assert running.keys() == set(re.findall(r"`(\w+)`", row)) - {"split", "mirror"}
    stint = "\n".join(found.get(f"promotion.{name}", "") for name in ("promoted_at", "begun_at", "retired_at"))
    assert running["stint"] == hashlib.sha256(stint.encode()).hexdigest()[:8]
    for key in ("user-1", "user-2", "Jürgen"):
        number = int.from_bytes(hashlib.sha256(f"{place.second}\n{key}".encode()).digest()[:8], "big")
        assert canary.Canary(**running).takes(key) == (number < 0.25 * 2**64)


def test_the_digest_is_of_the_files_as_documented(place, searching, tmp_path):
    """Anyone can compute it with a SHA-256."""
    searching(models=tmp_path / "models")
    (folder,) = (tmp_path / "models").iterdir()
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "registered_model_meta")
    lines = "".join(f"{path.relative_to(folder).as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in files)
    assert hashlib.sha256(lines.encode()).hexdigest() == said(place)["promotion.model.digest"]


def test_the_example_in_plain_pymilvus_finds_what_the_pair_has(place, monkeypatch):
    """The very code of the page, against this place."""
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", TABLE, re.DOTALL))
    client = place.store._milvus._client
    monkeypatch.setattr("pymilvus.MilvusClient", lambda *address, **token: client if place.embedded else MilvusClient(*address, **token))
    names = {"MILVUS_URI": place.shop.milvus_uri, "MILVUS_TOKEN": place.shop.milvus_token, "MLFLOW_TRACKING_URI": place.shop.mlflow_uri}
    before = mlflow.get_tracking_uri()
    try:
        exec(example.replace("product_embeddings_prod", place.alias).replace("red sofa", NAMES[1]), names)
    finally:
        mlflow.set_tracking_uri(before)
    assert [hit.id for hit in names["hits"]] == ranking("one", NAMES[1], 10)
