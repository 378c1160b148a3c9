"""MLflow's runs, each found again by its tag: one per pair, and one per promotion, rollback and cleanup."""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, LifecycleStage, Metric, Param, Run, RunStatus, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_LOGGED_ARTIFACTS, MLFLOW_RUN_NOTE

from scripts.adapters.mlflow_connection import connect, refuse_silent, sqlite_folder, translated
from scripts.errors import Unreachable
from scripts.run_record import Row, RunRecord, Used

LAST = "promotion.last_logged"

# MLflow's limits (3.17); older servers take values of 500 and 5,000 characters, and refuse longer ones.
_PARAM_CHARS, _TAG_CHARS, _DIGEST_CHARS = 500, 5_000, 36
_NOT_IN_NAMES = re.compile(r"[^/\w.\- ]", re.ASCII)
_COLUMN_TYPES = {bool: "boolean", int: "long", float: "double"}


class MlflowRuns:
    """Implements ports.Runs. Raises Unreachable, when made, if nothing answers at the address."""

    def __init__(self, uri: str, experiment: str) -> None:
        self._uri = uri
        self._name = experiment
        self._client = connect(uri)

    def log(self, record: RunRecord) -> str:
        """Metrics get another point, at the record's time; files and tables are replaced. A param keeps its first value for good, as MLflow wants
        it; another one becomes a tag of that name."""
        refuse_silent(self._uri)  # nothing depends on a run, so nobody waits for it
        with translated(self._uri, f"the run of {record.run.name}"):
            run = self._run(record)
            id = run.info.run_id
            fixed, moved = _params(record, run)
            tables = dict(record.tables) | {f"used_{_file_name(used.name)}.json": used.table for used in record.used if used.table}
            self._client.log_batch(id, metrics=_metrics(record), params=fixed, tags=[*moved, *_tags(record, run, tables)])
            if record.used:
                self._client.log_inputs(id, datasets=[_input(used) for used in record.used])
            self._log_files(id, record, tables)
            self._client.set_terminated(id, RunStatus.to_string(RunStatus.FINISHED), end_time=_millis(record.at))
        return id

    def _run(self, record: RunRecord) -> Run:
        experiment = self._experiment()
        key = record.run
        found = self._client.search_runs([experiment], f"tags.`{key.tag}` = '{key.value}'", max_results=1, order_by=["attributes.start_time ASC"])
        if found:
            return found[0]
        return self._client.create_run(experiment, start_time=_millis(record.at), tags={key.tag: key.value}, run_name=key.name)

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(self._name)
        if found is None:
            return self._new_experiment()
        if found.lifecycle_stage != LifecycleStage.ACTIVE:
            raise Unreachable(
                f"The MLflow experiment {self._name} is deleted.", hint=f"Restore it: mlflow experiments restore --experiment-id {found.experiment_id}."
            )
        return found.experiment_id

    def _new_experiment(self) -> str:
        """Its files go beside an embedded database; left to itself MLflow would put them into the working directory's `mlruns`."""
        folder = sqlite_folder(self._uri)
        try:
            return self._client.create_experiment(self._name, artifact_location=(folder.resolve() / "artifacts" / "runs").as_uri() if folder else None)
        except MlflowException:
            found = self._client.get_experiment_by_name(self._name)  # another job was faster
            if found is None:
                raise
            return found.experiment_id

    def _log_files(self, run: str, record: RunRecord, tables: Mapping[str, Sequence[Row]]) -> None:
        """In a folder of the record's kind. All at once, because each call asks MLflow where its files are."""
        contents = dict(record.files) | {name: _table(rows) for name, rows in tables.items()}
        if not contents:
            return
        with tempfile.TemporaryDirectory() as aside:
            for name, content in contents.items():
                (Path(aside) / name).write_text(content, encoding="utf-8", errors="backslashreplace")
            self._client.log_artifacts(run, aside, record.kind)


def _metrics(record: RunRecord) -> list[Metric]:
    at = _millis(record.at)
    return [Metric(_metric_name(name), float(value), at, 0) for name, value in record.metrics.items() if math.isfinite(value)]


def _metric_name(name: str) -> str:
    """MLflow takes letters, digits and `_-. /`: nDCG@10 is nDCG_at_10."""
    return _NOT_IN_NAMES.sub("_", name.replace("@", "_at_"))


def _params(record: RunRecord, run: Run) -> tuple[list[Param], list[RunTag]]:
    """Those that the run has not yet, and as tags those that it has with another value."""
    there = run.data.params
    wanted = {name: value[:_PARAM_CHARS] for name, value in record.params.items()}
    return (
        [Param(name, value) for name, value in wanted.items() if name not in there],
        [RunTag(name, value) for name, value in wanted.items() if there.get(name, value) != value],
    )


def _tags(record: RunRecord, run: Run, tables: Mapping[str, Sequence[Row]]) -> list[RunTag]:
    tags = dict(record.tags) | {LAST: f"{record.kind} {record.at.isoformat(timespec='seconds')}", MLFLOW_LOGGED_ARTIFACTS: _known_tables(record, run, tables)}
    if record.summary:
        tags[MLFLOW_RUN_NOTE] = record.summary
    return [RunTag(name, value[:_TAG_CHARS]) for name, value in tags.items()]


def _known_tables(record: RunRecord, run: Run, tables: Mapping[str, Sequence[Row]]) -> str:
    """MLflow's own list of what it can show as a table and `mlflow.load_table` reads."""
    known = json.loads(run.data.tags.get(MLFLOW_LOGGED_ARTIFACTS, "[]"))
    ours = [{"path": f"{record.kind}/{name}", "type": "table"} for name in tables]
    return json.dumps([*known, *(table for table in ours if table not in known)])


def _table(rows: Sequence[Row]) -> str:
    """As MLflow's log_table writes it, which would append to what is there."""
    columns = list(rows[0]) if rows else []
    return json.dumps({"columns": columns, "data": [[_cell(row[column]) for column in columns] for row in rows]}, ensure_ascii=False, default=str)


def _cell(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _input(used: Used) -> DatasetInput:
    source_type, source = _source(used.source)
    dataset = Dataset(
        name=used.name,
        digest=used.digest[:_DIGEST_CHARS],
        source_type=source_type,
        source=json.dumps(source),
        schema=json.dumps({"mlflow_colspec": _columns(used.table)}) if used.table else None,
        profile=json.dumps({"num_rows": len(used.table)}) if used.table else None,
    )
    return DatasetInput(dataset, tags=[InputTag(MLFLOW_DATASET_CONTEXT, used.context)])


def _source(address: str) -> tuple[str, dict[str, Any]]:
    """As MLflow's own dataset sources describe themselves."""
    scheme = address.partition("://")[0].lower() if "://" in address else "file"
    if scheme in ("http", "https"):
        return "http", {"url": address}
    return "local" if scheme == "file" else scheme, {"uri": address}


def _columns(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"name": name, "type": _COLUMN_TYPES.get(type(value), "string"), "required": True} for name, value in rows[0].items()]


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.\-]", "_", name)


def _millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
