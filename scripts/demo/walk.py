"""`demo`: the whole life of a pair on a made-up shop, with real parts: MLflow on SQLite and milvus-lite, in one folder."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click
import pyarrow.parquet

from scripts import config
from scripts.demo import catalogue, models
from scripts.errors import AnswerIsNo, Refused
from scripts.jobs.build import build
from scripts.jobs.cleanup import cleanup
from scripts.jobs.history import history
from scripts.jobs.promote import Approval, promote
from scripts.jobs.result import Result
from scripts.jobs.rollback import rollback
from scripts.jobs.search import search
from scripts.jobs.status import status
from scripts.jobs.validate import Validated, validate
from scripts.pair import Build
from scripts.ports import ModelVersion
from scripts.progress import progress
from scripts.settings import Settings
from scripts.sync import Pass
from scripts.wiring import Wiring

SUITE = Path(__file__).parents[2] / "golden_queries" / "demo_products"
MARK = "# Made by `python -m scripts demo`; the next demo in this folder replaces it.\n"
CONFIG = (
    MARK
    + """service: demo-products
model: {name: demo-product-embedding}
source:
  uri: products.parquet
  key: product_id
  text: "{product_name}. {product_description}"
  columns: [product_name, category, colour, price_cents, in_stock]
  unescape_html: true
golden: golden_queries/demo_products
retention: {keep_days: 0, keep_previous: 1}
"""
)
QUERY = "crimson leather sofa"


def walk(folder: Path) -> None:
    """Takes one model to production, a better one after it, back again, and sees a bad one refused. Leaves its files in `folder`.

    Asks for approval on a terminal and takes it as given where there is none. Raises Refused where `folder` is not a demo's.
    """
    settings = _prepare(folder)
    with Wiring(settings) as kit:
        models.keep_artifacts_in(settings.root / config.EMBEDDED_FOLDER / "artifacts", kit.settings.environment.mlflow_uri)
        demo = _Demo(kit, folder)
        demo.first_model_to_production()
        demo.better_model_to_production()
        demo.back_again()
        demo.bad_model_is_refused()
        demo.clean_up()
        demo.what_was_done()
    _heading("Try it by hand")
    python = os.path.relpath(sys.executable)
    for words in ("status", f"search '{QUERY}' --where 'price_cents < 50000'", "history"):
        click.echo(f"  {python} -m scripts {words} --config {folder / 'promotion.yaml'}")


def _prepare(folder: Path) -> Settings:
    _heading("A shop and its golden queries")
    path = folder / "promotion.yaml"
    if folder.exists() and any(folder.iterdir()):
        if not path.is_file() or not path.read_bytes().startswith(MARK.encode()):
            raise Refused(f"{folder} is not empty and not a demo's folder.", hint="Pick another with --folder.")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    catalogue.write(folder)
    shutil.copytree(SUITE, folder / "golden_queries" / SUITE.name)
    path.write_text(CONFIG, encoding="utf-8")
    _say(f"{catalogue.ROWS:,} products made from a seed in {folder / 'products.parquet'}; {catalogue.QUERIES} queries whose answers are known from how they were made.")
    # The embedded parts, whatever servers the environment names: the demo must not touch those.
    return config.load(path, environ={})


class _Demo:
    """The steps, in order."""

    def __init__(self, kit: Wiring, folder: Path) -> None:
        self._kit = kit
        products = pyarrow.parquet.read_table(folder / "products.parquet", columns=["product_name", "product_description"])
        self._texts = [f"{row['product_name']}. {row['product_description']}" for row in products.to_pylist()]

    def first_model_to_production(self) -> None:
        _heading("Model v1 reaches Staging and becomes the first production pair")
        pair = self._build(models.WEAK)
        _say("There is no production to compare with, so the absolute floor alone decides.")
        self._validate(pair)
        self._promote(pair)
        self._search()

    def better_model_to_production(self) -> None:
        _heading("Model v2: build, validate against production, approve, promote")
        pair = self._build(models.STRONG)
        _say("Candidate and production are measured in the same run, each with its own model.")
        validated = self._validate(pair)
        if not _approved(validated):
            raise AnswerIsNo(f"{pair} was not approved; production is untouched.", hint="The pair stays until cleanup drops it.")
        self._promote(pair, approved=validated.evidence.digest)
        self._search()

    def back_again(self) -> None:
        _heading("Rollback: one command, nothing rebuilt, because the old collection was kept loaded")
        _show(rollback(self._kit, to=None, reason="the demo shows the way back", dry_run=False))
        self._search()

    def bad_model_is_refused(self) -> None:
        _heading("Model v3 has the right dimension and healthy numbers, and is bad: the gate refuses it")
        pair = self._build(models.BAD)
        self._validate(pair)
        _say("Promoting it all the same:")
        try:
            self._promote(pair)
        except Refused as refusal:
            click.echo(f"  refused: {refusal}")

    def clean_up(self) -> None:
        _heading("Cleanup: what is not production, not needed for rollback and old enough goes (keep_days is 0 here)")
        _show(cleanup(self._kit, dry_run=False))
        _show(status(self._kit))

    def what_was_done(self) -> None:
        _heading("History: who, when, why; kept in Milvus, and told to MLflow")
        _show(history(self._kit, limit=10))

    def _build(self, recipe: models.Recipe) -> str:
        kit, name = self._kit, self._kit.settings.model.name
        _say(f"Training {recipe.name!r} and registering it in MLflow; moving it to Staging.")
        version = models.register(models.train(self._texts, recipe, kit.settings.root / "trained" / recipe.name), name)
        kit.registry.move(ModelVersion(name, version), kit.settings.model.candidate)
        with progress("  embed", kit.source.rows_estimate()) as advance:
            built = build(kit, pinned=None, build=Build(id=f"demo-{version}", created_at=kit.now()), how=Pass(advance=advance))
        _show(built)
        return built.created.pair.collection

    def _validate(self, pair: str) -> Validated:
        validated = validate(self._kit, pair)
        _show(validated)
        return validated

    def _promote(self, pair: str, approved: str | None = None) -> None:
        _show(promote(self._kit, pair, Approval(approved)))

    def _search(self) -> None:
        _say(f"Searching production for {QUERY!r}:")
        _show(search(self._kit, QUERY, limit=3))


def _approved(validated: Validated) -> bool:
    question = f"Promote {validated.evidence.pair} on evidence {validated.evidence.digest[:12]}?"
    if sys.stdin.isatty():
        return click.confirm(f"  {question}", default=True)
    _say(f"{question} No terminal to ask on: taken as yes.")
    return True


def _heading(text: str) -> None:
    click.secho(f"\n== {text}", bold=True)


def _say(text: str) -> None:
    click.echo(f"  {text}")


def _show(result: Result) -> None:
    for line in result.lines():
        click.echo(f"    {line}")
