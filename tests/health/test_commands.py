"""`health`, `ensure-loaded` and `compact` as they are typed: odd numbers, odd clusters, and what happens beside a turn of the sidecar. No server is asked."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from scripts import console
from scripts.adapters.milvus.connection import NotPermitted
from scripts.adapters.milvus.inspection import MilvusInspection
from scripts.adapters.milvus.upkeep import MilvusUpkeep
from scripts.endings import Commands
from scripts.errors import UsageError
from scripts.health.seen import Because
from scripts.health_commands import health
from scripts.jobs import ensure_loaded as job
from scripts.upkeep_commands import compact, ensure_loaded
from tests.health.world import RETIRED
from tests.test_pair import stamp

GROUP = Commands("kit", commands={"health": health, "ensure-loaded": ensure_loaded, "compact": compact})
NOBODY = "http://127.0.0.1:9"
CONFIG = "service: shop\nmodel: {name: m}\ngolden: golden\nsource: {uri: products.jsonl, key: id, text: '{name}'}\n"


def run(*words: str, **environment: str):
    return CliRunner().invoke(GROUP, words, env={"MILVUS_URI": NOBODY} | environment)


@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf", "1e300", "0", "0.5", "ten"])
def test_what_is_no_number_of_seconds_is_refused_as_such(seconds):
    """Before anything is asked, and in words of the command line."""
    for words in (["health", "--timeout"], ["health", "--watch"], ["ensure-loaded", "--every"], ["ensure-loaded", "--timeout"], ["compact", "x", "--timeout"]):
        ended = run(*words, seconds)
        assert ended.exit_code == 2 and f"Invalid value for '{words[-1]}'" in ended.output, ended.output


def test_one_cluster_that_cannot_be_hides_no_other(tmp_path):
    """A path that no file can have, and a folder that is not ours, are no milvus-lite files; files for TLS are for the addresses that use it."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    uris = ["x" * 300 + ".db", "closed/x.db", NOBODY]
    file = tmp_path / "clusters.yaml"
    file.write_text(json.dumps({"clusters": [{"name": f"c{number}", "uri": uri} for number, uri in enumerate(uris)]}))
    ended = run("health", "--clusters", str(file), "--json", MILVUS_CA_PEM_PATH="ca.pem")
    assert ended.exit_code == 5, ended.output
    failures = [cluster["failure"] for cluster in json.loads(ended.stdout)["clusters"]]
    assert "no milvus-lite file" in failures[0] and "no milvus-lite file" in failures[1] and "Nothing answers" in failures[2]


def test_a_collection_that_may_not_be_described_is_one_that_is_not_known():
    """Newer servers ask for a grant: the cluster is not lost for it, and what lacks is named."""
    with MilvusInspection(NOBODY) as inspection:

        def denied(name):
            raise NotPermitted("no", privilege="DescribeCollection")

        inspection._look = denied
        (gap,) = inspection.look("somebody_elses").unknown
    assert gap.because is Because.NOT_PERMITTED and "DescribeCollection" in gap.why


@pytest.mark.parametrize("words, seconds", [([], 3_600), (["--every", "1"], 30), (["--every", "60"], 60), (["--every", "60", "--timeout", "5"], 5)])
def test_a_turn_of_the_sidecar_waits_no_longer_than_its_pause(monkeypatch, tmp_path, words, seconds):
    """Or half a minute: while it waits for a predecessor that cannot be loaded, it does not see that production was released."""
    waited = []

    def stand_in(kit, upkeep, *, within, tell):
        waited.append(within)
        raise UsageError("ends the loop")

    monkeypatch.setattr(job, "ensure_loaded", stand_in)
    config = tmp_path / "promotion.yaml"
    config.write_text(CONFIG)
    assert run("ensure-loaded", *words, "--config", str(config)).exit_code == 2
    assert waited == [seconds]


@pytest.mark.parametrize("after", [0, 1])
def test_what_is_dropped_while_it_is_loaded_is_passed_over(tmp_path, monkeypatch, after):
    """Whoever took the alias away and dropped it had a reason; before it was first looked at, or while it was waited for."""

    class Beside(MilvusUpkeep):
        asked = 0

        def loading(self, collection):
            if self.asked == after:
                store.withdraw("shop_try")
                store.drop(collection)
            self.asked += 1
            return super().loading(collection)

        def begin_loading(self, collection):
            pass  # takes its time

    config = tmp_path / "promotion.yaml"
    config.write_text(CONFIG)
    monkeypatch.setenv("MILVUS_URI", str(tmp_path / "milvus.db"))
    with console.opened(config) as kit:
        store = kit.store
        store.create(RETIRED, stamp().layout, stamp().properties())
        store.point("shop_try", RETIRED)
        result = job.ensure_loaded(kit, Beside(store), within=60)
    assert (result.collections, result.exit_code) == ((), 0)
