"""Real validations, promotions and rollbacks, and what a chat hears of them."""

from __future__ import annotations

import pytest

from tests.chat import SECRET, chatting
from tests.shop import Shop, refusal

PIPELINE = {"CIRCLE_PIPELINE_ID": "p-17", "CIRCLE_BUILD_URL": "https://ci.test/17", "CIRCLE_USERNAME": "ann"}


@pytest.fixture(scope="module")
def shop(mlflow_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("told")
    return Shop(folder / "shop", str(folder / "milvus.db"), "", mlflow_server.uri)


def test_a_chat_hears_of_a_pairs_way_and_nothing_that_it_answers_matters(shop):
    """A release that is approved, a second one, a rollback and one that is refused: each heard of once, with the exit codes that they have anyway."""
    with chatting() as chat:
        told = PIPELINE | {"NOTIFY_URL": chat.url.get_secret_value()}

        def heads() -> list[str]:
            return [message["text"].splitlines()[0] for _, message in chat.got]

        shop.stage("words")
        pair = shop.do("build", **PIPELINE)["pair"]
        digest = shop.do("validate", **told)["digest"]
        assert heads() == [f"{pair} waits for approval"]
        assert f"approve {pair} --evidence {digest}" in chat.got[0][1]["text"]
        shop.do("promote", "--dry-run", **told)
        shop.do("promote", "--reason", "first <one>", **told)
        shop.do("promote", **told)  # again: done before
        assert heads()[1:] == [f"test_shop_prod now serves {pair}"]
        assert "first &lt;one&gt;" in chat.got[1][1]["text"] and "ann" in chat.got[1][1]["text"]
        refusal(shop.run("rollback", "--reason", "slow", **told), 4)
        assert heads()[2:] == ["The rollback did not come to its end"]
        assert "has no predecessor" in chat.got[2][1]["text"]

        chat.status = 500
        shop.stage("words")
        second = shop.do("build", "--build-id", "p-18")["pair"]
        shop.do("validate", "--pair", second)
        down = {"NOTIFY_URL": chat.url.get_secret_value()}
        promoted = shop.run("promote", "--pair", second, **down)
        refused = shop.run("promote", "--pair", pair, **down)
        back = shop.run("rollback", **down)
        assert [done.exit_code for done in (promoted, refused, back)] == [0, 4, 0]
        for done in (promoted, refused, back):
            assert "warning: nobody was notified: the server answered 500.\n" in done.stderr
            assert "warning" not in done.stdout and SECRET not in done.output
        assert heads()[3:] == [
            f"test_shop_prod now serves {second}",
            f"The promotion of {pair} did not come to its end",
            f"test_shop_prod now serves {pair} (rollback)",
        ]
        everything = str([message for _, message in chat.got])
        assert not any(secret in everything for secret in (SECRET, shop.mlflow_uri, shop.milvus_uri))


def test_a_chat_hears_why_the_gates_refused(shop):
    """Nobody is asked to approve."""
    shop.write_suite(gates=[{"gate": "floor", "measure": "nDCG@10", "at_least": 1.0}])
    shop.stage("initials")
    with chatting() as chat:
        told = PIPELINE | {"CIRCLE_PIPELINE_ID": "p-19", "NOTIFY_URL": chat.url.get_secret_value()}
        pair = shop.do("build", **told)["pair"]
        assert shop.run("validate", **told).exit_code == 1
        (text,) = [message["text"] for _, message in chat.got]
    assert text.startswith(f"{pair} was refused by its gates\n") and "nDCG@10" in text and "approve" not in text
    dropped = shop.do("discard", "--reason", "the gate refused it", **told)
    assert dropped["dropped"] == [pair]


def test_a_chat_hears_of_a_build_that_broke_off(shop):
    """A failed job sends no message of its own; the job after it does, and tells what is left. What was discarded was told before."""
    shop.write_suite()
    shop.stage("words")
    with chatting() as chat:
        told = PIPELINE | {"CIRCLE_PIPELINE_ID": "p-20", "NOTIFY_URL": chat.url.get_secret_value()}
        pair = shop.do("create", **told)["pair"]
        shop.do("discard", **told)
        shop.do("discard", "--dry-run", **told)
        (text,) = [message["text"] for _, message in chat.got]
        assert text.startswith("A release broke off before its approval")
        assert f"keep {pair}" in text and "https://ci.test/17" in text
        shop.do("embed", **told)
        shop.do("finish", **told)
        shop.do("validate", "--pair", pair)
        shop.do("discard", "--cancelled", **told)
        assert len(chat.got) == 1
