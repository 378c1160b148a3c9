"""`approve`: what waits, what it rests on, and the yes to it; on a real Milvus, with a stand-in for CircleCI's API."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from scripts.adapters.milvus import MilvusStore
from scripts.evidence import Evidence
from scripts.pair import Stamp
from tests.circleci.api import TOKEN, StandIn
from tests.circleci.faults import ACCEPTS_AND_CLOSES, DENIED, Fault
from tests.circleci.still import Job
from tests.shop import Shop, refusal


@dataclass
class Waiting:
    """A shop, its first pair in production, and a second one whose pipeline waits."""

    shop: Shop
    circleci: StandIn
    production: str
    pair: str
    pipeline: str
    job: Job
    before: dict[str, str]
    """The second pair's stamp."""

    def run(self, *words: str, **environment: str):
        return self.shop.run("approve", *words, **self.circleci.environment | environment)

    def refused(self, *words: str, exit_code: int = 4, **environment: str) -> str:
        told = refusal(self.run(*words, **environment), exit_code)
        assert self.job.status == "on_hold"
        return told

    def listed(self) -> dict:
        (found,) = self.shop.do("approve", **self.circleci.environment)["waiting"]
        return found

    def stamp(self, pair: str = "", **values: str) -> None:
        """As another version of the kit, another machine or time would have left it."""
        with MilvusStore(self.shop.milvus_uri, "") as store:
            store.set_properties(pair or self.pair, {f"promotion.{name}": value for name, value in values.items()})

    def restore(self) -> None:
        with MilvusStore(self.shop.milvus_uri, "") as store:
            store.set_properties(self.pair, self.before)

    def with_evidence(self, **changes: object) -> str:
        """Stamps the pair with evidence that differs in this from its own, and gives its digest."""
        stamped = Evidence.model_validate_json(Stamp.read(self.pair, self.before).evidence).model_copy(update=changes)
        self.stamp(evidence=stamped.model_dump_json(), evidence_digest=stamped.digest)
        return stamped.digest


@pytest.fixture(scope="module")
def built(tmp_path_factory, mlflow_server) -> tuple[Shop, str, str, str, dict[str, str]]:
    """Built once: what a test changes is put back after it."""
    folder = tmp_path_factory.mktemp("approve")
    shop = Shop(folder, str(folder / "milvus.db"), "", mlflow_server.uri)
    production, pipeline = shop.promote("initials"), str(uuid.uuid4())
    shop.stage("words")
    environment = {"CIRCLE_PIPELINE_ID": pipeline, "CIRCLE_BUILD_URL": "https://circleci.com/gh/acme/promotion/41"}
    pair = shop.do("build", **environment)["pair"]
    shop.do("validate", "--pair", pair, **environment)
    with MilvusStore(shop.milvus_uri, "") as store:
        return shop, production, pair, pipeline, store.properties(pair)


@pytest.fixture
def world(built) -> Iterator[Waiting]:
    shop, production, pair, pipeline, before = built
    with StandIn() as circleci:
        shop.configure(pipeline=circleci.section)
        found = Waiting(shop, circleci, production, pair, pipeline, circleci.still.hold(pipeline), before)
        yield found
        found.restore()


def test_what_waits_is_shown_with_all_that_a_yes_rests_on(world):
    """Pair, model version, verdict, measures beside production's, evidence, until when, and where. Nothing is approved by it."""
    result = world.run()
    assert result.exit_code == 0, result.output
    digest = Stamp.read(world.pair, world.before).evidence_digest
    for told in (
        f"{world.pair} (model {world.shop.model} version 2) waits: hold",
        "verdict pass: ",
        "nDCG@10 ",
        f"compared with {world.production}",
        f"evidence {digest}",
        "validated 0.0 hours ago; too old after ",
        "the evidence still holds",
        f"report, and a button for it: {world.circleci.url}/pipelines/gh/acme/promotion/",
        "built by https://circleci.com/gh/acme/promotion/41",
        "the restricted context of the job `promote`",
    ):
        assert told in result.stdout, result.stdout
    facts = world.listed()
    assert (facts["pair"], facts["pipeline"], facts["evidence"], facts["problem"]) == (world.pair, world.pipeline, digest, "")
    assert facts["means"].keys() == facts["production_means"].keys() == {"nDCG@10", "RR@10"}
    assert world.job.status == "on_hold" and "approve" not in [call.operation for call in world.circleci.calls]


def test_where_nothing_waits_that_is_said(world):
    """A pair without a pipeline, such as one that was built by hand, is not asked about."""
    world.job.status = "success"
    result = world.run()
    assert (result.exit_code, result.stdout) == (0, "Nothing waits for approval.\n")
    assert world.pipeline in str([call.path for call in world.circleci.calls])


def test_a_yes_is_given_once(world):
    """To what was seen; the second one finds that nothing waits any more."""
    digest = world.listed()["evidence"]
    facts = world.shop.do("approve", world.pair, "--evidence", digest, **world.circleci.environment)
    assert (facts["approved"], facts["evidence"]) == (True, digest)
    assert world.job.status == "success"
    again = refusal(world.run(world.pair), 4)
    assert f"Nothing waits for approval in the pipeline of {world.pair} (https://circleci.com/gh/acme/promotion/41)." in again


def test_without_a_digest_the_stamped_one_is_approved_and_told(world):
    """And that others may approve as well."""
    result = world.run(world.pair)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"Approved {world.pair} on evidence {Stamp.read(world.pair, world.before).evidence_digest}.")
    assert "Whoever may push to the repository can approve" in result.stdout


def test_other_evidence_than_was_seen_is_not_approved(world):
    """Whoever looked at an earlier validation has not seen this one."""
    assert "Evidence 0123456789ab was approved, but " in world.refused(world.pair, "--evidence", "0123456789ab")
    seen = Stamp.read(world.pair, world.before).evidence_digest
    world.with_evidence(queries=1)
    assert f"Evidence {seen[:12]} was approved, but " in world.refused(world.pair, "--evidence", seen)


def test_production_needs_no_approval(world):
    """So that whoever repeats an approval that has led to production is not refused."""
    result = world.run(world.production)
    assert (result.exit_code, result.stdout) == (0, f"{world.production} is production already: nothing is left to approve.\n")


@pytest.mark.parametrize("days", [15, -2])
def test_evidence_that_is_too_old_is_not_approved(world, days):
    """After 15 days, and where a clock is wrong."""
    judged_at = datetime.now(UTC) - timedelta(days=days)
    world.with_evidence(judged_at=judged_at)
    told = "15.0 days old; promotion.approval_max_age_days is 14" if days > 0 else "some machine's clock is wrong"
    assert told in world.refused(world.pair)
    assert told in world.listed()["problem"]
    assert f"too old after {judged_at + timedelta(days=14):%Y-%m-%d}" in world.run().stdout


def test_evidence_of_another_production_is_not_approved(world):
    """It was compared with a pair that nobody sees any more."""
    world.with_evidence(production="test_shop_v1_00000000")
    told = f"production was test_shop_v1_00000000, is {world.production}"
    assert told in world.refused(world.pair)
    assert told in world.listed()["problem"]
    assert f"WOULD BE REFUSED: {world.pair} was validated in another world: {told}" in world.run().stdout


@pytest.mark.parametrize(("pipeline", "told"), [("", "was validated by hand"), ("another", "was validated in pipeline another")])
def test_evidence_that_the_pipeline_did_not_make_is_not_approved(world, pipeline, told):
    """Its `promote` would refuse it, after the yes."""
    world.with_evidence(pipeline=pipeline)
    assert told in world.refused(world.pair)
    assert told in world.listed()["problem"]


def test_evidence_that_was_tampered_with_is_not_approved(world):
    """It is listed, so that somebody sees it."""
    world.stamp(evidence_digest="0" * 64)
    assert "is not what its digest 000000000000 was made of" in world.refused(world.pair)
    assert "is not what its digest" in world.listed()["problem"]


def test_a_pair_that_was_rejected_since_is_not_approved(world):
    """Nor one that has to be validated again."""
    world.stamp(state="rejected")
    assert "was rejected by its golden queries" in world.refused(world.pair)
    world.stamp(state="built")
    assert "is built, not validated" in world.refused(world.pair)
    assert "not validated" in world.listed()["problem"]


def test_a_pair_that_had_its_turn_does_not_wait(world):
    """It served after its validation; whatever waits there is not for that any more."""
    world.stamp(retired_at=datetime.now(UTC).isoformat(), promoted_at=datetime.now(UTC).isoformat())
    assert world.run().stdout == "Nothing waits for approval.\n"


def test_rows_that_are_lost_are_noticed_before_the_yes(world):
    """The true number is counted, which the list does not do."""
    world.stamp(**{"content.rows": "151"})
    assert world.listed()["problem"] == ""
    assert "the row count was 151, is 150" in world.refused(world.pair)


def test_several_jobs_that_wait_are_not_guessed_at(world):
    """One of them may be something else; the same one in a workflow that was run again is not, and the newest counts."""
    other = world.circleci.still.hold(world.pipeline, job="hold-rollback")
    told = world.refused(world.pair)
    assert "several jobs wait: hold-rollback at " in told and ", hold at " in told
    other.name = "hold"
    assert world.run(world.pair).exit_code == 0
    assert (other.status, world.job.status) == ("success", "on_hold")


def test_whoever_may_not_approve_is_told_so(world):
    """In one line, without the token; so is who has none, and a wrong one."""
    world.circleci.misbehave(DENIED, on="approve")
    assert "may not approve hold of gh/acme/promotion (403)" in world.refused(world.pair, exit_code=5)
    assert "CIRCLECI_TOKEN is not set." in world.refused(world.pair, exit_code=2, CIRCLECI_TOKEN="")
    told = world.refused(exit_code=5, CIRCLECI_TOKEN="CCIPAT_fake_other")
    assert "(401)" in told and "CCIPAT_fake_other" not in told


def test_the_token_is_in_nothing_that_is_told(world):
    """Neither in lists nor in failures, whatever CircleCI answers."""
    echo = Fault(400, b'{"message": "what is %s?"}' % TOKEN.encode())
    world.circleci.misbehave(echo, on="approve")
    outputs = [world.run(), world.run("--json"), world.run(world.pair)]
    world.circleci.misbehave(echo, on="workflows")
    outputs += [world.run(), world.run(world.pair)]
    assert [result.exit_code for result in outputs] == [0, 0, 4, 4, 0]
    assert TOKEN not in "".join(result.output for result in outputs)


def test_an_approval_that_may_have_arrived_is_not_called_lost(world):
    """The line is cut after CircleCI took it: the same command says that nothing waits."""
    world.circleci.misbehave(ACCEPTS_AND_CLOSES, on="approve")
    assert "It is not known whether hold was approved" in refusal(world.run(world.pair), 5)
    assert "Nothing waits for approval" in refusal(world.run(world.pair), 4)


def test_a_service_without_a_project_says_so(world):
    """One line that names the setting."""
    world.shop.configure()
    assert "Set pipeline: {project: gh/…/…}" in world.refused(world.pair, exit_code=2)
    assert "Set pipeline: {project: gh/…/…}" in world.refused(exit_code=2)


def test_words_that_make_no_sense_are_refused(world):
    """A pair that does not exist, a name that is none, and a digest of nothing."""
    assert "There is no pair test_shop_v9_00000000" in world.refused("test_shop_v9_00000000")
    assert "is not the name of a pair" in world.refused("sofa", exit_code=2)
    assert "--evidence goes with the pair" in world.run("--evidence", "0123").output
