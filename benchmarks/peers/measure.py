"""Measures one peer on one server, and says what it measured as facts."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import click
from pymilvus import MilvusClient

from benchmarks.peers.minilm import Alone, counted
from benchmarks.peers.place import Place, count, wait_until_indexed, wait_until_served
from benchmarks.texts import ICECAT, icecat, revised

CHANGED = 0.01


class Peer(Protocol):
    """One documented way of one project. The constructor opens and loads all there is to load; that is outside the clock.

    A peer that can bring its collection up to date also has `update`; one that can be pointed at a new collection, `build_again`.
    """

    name: str
    packages: tuple[str, ...]

    def __init__(self, place: Place) -> None: ...

    def build(self, texts: Mapping[str, str]) -> None:
        """The whole collection, from key → text."""

    # def update(self, texts: Mapping[str, str]) -> None: the same collection, some texts changed
    # def build_again(self, texts: Mapping[str, str], place: Place) -> dict[str, int]: another collection, with what it remembers of the first


def measure(peer_class: type[Peer], place: Place, texts: Mapping[str, str]) -> dict[str, Any]:
    """Builds, updates and builds again, as far as the peer can, and drops what it built."""
    client = place.client()
    alone = Alone(list(texts.values()))
    peer = peer_class(place)
    facts: dict[str, Any] = {"peer": peer.name, "rows": len(texts)}
    try:
        alone.first_half()
        facts |= _build(peer, place, texts, client)
        alone.second_half()
        facts |= {
            "alone_seconds": round(alone.seconds, 3),
            "ratio": round(facts["indexed_seconds"] / alone.seconds, 4),
            "served_ratio": round(facts["served_seconds"] / alone.seconds, 4),
        }
        changed = revised(texts, CHANGED)
        if hasattr(peer, "update"):
            facts["update"] = _update(peer, place, changed, client)
            facts["update"]["changed"] = sum(changed[key] != text for key, text in texts.items())
            facts["update"]["ratio"] = round(facts["update"]["seconds"] / facts["indexed_seconds"], 4)
        if hasattr(peer, "build_again"):
            other = replace(place, collection=f"{place.collection}_again")
            said = peer.build_again(changed, other)
            facts["again"] = {"said": said, "count": count(client, other.collection) if client.has_collection(other.collection) else 0}
    finally:
        for collection in client.list_collections():
            if collection.startswith(place.collection):
                client.drop_collection(collection)
    versions = {package: importlib.metadata.version(package) for package in (*peer.packages, "pymilvus", "sentence-transformers", "torch")}
    return facts | {"versions": {"python": platform.python_version()} | versions}


def _build(peer: Peer, place: Place, texts: Mapping[str, str], client: MilvusClient) -> dict[str, Any]:
    """The build and then the wait for what the server still has to do, all on one clock."""
    with counted() as encoded:
        started = time.perf_counter()
        peer.build(texts)
        returned = time.perf_counter()
        rows = wait_until_indexed(client, place.collection)
        indexed = time.perf_counter()
        wait_until_served(client, place.collection, rows)
        served = time.perf_counter()
    return {
        "call_seconds": round(returned - started, 3),
        "indexed_seconds": round(indexed - started, 3),
        "served_seconds": round(served - started, 3),
        "encoder_seconds": round(encoded.seconds, 3),
        "encoded": encoded.texts,
        "count": rows,
    }


def _update(peer: Peer, place: Place, texts: Mapping[str, str], client: MilvusClient) -> dict[str, Any]:
    """The update in place until it returns. The collection stays loaded and answers with the new rows at once, so there is nothing to wait for."""
    with counted() as encoded:
        started = time.perf_counter()
        peer.update(texts)
        seconds = time.perf_counter() - started
    return {"seconds": round(seconds, 3), "encoder_seconds": round(encoded.seconds, 3), "encoded": encoded.texts, "count": count(client, place.collection)}


def main(peer_class: type[Peer]) -> None:
    """The command line that every peer's script has."""

    @click.command(help=peer_class.__doc__, context_settings={"help_option_names": ["-h", "--help"]})
    @click.option("--rows", type=int, default=10_000, show_default=True, help="How many products.")
    @click.option("--milvus", envvar="MILVUS_URI", required=True, help="The server's address; MILVUS_TOKEN in the environment is its password.")
    @click.option("--data", type=click.Path(file_okay=False, path_type=Path), default=ICECAT, help="The folder with products.parquet.")
    @click.option("--json", "as_json", is_flag=True, help="Facts instead of lines.")
    def command(rows: int, milvus: str, data: Path, as_json: bool) -> None:
        texts = icecat(rows, data)
        with tempfile.TemporaryDirectory() as folder:
            place = Place(milvus, os.environ.get("MILVUS_TOKEN", ""), f"peer_{peer_class.__name__}", Path(folder))
            facts = measure(peer_class, place, texts)
        click.echo(json.dumps(facts) if as_json else "\n".join(lines(facts)))

    command()


def lines(facts: Mapping[str, Any]) -> list[str]:
    """For people."""
    told = [
        f"{facts['peer']}: {facts['indexed_seconds']:.1f} s for {facts['rows']:,} texts until indexed, "
        f"{facts['ratio']:.2f} of encoding alone ({facts['alone_seconds']:.1f} s)",
        f"  {facts['count']:,} rows; {facts['encoded']:,} texts encoded in {facts['encoder_seconds']:.1f} s; the call returned after "
        f"{facts['call_seconds']:.1f} s, searches use the index after {facts['served_seconds']:.1f} s ({facts['served_ratio']:.2f})",
    ]
    if update := facts.get("update"):
        told.append(
            f"  {update['changed']:,} texts changed: {update['encoded']:,} encoded in {update['seconds']:.1f} s, "
            f"{update['ratio']:.3f} of the build; {update['count']:,} rows"
        )
    if again := facts.get("again"):
        told.append(f"  into a new collection: {again['count']:,} rows; it said {again['said']}")
    return told
