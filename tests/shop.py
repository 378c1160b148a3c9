"""A small shop for tests: a folder with products, a golden suite and promotion.yaml, and models in a real MLflow."""

from __future__ import annotations

import itertools
import json
import uuid
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import mlflow
import yaml
from click.testing import CliRunner, Result
from mlflow import MlflowClient
from mlflow.models.model import ModelInfo

from scripts.cli import main

MODELS = Path(__file__).parent / "models"
NOUNS = "sofa lamp table mirror carpet shelf bench vase clock stool".split()
ADJECTIVES = "red blue green velvet wooden steel tiny huge antique modern striped folding garden kitchen marble".split()


def products() -> list[dict[str, Any]]:
    """One row per adjective and noun: `product_id` from 1, name, description, price."""
    pairs = itertools.product(NOUNS, ADJECTIVES)
    return [
        {"product_id": i, "name": f"{adjective} {noun}", "description": f"A {adjective} {noun} for every home", "price_cents": 100 * i}
        for i, (noun, adjective) in enumerate(pairs, start=1)
    ]


@dataclass
class Shop:
    """`run` calls the command line in this process, with the environment of this shop."""

    folder: Path
    milvus_uri: str
    milvus_token: str
    mlflow_uri: str
    model: str = field(default_factory=lambda: f"shop-{uuid.uuid4().hex[:8]}")

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.write_products(products())
        self.write_suite()
        self.configure()

    @property
    def environment(self) -> dict[str, str]:
        return {"MILVUS_URI": self.milvus_uri, "MILVUS_TOKEN": self.milvus_token, "MLFLOW_TRACKING_URI": self.mlflow_uri}

    def configure(self, **changes: Any) -> None:
        """Writes promotion.yaml; `changes` replace whole sections."""
        settings: dict[str, Any] = {
            "service": "test-shop",
            "model": {"name": self.model},
            "source": {"uri": "products.jsonl", "key": "product_id", "text": "{name}. {description}", "columns": ["name", "price_cents"]},
            "golden": "golden",
            "retention": {"keep_days": 0, "keep_previous": 1},
        }
        (self.folder / "promotion.yaml").write_text(yaml.safe_dump(settings | changes))

    def write_products(self, rows: list[dict[str, Any]]) -> None:
        (self.folder / "products.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def write_suite(self, *, gates: list[dict[str, Any]] | None = None, judgments: list[tuple[str, Any, int]] | None = None) -> None:
        """Every product's own name is a query for it (grade 2), two of five: enough to be compared by."""
        folder = self.folder / "golden"
        folder.mkdir(exist_ok=True)
        asked = [row for row in products() if row["product_id"] % 5 in (1, 3)]
        if gates is None:
            gates = [{"gate": "floor", "measure": "nDCG@10", "at_least": 0.01}, {"gate": "max_loss", "measure": "nDCG@10", "at_most": 0.02}]
        if judgments is None:
            judgments = [(f"q{row['product_id']}", row["product_id"], 2) for row in asked]
        (folder / "suite.yaml").write_text(yaml.safe_dump({"measures": ["nDCG@10", "RR@10"], "gates": gates}))
        (folder / "queries.csv").write_text("query_id,query\n" + "".join(f"q{row['product_id']},{row['name']}\n" for row in asked))
        (folder / "judgments.csv").write_text("query_id,product_id,grade\n" + "".join(f"{q},{doc},{grade}\n" for q, doc, grade in judgments))

    def stage(self, model: str, **artifacts: str) -> int:
        """Registers a test model as the next version and moves it to Staging."""
        mlflow.set_tracking_uri(self.mlflow_uri)
        return self.stage_version(_logged(self.mlflow_uri, model, tuple(artifacts.items())))

    def stage_version(self, logged: ModelInfo) -> int:
        """Makes what was logged the model's next version and moves it to Staging."""
        client = MlflowClient(self.mlflow_uri)
        if not client.search_registered_models(f"name = '{self.model}'"):
            client.create_registered_model(self.model)
        version = client.create_model_version(self.model, source=logged.model_uri, model_id=logged.model_id).version
        client.transition_model_version_stage(self.model, version, "Staging", archive_existing_versions=True)
        return int(version)

    def stage_of(self, version: int) -> str:
        return MlflowClient(self.mlflow_uri).get_model_version(self.model, str(version)).current_stage

    def run(self, *words: str, **environment: str) -> Result:
        arguments = [*words, "--config", str(self.folder / "promotion.yaml")]
        return CliRunner().invoke(main, arguments, env=self.environment | environment)

    def do(self, *words: str, **environment: str) -> dict[str, Any]:
        """Runs a command that must succeed and gives its facts."""
        result = self.run(*words, "--json", **environment)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def build(self, model: str) -> str:
        self.stage(model)
        return self.do("build")["pair"]

    def promote(self, model: str) -> str:
        """Takes a test model all the way to production and gives its pair."""
        pair = self.build(model)
        self.do("validate", "--pair", pair)
        self.do("promote", "--pair", pair)
        return pair

    def production(self) -> str | None:
        return self.do("status")["production"]


@cache
def _logged(tracking_uri: str, model: str, artifacts: tuple[tuple[str, str], ...]) -> ModelInfo:
    """A test model, logged once per server: a version of it is then made in no time."""
    with mlflow.start_run():
        return mlflow.pyfunc.log_model(
            name=model, python_model=str(MODELS / f"{model}.py"), artifacts=dict(artifacts) or None, pip_requirements=["mlflow", "numpy"]
        )


def refusal(result: Result, exit_code: int) -> str:
    """The one line in which a command failed. Fails itself where there was a traceback, more than a line, or another exit code."""
    assert isinstance(result.exception, SystemExit), f"{result.exception!r}\n{result.output}"
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.exit_code == exit_code, f"{result.exit_code}: {result.output}"
    assert len(lines) == 1, result.output
    assert "Traceback" not in result.output
    return lines[0]
