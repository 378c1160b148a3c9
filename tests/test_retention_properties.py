"""Whatever is done to a service, production and the promised way back survive every cleanup."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from scripts.adapters.milvus import MilvusStore
from scripts.catalogue import Entry
from scripts.errors import Refused
from scripts.retention import Policy
from tests.conftest import ROOT
from tests.retention_world import ALIAS, Dictionaries, World, kept, way_back

# Failing examples are kept where pytest keeps what it remembers: `make clean` removes both.
set_hypothesis_home_dir(ROOT / ".pytest_cache" / "hypothesis")

# Wrong clocks of every kind: by minutes, as machines are, and by years, as a machine without a battery is.
MINUTES = st.integers(-29, 29).map(lambda minutes: timedelta(minutes=minutes))
CLOCKS = st.one_of(MINUTES, MINUTES, st.sampled_from([-1_000, -10, -1, 1, 10, 1_000]).map(lambda days: timedelta(days=days)))
POLICIES = st.builds(
    Policy,
    keep_days=st.sampled_from([0, 0.5, 7, 30]),
    keep_previous=st.integers(0, 4),
    keep_loaded=st.integers(0, 4),
    approval_days=st.sampled_from([0.01, 3, 14]),
)
CRASHES = st.sampled_from([4, 4, 4, 3, 2, 1, 0])
WHICH = st.integers(0, 30)


def is_sound(entry: Entry) -> bool:
    """It has been production, was not taken out of it by a rollback, and holds what it is stamped with."""
    stamp = entry.stamp
    return stamp.has_served and not entry.is_production and not stamp.rolled_back and stamp.read_content is not None


class Service(RuleBasedStateMachine):
    """Anybody may do anything at any time; what the kit refuses does not happen."""

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()
        folder = Path(self._open.enter_context(tempfile.TemporaryDirectory()))
        self.world = World(self.store(folder), folder)
        self.promised: list[str] = []
        self.clocks_are_close = True

    def store(self, folder: Path):
        return Dictionaries()

    def teardown(self) -> None:
        self._open.close()

    def pick(self, which: int) -> str | None:
        names = self.world.names()
        return names[which % len(names)] if names else None

    def clock(self, skew: timedelta) -> timedelta:
        self.clocks_are_close = self.clocks_are_close and abs(skew) < timedelta(minutes=30)
        return skew

    @initialize(count=st.integers(1, 3))
    def first_pairs(self, count):
        for _ in range(count):
            name = self.world.build(timedelta())
            self.world.judge(name, True, timedelta())
            self.world.promote(name, timedelta())
            self.world.now += timedelta(days=3)

    @rule(hours=st.sampled_from([1, 30, 200, 1_000]))
    def time_passes(self, hours):
        self.world.now += timedelta(hours=hours)

    @rule(skew=CLOCKS)
    @precondition(lambda self: len(self.world.names()) < 12)
    def build(self, skew):
        self.world.build(self.clock(skew))

    @rule(which=WHICH, passed=st.booleans(), skew=CLOCKS)
    def validate(self, which, passed, skew):
        if name := self.pick(which):
            self.world.judge(name, passed, self.clock(skew))
            if not passed and name in self.promised:  # no rollback goes to what was rejected since, nor behind it
                self.promised = self.promised[: self.promised.index(name)]

    @rule(which=WHICH, skew=CLOCKS, steps=CRASHES)
    def promote(self, which, skew, steps):
        if name := self.pick(which):
            self._switch(lambda: self.world.promote(name, self.clock(skew), steps))

    @rule(skew=CLOCKS)
    def build_validate_promote(self, skew):
        if len(self.world.names()) < 12:
            name = self.world.build(self.clock(skew))
            self.world.judge(name, True, skew)
            self._switch(lambda: self.world.promote(name, skew))

    @rule(which=WHICH, skew=CLOCKS, steps=CRASHES)
    def rollback_to(self, which, skew, steps):
        if name := self.pick(which):
            self._switch(lambda: self.world.rollback(name, self.clock(skew), steps))

    @rule(skew=CLOCKS, steps=st.sampled_from([4, 4, 3, 2]))
    def rollback(self, skew, steps):
        """What the last cleanup promised is where it goes."""
        before, unfinished = self.world.store.target(ALIAS), self._unfinished_rollback()
        if not self.promised or unfinished:
            self._switch(lambda: self.world.rollback(None, self.clock(skew), steps))
            return
        expected, *rest = self.promised
        assert self.world.rollback(None, self.clock(skew), steps) == expected
        assert self.world.store.target(ALIAS) == expected != before
        self.promised = rest if steps > 2 else []
        event("a promised rollback")

    @rule(which=WHICH, to_the_end=st.booleans())
    def catch_up(self, which, to_the_end):
        if name := self.pick(which):
            self.world.end_catch_up(name) if to_the_end else self.world.begin_catch_up(name)

    @rule(which=WHICH, alias=st.sampled_from(["experiment", "experiment", ALIAS]))
    def alias_set_by_hand(self, which, alias):
        if name := self.pick(which):
            self.world.store.point(alias, name)
            self.promised = [] if alias == ALIAS else self.promised

    @rule(previous=st.integers(1, 3), skew=MINUTES)
    def nightly_cleanup(self, previous, skew):
        """As most are."""
        self._clean(Policy(keep_days=0, keep_previous=previous), skew, None, None)

    @rule(which=WHICH, policy=POLICIES, skew=CLOCKS, steps=st.one_of(st.none(), st.none(), st.integers(0, 2)))
    def cleanup(self, which, policy, skew, steps):
        """Whatever clock it is done by, and wherever it is interrupted."""
        self._clean(policy, skew, self.pick(which), steps)

    def _clean(self, policy, skew, being_filled, steps):
        world, before = self.world, self.world.read()
        aliased, loaded = set(world.store.aliases().values()), world.loaded()
        promised = list(way_back(before))[: policy.keep_previous]
        filled = frozenset(name for name in [being_filled] if name)
        plan = world.cleanup(policy, self.clock(skew), filled, steps)
        after = world.read()
        left, still_loaded = set(world.names()), world.loaded()
        assert set(kept(plan)) <= left
        assert (after.target, aliased | filled | set(promised)) == (before.target, (aliased | filled | set(promised)) & left)
        assert list(way_back(after))[: policy.keep_previous] == promised
        sound = {each.pair.collection for each in before.entries if is_sound(each)}
        assert len(sound & left) >= min(policy.keep_previous, len(sound))
        assert loaded & (aliased | filled | set(promised[: policy.keep_loaded])) <= still_loaded
        if before.target is None and any(each.stamp.has_served for each in before.entries):
            assert left == {each.pair.collection for each in before.entries}
        if self.clocks_are_close:
            self._nothing_went_too_early(left, before, policy)
        self.promised = promised
        event(f"dropped {min(len(before.entries) - len(left), 3)}")
        event(f"promised {min(len(promised), 3)}")

    def _nothing_went_too_early(self, left, before, policy):
        """By the true time, where no machine's clock is wrong by half an hour."""
        world = self.world
        for each in before.entries:
            name = each.pair.collection
            if world.now - world.built[name] < timedelta(days=policy.keep_days):
                assert name in left
            if name in world.judged and not each.stamp.has_served and world.now - world.judged[name] < timedelta(days=policy.approval_days):
                assert name in left

    def _switch(self, act):
        before = self.world.store.target(ALIAS)
        with suppress(Refused):
            act()
        if self.world.store.target(ALIAS) != before or self._unfinished_rollback():
            self.promised = []

    def _unfinished_rollback(self) -> bool:
        production = self.world.read().production
        return production is not None and "rollback" in (production.stamp.unfinished, production.stamp.untold)


class ServiceOnMilvus(Service):
    """The same on a real milvus-lite."""

    def store(self, folder: Path):
        return self._open.enter_context(MilvusStore(str(folder / "milvus.db")))


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
TestRetention = Service.TestCase
TestRetention.settings = settings(max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=SLOW)
TestRetentionOnMilvus = ServiceOnMilvus.TestCase
TestRetentionOnMilvus.settings = settings(max_examples=4, stateful_step_count=20, deadline=None, suppress_health_check=SLOW)
