"""What `--emit` writes, held against what the Milvus Operator and the Milvus chart were released with.

Their files are not the kit's, so they are not in its repository; the tests run where somebody has put them into one folder:

    cd .venv/milvus-deployments
    curl -LO https://raw.githubusercontent.com/zilliztech/milvus-operator/v1.3.8/config/crd/bases/milvus.io_milvuses.yaml
    curl -LO https://raw.githubusercontent.com/zilliztech/milvus-helm/milvus-5.0.19/charts/milvus/values.yaml

KIT_TEST_DEPLOYMENTS names another folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.capacity.operator_schema import MILVUS
from tests.capacity.test_emit import LARGE, SMALL, WAYS, emitted

FOLDER = Path(os.environ.get("KIT_TEST_DEPLOYMENTS", Path(sys.prefix) / "milvus-deployments"))
PLANS = [(*plan, *way) for plan in (SMALL, LARGE, (*SMALL, "--index", "DISKANN")) for way in WAYS]


CRD, VALUES = "milvus.io_milvuses.yaml", "values.yaml"

if not all((FOLDER / name).is_file() for name in (CRD, VALUES)):
    pytest.skip(f"{CRD} and {VALUES} are not in {FOLDER.name}; this file says where they come from", allow_module_level=True)


def release(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def crd() -> dict[str, Any]:
    """The schema of a resource of kind Milvus, v1beta1."""
    (found,) = (version for version in release(CRD)["spec"]["versions"] if version["name"] == "v1beta1")
    return found["schema"]["openAPIV3Schema"]


@pytest.fixture(scope="module")
def chart() -> dict[str, Any]:
    return release(VALUES)


def strays(written: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Keys that the schema does not know: a server drops them without a word."""
    known, free = schema.get("properties", {}), schema.get("additionalProperties")
    if schema.get("x-kubernetes-preserve-unknown-fields") or path == ".metadata":  # that one is Kubernetes' own
        return
    if isinstance(written, list):
        for each in written:
            yield from strays(each, schema["items"], path)
    elif isinstance(written, dict):
        for name, value in written.items():
            if name in known or isinstance(free, dict):
                yield from strays(value, known.get(name, free), f"{path}.{name}")
            else:
                yield f"{path}.{name}"


def unnamed(written: dict[str, Any], values: dict[str, Any], path: str = "") -> Iterator[str]:
    """Keys that the chart's values do not name. What is empty there is free."""
    for name, value in written.items():
        if name not in values:
            yield f"{path}.{name}"
        elif isinstance(value, dict) and values[name]:
            yield from unnamed(value, values[name] if isinstance(values[name], dict) else {}, f"{path}.{name}")


def allowed(ours: dict[str, Any]) -> Any:
    """A resource that has every key of our own words for the schema."""
    if "properties" in ours:
        return {name: allowed(part) for name, part in ours["properties"].items()}
    return ours.get("const", {} if ours.get("type") == "object" else 0)


@pytest.mark.parametrize("words", PLANS, ids=" ".join)
def test_the_operators_own_schema_takes_the_resource(crd, words):
    """Every type, and no key that it would drop."""
    made = emitted("operator", *words)
    jsonschema.Draft7Validator(crd).validate(made)
    assert list(strays(made, crd)) == []


def test_our_own_words_for_the_schema_name_only_what_it_has(crd):
    """The schema that every run of the tests holds the resource against has not aged."""
    assert list(strays(allowed(MILVUS), crd)) == []


@pytest.mark.parametrize("words", PLANS, ids=" ".join)
def test_the_chart_names_every_value(chart, words):
    """A key that it does not read would change nothing."""
    assert list(unnamed(emitted("helm", *words), chart)) == []


def test_a_key_that_nobody_knows_is_found(crd, chart):
    """Both checks can fail."""
    made, values = emitted("operator", *SMALL), emitted("helm", *SMALL)
    made["spec"]["components"]["standalone"]["replica"] = values["standalone"]["replica"] = 1
    assert list(strays(made, crd)) == [".spec.components.standalone.replica"]
    assert list(unnamed(values, chart)) == [".standalone.replica"]
