"""From an alias in MLflow to production in Milvus, with no hand but the approver's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mlflow import MlflowClient

from tests.shop import refusal
from tests.whole_path import SECRET, WholePath


@pytest.fixture(scope="module")
def path(module_milvus_server, tmp_path_factory) -> Iterator[WholePath]:
    with WholePath(tmp_path_factory.mktemp("whole"), module_milvus_server) as path:
        yield path


def test_a_model_that_reaches_staging_is_in_production_after_one_approval(path):
    """`set_registered_model_alias(…, "staging", …)`, then a real webhook, receiver, pipeline and approval; nothing else is done by hand."""
    shop, token = path.shop, path.circleci.environment
    registered = shop.run("webhook", "register", path.receiver.url, "--json", WEBHOOK_SECRET=SECRET, **token)
    assert registered.exit_code == 0, registered.output
    version = path.registered("words")
    path.staged(version)

    release = path.pipeline(1).workflow("release")
    assert release.wait() == "on_hold", release.report()
    (waits,) = shop.do("approve", **token)["waiting"]
    assert (waits["model"]["version"], waits["verdict"]) == (version, "pass")
    assert shop.do("status")["production"] is None
    shop.do("approve", waits["pair"], "--evidence", waits["evidence"], **token)

    assert release.wait() == "success", release.report()
    assert shop.do("status")["production"] == waits["pair"]
    assert MlflowClient(path.mlflow.uri).get_model_version_by_alias(shop.model, "production").version == str(version)
    assert len(path.runner.pipelines) == 1
    assert SECRET not in path.receiver.log()


def test_the_same_event_again_starts_nothing(path):
    """Moving the alias away and back sends it again, as does a second webhook."""
    version = path.registered("words")
    path.staged(version)
    release = path.pipeline(2).workflow("release")
    path.staged(version)
    assert release.wait() == "on_hold", release.report()
    path.staged(version)
    assert path.shop.do("reconcile", **path.circleci.environment)[0]["outcome"] == "found"
    assert len(path.runner.pipelines) == 2


def test_whose_approval_is_cancelled_leaves_nothing_behind(path):
    """The pair is dropped, production stays, and nothing can be promoted any more."""
    before = path.shop.do("status")["production"]
    release = path.pipeline(2).workflow("release")
    release.job("hold").cancel()
    release.wait()
    status = path.shop.do("status")
    assert status["production"] == before
    assert [pair["pair"] for pair in status["pairs"]] == [before]
    refusal(path.shop.run("promote", CIRCLE_PIPELINE_ID=path.pipeline(2).id), 4)
