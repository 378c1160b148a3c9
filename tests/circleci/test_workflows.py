"""Every workflow of `.circleci/config.yml` as it stands: in clean checkouts, each context with its own role on a real Milvus, and a real MLflow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.circleci.api import StandIn
from tests.circleci.place import CONTEXTS, Place
from tests.circleci.repository import ROOT
from tests.circleci.runner import Crash, RunPipeline
from tests.circleci.workflow import RunWorkflow
from tests.shop import Shop, products

NEVER = {"promote": "not_run", "cleanup": "not_run"}
BUILT = {"create": "success", "embed": "success", "finish": "success", "validate": "success"}


@dataclass
class Service:
    """A shop with pairs in production, and the pipelines that were started for it."""

    place: Place
    shop: Shop
    before: list[str] = field(default_factory=list)
    """What was in production already, the latest last."""
    release: RunPipeline | None = None

    @property
    def name(self) -> str:
        return self.shop.folder.name

    def start(self, action: str, **parameters: Any) -> RunPipeline:
        return self.place.runner.start({"action": action, "service": self.name, **parameters})

    def pairs(self) -> dict[str, str]:
        """State by name."""
        return {pair["pair"]: pair["state"] for pair in self.shop.do("status")["pairs"]}

    def pair_of(self, pipeline: RunPipeline) -> str:
        (created,) = [line for line in _lines(pipeline.workflow("release"), "create") if line.startswith("Created ")]
        return created.split()[1].removesuffix(":")


@dataclass
class World:
    """Three services, each with a release that began as soon as it could: they share the machine, not their pairs."""

    place: Place
    circleci: StandIn
    approved: Service
    refused: Service
    crashed: Service
    gate: Path


@pytest.fixture(scope="module")
def world(module_milvus_server, mlflow_server, tmp_path_factory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("workflows")
    place = Place(folder, module_milvus_server, mlflow_server)
    (folder / "where").write_text(str(folder / "gate"))
    with place.runner, StandIn(place.runner) as circleci:
        services = {name: Service(place, place.shop(name)) for name in ("approved", "refused", "crashed")}
        for service in services.values():
            service.shop.configure(service=service.name, pipeline=circleci.section)
        place.commit()
        for service, model in ((services["crashed"], "held"), (services["refused"], "initials"), (services["approved"], "words")):
            service.before = [service.shop.promote("words") for _ in range(2 if model == "words" else 1)]
            service.shop.stage(model, **({"gate": str(folder / "where")} if model == "held" else {}))
            if model == "held":
                place.runner.crashes.append(Crash("embed", node=1, file="waiting"))
            service.release = service.start("release", **({"shards": 2} if model == "held" else {}))
        yield World(place, circleci, **services, gate=folder / "gate")


@pytest.fixture(scope="module")
def approved(world) -> Service:
    """A release up to its end, approved."""
    _approve(world.approved.release, "release", "hold")
    return world.approved


@pytest.fixture(scope="module")
def refused(world) -> Service:
    """A release up to its end, refused by the gate."""
    world.refused.release.workflow("release").wait()
    return world.refused


@pytest.fixture(scope="module")
def resumed(world) -> Service:
    """A release of two shards of which one crashed, rerun from failed, and approved after its workspace was gone."""
    service = world.crashed
    first = service.release.workflow("release")
    place = world.place
    place.runner.wait_for(lambda: not place.runner.crashes, 120, first.report)
    world.gate.touch()
    first.wait()
    again = first.rerun_from_failed()
    again.wait()
    service.release.workspace_expired = True
    _approve(service.release, "release", "hold")
    return service


def _approve(pipeline: RunPipeline, workflow: str, job: str) -> None:
    running = pipeline.workflow(workflow)
    assert running.wait() == "on_hold", running.report()
    pipeline.runner.approve(running.job(job).approval)
    running.wait()


def _lines(workflow: RunWorkflow, job: str) -> list[str]:
    return workflow.job(job).log().splitlines()


def test_a_release_that_is_approved_serves(approved):
    """Every job in turn, then the alias and MLflow's stage; the older predecessor is cleaned up, the last is kept for a rollback."""
    release = approved.release.workflow("release")
    assert release.statuses() == BUILT | {"hold": "success", "promote": "success", "cleanup": "success", "discard": "not_run", "discard-cancelled": "not_run"}, release.report()
    pair = approved.pair_of(approved.release)
    assert approved.shop.production() == pair
    assert approved.shop.stage_of(3) == "Production"
    assert approved.pairs() == {approved.before[-1]: "retired", pair: "production"}


def test_the_pair_says_which_pipeline_made_it(approved):
    """By its id, which a rerun shares, and by the page that shows it."""
    act = approved.shop.do("history")["acts"][0]
    assert "circleci.com/gh/acme/promotion/" in json.dumps(act), act


@pytest.mark.parametrize("verdict", ["pass", "fail"])
def test_who_approves_has_the_report_and_the_tests_tab(world, request, verdict):
    """As an artifact and as JUnit, also where the gate said no."""
    service = request.getfixturevalue("approved" if verdict == "pass" else "refused")
    validate = service.release.workflow("release").job("validate")
    assert "<html" in validate.artifacts["reports/report.html"].read_text()
    assert json.loads(validate.artifacts["reports/evidence.json"].read_text())["verdict"] == verdict
    suites = ElementTree.parse(validate.test_results["junit.xml"]).getroot()
    assert (len(suites.findall(".//failure")) > 0) is (verdict == "fail")
    assert len(suites.findall(".//testcase")) > 2


def test_each_job_sees_its_own_context_alone(approved, world):
    """What builds never holds what promotes, and the other way round."""
    held = {job.name: job.environments for job in approved.release.workflow("release").jobs if job.environments}
    role = {name: {env["MILVUS_TOKEN"].partition(":")[0] for env in environments} for name, environments in held.items()}
    assert role == dict.fromkeys(BUILT, {"ci_builder"}) | {"promote": {"ci_promoter"}, "cleanup": {"ci_janitor"}}
    secrets = [world.place.runner.contexts[name].environment["MILVUS_TOKEN"].partition(":")[2] for name in CONTEXTS]
    logs = "".join(job.log() for job in approved.release.workflow("release").jobs)
    assert not [secret for secret in secrets if secret in logs]
    assert "CIRCLECI_TOKEN" not in {name for environments in held.values() for environment in environments for name in environment}


def test_a_release_that_the_gate_refuses_leaves_nothing(refused):
    """Nobody is asked, its pair is dropped, and production is what it was."""
    release = refused.release.workflow("release")
    assert release.statuses() == BUILT | NEVER | {"validate": "failed", "hold": "not_run", "discard": "success", "discard-cancelled": "not_run"}, release.report()
    assert release.status == "failed"
    assert refused.pairs() == {refused.before[-1]: "production"}


@pytest.fixture(scope="module")
def reconciled(refused, world) -> RunPipeline:
    """What `reconcile` starts for a version that came to Staging unheard; it waits for its approval, and later does not get it."""
    refused.shop.stage("words")
    reconcile = world.place.runner.start({"action": "reconcile", "service": refused.name}, source="scheduled_pipeline", actor="scheduler")
    assert reconcile.wait() == {"reconcile": "success"}, reconcile.workflow("reconcile").report()
    release = world.place.runner.pipelines[-1].workflow("release")
    assert release.wait() == "on_hold", release.report()
    return release.pipeline


def test_reconcile_starts_the_release_of_which_nobody_was_told(refused, reconciled, world):
    """Through CircleCI's API, for the version that is in Staging; asked again, it finds that."""
    (asked,) = world.circleci.started
    assert (asked.id, asked.parameters["service"], asked.parameters["model_version"]) == (reconciled.id, refused.name, "3")
    again = refused.start("reconcile").workflow("reconcile")
    assert again.wait() == "success", again.report()
    assert "has a pair already" in again.job("reconcile").log()
    assert len(world.circleci.started) == 1


def test_without_an_approval_production_stays(refused, reconciled):
    """The pair waits, validated, and everything after the approval with it."""
    release = reconciled.workflow("release")
    assert release.statuses() == BUILT | {"hold": "on_hold", "promote": "blocked", "cleanup": "blocked", "discard": "blocked", "discard-cancelled": "blocked"}
    assert refused.pairs() == {refused.before[-1]: "production", refused.pair_of(reconciled): "validated"}


def test_a_scheduled_cleanup_leaves_what_may_still_be_approved(refused, reconciled):
    """And ends well; it starts from a schedule, which has no hand in it."""
    asked = {"action": "cleanup", "service": refused.name}
    cleanup = refused.place.runner.start(asked, source="scheduled_pipeline", actor="scheduler")
    assert cleanup.wait() == {"cleanup": "success"}, cleanup.workflow("cleanup").report()
    assert refused.pairs() == {refused.before[-1]: "production", refused.pair_of(reconciled): "validated"}


def test_a_release_that_is_cancelled_at_its_approval_leaves_nothing(refused, reconciled):
    """Its pair is dropped, and production is what it was."""
    release = reconciled.workflow("release")
    release.job("hold").cancel()
    release.wait()
    assert release.statuses() == BUILT | NEVER | {"hold": "canceled", "discard": "not_run", "discard-cancelled": "success"}, release.report()
    assert refused.pairs() == {refused.before[-1]: "production"}


def test_after_a_crash_in_one_shard_the_rerun_goes_on_with_the_same_pair(resumed):
    """What the other shard wrote is kept, what `discard` left is there, and production gets every row."""
    first, again = resumed.release.workflows
    assert first.statuses()["embed"] == "failed", first.report()
    assert first.statuses()["discard"] == "success", first.report()
    assert any("rerun from failed" in line for line in _lines(first, "discard"))
    assert again.job("create") is first.job("create")
    assert "embedded 0," in again.job("embed").log(0), again.job("embed").log(0)
    status = resumed.shop.do("status")
    pair = resumed.pair_of(resumed.release)
    assert status["production"] == pair
    assert [(found["pair"], found["rows"]) for found in status["pairs"] if found["state"] == "production"] == [(pair, len(products()))]
    for row in products()[::40]:
        assert resumed.shop.do("search", row["name"], "--limit", "1")["hits"][0]["key"] == row["product_id"]


def test_promote_needs_no_workspace(resumed):
    """It was gone before the approval."""
    again = resumed.release.workflow("release")
    assert again.statuses() == BUILT | {"hold": "success", "promote": "success", "cleanup": "success", "discard": "not_run", "discard-cancelled": "not_run"}, again.report()


def test_a_rollback_goes_back_and_keeps_the_reason_as_it_was_given(resumed, tmp_path):
    """Quotes and commands in it are letters; a second line is refused, and production stays."""
    reason = "it's \"bad\" $(touch {0}) `touch {0}`; touch {0} & \\ <b> --dry-run".format(tmp_path / "pwned")
    refused = resumed.start("rollback", reason=f"{reason}\ntouch {tmp_path / 'pwned'}")
    assert refused.wait() == {"rollback": "failed"}
    assert refused.workflow("rollback").job("rollback").steps[-1].lines == ["error: --reason takes one line of at most 500 printable characters."]
    assert resumed.shop.production() == resumed.pair_of(resumed.release)

    rollback = resumed.start("rollback", reason=reason)
    assert rollback.wait() == {"rollback": "success"}, rollback.workflow("rollback").report()
    assert resumed.shop.production() == resumed.before[-1]
    assert resumed.shop.do("history")["acts"][0]["why"] == reason
    assert not (tmp_path / "pwned").exists()


def test_a_rollback_may_ask_somebody_first_and_go_to_a_named_pair(resumed):
    """Until then production stays."""
    back = resumed.shop.production()
    pair = resumed.pair_of(resumed.release)
    rollback = resumed.start("rollback", confirm=True, target=pair, reason="it was the data")
    assert rollback.wait() == {"rollback-confirmed": "on_hold"}
    assert resumed.shop.production() == back
    _approve(rollback, "rollback-confirmed", "confirm")
    assert rollback.workflow("rollback-confirmed").status == "success", rollback.workflow("rollback-confirmed").report()
    assert resumed.shop.production() == pair


@pytest.mark.parametrize("service", ["x; touch {}", "$(touch {})", "../approved", "a\nb"])
def test_a_service_that_is_no_name_does_nothing_but_fail(world, tmp_path, service):
    """In one line, before any command of the kit runs."""
    pipeline = world.place.runner.start({"action": "rollback", "service": service.format(tmp_path / "pwned")})
    assert pipeline.wait() == {"rollback": "failed"}
    (job,) = pipeline.workflow("rollback").jobs
    assert job.steps[-1].lines == ["The parameter service may have letters, digits, _ and - only."]
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("version", ["7; rm -rf x", "--help"])
def test_a_version_that_is_no_number_does_nothing_but_fail(world, version):
    """In one line; there is no pair afterwards."""
    before = world.approved.pairs()
    pipeline = world.approved.start("release", model_version=version)
    release = pipeline.workflow("release")
    release.wait()
    assert release.statuses() == dict.fromkeys((*BUILT, "hold"), "not_run") | NEVER | {"create": "failed", "discard": "success", "discard-cancelled": "not_run"}, release.report()
    last = release.job("create").steps[-1].lines
    assert "is not a valid int" in last[-1], last
    assert world.approved.pairs() == before


def test_who_may_not_promote_may_not_roll_back_either(approved, world):
    """The context is restricted, so the job is unauthorized and production is what it was."""
    before = approved.shop.production()
    rollback = world.place.runner.start({"action": "rollback", "service": approved.name}, actor="mallory")
    assert rollback.wait() == {"rollback": "unauthorized"}
    assert approved.shop.production() == before


def test_a_wrong_parameter_starts_nothing(world):
    """Not a workflow begins."""
    for wrong in ({"action": "destroy"}, {"action": "release", "serivce": "shop"}, {"action": "release", "shards": "2; ls"}):
        pipeline = world.place.runner.start(wrong)
        assert (pipeline.state, pipeline.workflows) == ("errored", [])


def test_every_workflow_is_run_here():
    """A new one needs a scenario above; the checks are those that run these tests."""
    workflows = yaml.safe_load((ROOT / ".circleci" / "config.yml").read_text())["workflows"]
    assert set(workflows) == {"release", "rollback", "rollback-confirmed", "cleanup", "reconcile", "checks"}
