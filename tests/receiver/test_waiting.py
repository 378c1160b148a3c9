"""Copies, waiting and forgetting, on an event loop of the test's own."""

import asyncio
import threading

import pytest

from scripts.errors import Unreachable
from scripts.jobs.trigger import Outcome as Come
from scripts.jobs.trigger import Triggered
from scripts.ports import ModelVersion
from scripts.receiver import deliveries, starting
from scripts.receiver.answers import Answer, Outcome
from scripts.receiver.deliveries import Deliveries
from scripts.receiver.starting import Starts, TooMany


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Counted:
    """Starts that wait until they may go on, and how many ran at once."""

    def __init__(self, outcome: Come = Come.STARTED) -> None:
        self.outcome, self.begun, self.running, self.most = outcome, [], 0, 0
        self.go_on = threading.Event()

    def __call__(self, service: str, version: int, why: str) -> Triggered:
        self.begun.append((service, version))
        self.running += 1
        self.most = max(self.most, self.running)
        self.go_on.wait(30)
        self.running -= 1
        return Triggered(self.outcome, service, ModelVersion("m", version))


def test_the_same_version_is_started_once_at_a_time():
    """Everybody who asks meanwhile gets the one answer."""
    start = Counted()

    async def asked():
        starts = Starts(start)
        waiting = [asyncio.create_task(starts.start("shop", 1, "")) for _ in range(50)]
        await asyncio.sleep(0)
        start.go_on.set()
        return await asyncio.gather(*waiting)

    assert len({id(answer) for answer in asyncio.run(asked())}) == 1
    assert start.begun == [("shop", 1)]


def test_a_service_has_one_start_at_a_time_and_services_do_not_wait_for_each_other():
    """Five versions of one service one after the other, beside another service's."""
    start = Counted()

    async def asked():
        starts = Starts(start)
        waiting = [asyncio.create_task(starts.start("shop", version, "")) for version in range(1, 6)]
        waiting.append(asyncio.create_task(starts.start("other", 1, "")))
        while len(start.begun) < 2:
            await asyncio.sleep(0.001)
        start.go_on.set()
        await asyncio.gather(*waiting)

    asyncio.run(asked())
    assert start.most == 2 and len(start.begun) == 6
    assert {service for service, _ in start.begun[:2]} == {"shop", "other"}


@pytest.mark.parametrize(("outcome", "remembered"), [(Come.STARTED, True), (Come.FOUND, True), (Come.NOT_CANDIDATE, False)])
def test_a_pipeline_that_is_there_is_remembered_for_a_minute(outcome, remembered):
    """As found. That a version is not the candidate may change at any moment."""
    start, clock = Counted(outcome), Clock()
    start.go_on.set()

    async def asked():
        starts = Starts(start, clock=clock)
        first = await starts.start("shop", 1, "")
        second = await starts.start("shop", 1, "")
        clock.now = starting.REMEMBERED_S + 1
        await starts.start("shop", 1, "")
        return first, second

    first, second = asyncio.run(asked())
    assert first.outcome is outcome
    assert second.outcome is (Come.FOUND if remembered else outcome)
    assert len(start.begun) == (2 if remembered else 3)


def test_a_start_that_takes_too_long_goes_on_and_the_next_asker_gets_its_answer():
    """MLflow does not wait as long; its retry does."""
    start = Counted()

    async def asked():
        starts = Starts(start, answer_s=0.05)
        with pytest.raises(Unreachable, match="goes on"):
            await starts.start("shop", 1, "")
        start.go_on.set()
        while start.running:
            await asyncio.sleep(0.001)
        return await starts.start("shop", 1, "")

    assert asyncio.run(asked()).outcome in (Come.STARTED, Come.FOUND)
    assert start.begun == [("shop", 1)]


def test_only_so_many_starts_wait():
    """The next one is told to come again."""
    start = Counted()

    async def asked():
        starts = Starts(start)
        waiting = [asyncio.create_task(starts.start("shop", version, "")) for version in range(1, starting.MAX_WAITING + 1)]
        await asyncio.sleep(0)
        with pytest.raises(TooMany):
            await starts.start("shop", 9_999, "")
        start.go_on.set()
        await asyncio.gather(*waiting)

    asyncio.run(asked())


def test_a_failed_start_is_forgotten():
    """Whoever waited is told, and the next one tries anew."""
    calls = []

    def start(service: str, version: int, why: str) -> Triggered:
        calls.append(version)
        raise Unreachable("Nobody there.")

    async def asked():
        starts = Starts(start)
        for _ in range(2):
            with pytest.raises(Unreachable):
                await starts.start("shop", 1, "")

    asyncio.run(asked())
    assert calls == [1, 1]


def test_copies_of_a_delivery_share_its_answer_and_later_ones_are_refused():
    """Until its timestamp is too old anyhow; then it is forgotten."""
    clock, handled = Clock(), []

    async def handle():
        handled.append(1)
        await asyncio.sleep(0.01)
        return Answer(Outcome.STARTED)

    async def sent():
        copies = Deliveries(clock)
        together = await asyncio.gather(*(copies.once("a", handle) for _ in range(20)))
        later = await copies.once("a", handle)
        clock.now = deliveries.REMEMBERED_S + 1
        return together, later, await copies.once("a", handle)

    together, later, much_later = asyncio.run(sent())
    assert {answer.outcome for answer in together} == {Outcome.STARTED}
    assert later.outcome is Outcome.REPLAYED
    assert much_later.outcome is Outcome.STARTED and len(handled) == 2


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if not Answer(outcome).is_done])
def test_a_delivery_that_was_not_done_is_handled_anew(outcome):
    """MLflow's retry has the id of its first try."""
    handled = []

    async def handle():
        handled.append(1)
        return Answer(outcome)

    async def sent():
        copies = Deliveries()
        for _ in range(3):
            assert (await copies.once("a", handle)).outcome is outcome

    asyncio.run(sent())
    assert len(handled) == 3


def test_a_sender_that_hangs_up_ends_nothing():
    """What it asked for goes on, and its copy gets the answer."""
    async def sent():
        copies, go_on = Deliveries(), asyncio.Event()

        async def handle():
            await go_on.wait()
            return Answer(Outcome.STARTED)

        first = asyncio.create_task(copies.once("a", handle))
        await asyncio.sleep(0)
        second = asyncio.create_task(copies.once("a", handle))
        await asyncio.sleep(0)
        first.cancel()
        go_on.set()
        return await second

    assert asyncio.run(sent()).outcome is Outcome.STARTED


def test_no_more_deliveries_are_remembered_than_may(monkeypatch):
    """The oldest goes first."""
    monkeypatch.setattr(deliveries, "MAX_REMEMBERED", 100)

    async def handle():
        return Answer(Outcome.IGNORED)

    async def sent():
        copies = Deliveries()
        for number in range(1_000):
            await copies.once(str(number), handle)
        return len(copies._answered), (await copies.once("999", handle)).outcome, (await copies.once("1", handle)).outcome

    kept, newest, oldest = asyncio.run(sent())
    assert kept <= 101 and newest is Outcome.REPLAYED and oldest is Outcome.IGNORED
