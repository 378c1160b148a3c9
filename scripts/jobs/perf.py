"""`perf`: how long searches of a collection take under load, and how much of the exact answer its search parameters give for that."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from scripts.errors import KitError, Refused, UsageError
from scripts.perf import choice, sweep
from scripts.perf.load import Deal, Level, Loop, unhindered
from scripts.perf.plan import Plan
from scripts.perf.ports import Params, Question, Searched, Searching
from scripts.perf.queries import Queries
from scripts.perf.report import Report, Swept
from scripts.perf.sweep import Sweep
from scripts.quality.truth import Truth

Tell = Callable[[str], None]
# Of the sampled queries so many are looked at to say how often their own row comes first.
OWN_QUERIES = 100
CEILING_SECONDS = 0.5
TURNS = 10
# So often a long pass of exact search says where it is.
TELL_SECONDS = 10.0
# Fewer rows without an index cost little; `health` warns from here on as well.
MANY_UNINDEXED = 1_024


def perf(searched: Searched, plan: Plan, prepare: Callable[[], Queries], tell: Tell = lambda line: None) -> Report:
    """Reads only. Ctrl-C ends it, and what was measured until then is the result; so it is where a level got no answer at all, and where
    the collection is dropped meanwhile.

    `prepare` makes the queries, once it is known that they can be asked. Raises Refused and UsageError where the collection cannot be measured as
    planned, Unreachable where the server is not there at the beginning.
    """
    rows, matching = _counted(searched, plan)
    swept = sweep.of(plan.sweep, searched.target, plan.k) if plan.sweep else None
    tell("preparing queries")
    queries = prepare()
    if not len(queries):
        raise Refused(f"{searched.target} has nothing to ask: {queries.told}.")
    blank = Report(searched.target, plan, rows, matching, queries.told, searched.target.served(plan.k), notes=_unindexed(searched, rows))
    return _Measuring(searched, plan, queries, tell, blank).all(swept)


class _Measuring:
    """Gathers a report, which stands as it is when it is broken off."""

    def __init__(self, searched: Searched, plan: Plan, queries: Queries, tell: Tell, report: Report) -> None:
        self._searched, self._plan, self._queries, self._tell = searched, plan, queries, tell
        self.report = report
        self._searching: Searching = searched.searching(queries.vectors, plan.timeout)

    def all(self, swept: Sweep | None) -> Report:
        self._try_out(swept)
        try:
            with unhindered():
                self._levels()
                if swept and not self.report.failure:
                    self._sweep(swept)
            self._look_back()
        except KeyboardInterrupt:
            self.report = replace(self.report, interrupted=True)
        except KitError as error:
            self.report = replace(self.report, failure=str(error), code=error.exit_code)
        if not self.report.interrupted:
            self._see_whether_it_is_there()
        return self.report

    def _question(self, params: Params | None) -> Question:
        return Question(self._plan.k, self._plan.where, params or {})

    def _try_out(self, swept: Sweep | None) -> None:
        """Each setting once, so that what Milvus refuses is told now and not after minutes; and how often a query finds first what it was made of."""
        served = self.report.params
        first = self._queries.vectors[:1]
        for value in swept.values if swept else ():
            self._searched.answers(first, self._question(swept.params(value, served)))
        some = self._queries.rows[:OWN_QUERIES]
        answers = self._searched.answers(self._queries.vectors[: len(some) or 1], self._question(served))
        if some and not self._plan.where:
            own = sum(found[:1] == [row] for found, row in zip(answers, some, strict=True)) / len(some)
            self.report = replace(self.report, own_first=own)

    def _levels(self) -> None:
        search, deal = self._searching(self._question(self.report.params)), Deal(len(self._queries))
        for workers in self._plan.concurrency:
            self._tell(f"{workers} workers for {self._plan.warm_up + self._plan.seconds:g} s")
            loop = Loop(search, deal, k=self._plan.k, workers=workers)
            loop.warm_up(self._plan.warm_up)
            try:
                loop.measure(self._plan.seconds)
            finally:
                level = loop.level()
                self.report = replace(self.report, levels=(*self.report.levels, level))
            if _is_dead(level):
                self.report = replace(self.report, failure=_silent(level))
                return
        if self.report.is_busy:
            self.report = replace(self.report, ceiling=self._ceiling(self._plan.concurrency[-1]))

    def _ceiling(self, workers: int) -> float:
        """How many calls a second this client makes when the server has nothing to do for them."""
        def nothing(number: int) -> list[int | str]:
            self._searched.nothing()
            return []

        loop = Loop(nothing, Deal(1), k=0, workers=workers)
        loop.measure(CEILING_SECONDS)
        return loop.level().qps

    def _sweep(self, swept: Sweep) -> None:
        """Every setting in many short turns, up and down the values: what else slows the server down meanwhile meets all settings alike. All are
        asked the same queries."""
        served = self.report.params
        settings = {value: swept.params(value, served) for value in swept.values}
        loops = {
            value: Loop(self._searching(self._question(params)), Deal(len(self._queries)), k=self._plan.k, workers=self._plan.concurrency[0])
            for value, params in settings.items()
        }
        self._tell(f"{swept.parameter} {', '.join(map(str, loops))} for {len(loops) * (self._plan.warm_up + self._plan.seconds):g} s")
        try:
            for loop in loops.values():
                loop.warm_up(self._plan.warm_up)
            for turn in range(TURNS):
                for value in list(loops)[:: -1 if turn % 2 else 1]:
                    loops[value].measure(self._plan.seconds / TURNS)
        finally:
            points = tuple(choice.timed(value, loop.level(), served=settings[value] == served) for value, loop in loops.items())
            self.report = replace(self.report, swept=Swept(swept, 0, 0, points, choice.unknown(self._plan.target_recall)))
        if dead := next((each.level for each in points if _is_dead(each.level)), None):
            self.report = replace(self.report, failure=_silent(dead))
            return
        truth = self._truth(list(settings.values()))
        shares = truth.shares()
        points = tuple(choice.judged(each, found) for each, found in zip(points, shares, strict=True))
        more = "--recall-queries" if len(self._queries) > self._plan.recall_queries else "--queries"
        chosen = choice.choose(points, self._plan.target_recall, swept.parameter, more)
        notes = (*self.report.notes, *_doubts(truth, self.report.matching))
        self.report = replace(self.report, swept=Swept(swept, shares.shape[1], truth.rows, points, chosen), notes=notes)

    def _truth(self, settings: list[Params]) -> Truth:
        """Reads every row that matches: no sample of rows says what the exact answer is. That is some 50,000 rows/s (384 numbers each, 2.3.5), and more
        than half an hour of 100 million; it tells how far it is, and Ctrl-C leaves the latencies."""
        queries = self._queries.vectors[: self._plan.recall_queries]
        self._tell(f"{len(queries):,} queries with every setting")
        answers = [self._searched.answers(queries, self._question(params)) for params in settings]
        self._tell(f"exact search over {self.report.matching:,} rows")
        truth, told = Truth(queries, answers, self._searched.target.metric, self._plan.k), time.monotonic()
        for keys, vectors in self._searched.rows(self._plan.where):
            truth.add(keys, vectors)
            if time.monotonic() - told >= TELL_SECONDS:
                told = time.monotonic()
                self._tell(f"exact search: {truth.rows:,} of {self.report.matching:,} rows")
        if not truth.rows:
            raise Refused(f"{self._searched.target} has lost all of its rows meanwhile.")
        return truth

    def _look_back(self) -> None:
        target = self._searched.target
        if target.alias and not self.report.failure and (now := self._searched.pointed_to()) != target.name:
            moved = f"The alias {target.alias} points to {now or 'nothing'} now: all of this is of {target.name}."
            self.report = replace(self.report, moved=moved)

    def _see_whether_it_is_there(self) -> None:
        """Where anything failed: what was dropped, every server speaks of in words of its own, and in the last level it is but some failures more."""
        if (self.report.failure or self.report.failed) and self._searched.is_gone(self._plan.timeout):
            gone = f"{self._searched.target} was dropped while it was measured: this is what was measured until then."
            self.report = replace(self.report, failure=gone, code=Refused.exit_code)


def _counted(searched: Searched, plan: Plan) -> tuple[int, int]:
    """All rows, and those that match. Raises Refused and UsageError where they cannot be asked for k hits."""
    target = searched.target
    if not searched.is_loaded():
        hint = f"Run `finish --pair {target.name}` or `ensure-loaded`." if target.stamp else "Load it, then measure again."
        raise Refused(f"{target} is not loaded.", hint=hint)
    rows = searched.count()
    if not rows:
        raise Refused(f"{target} holds no rows.")
    matching = _matching(searched, plan.where) if plan.where else rows
    if not matching:
        raise UsageError(f"No row of {target} matches the filter {plan.where!r}.")
    if plan.k > matching:
        raise UsageError(f"--k {plan.k} is more than the {matching:,} rows that {'match' if plan.where else 'there are'}.")
    return rows, matching


def _matching(searched: Searched, where: str) -> int:
    """All rows could be counted, so it is the filter that is refused: in other words by every server."""
    try:
        return searched.count(where)
    except Refused as error:
        raise UsageError(f"The filter {where!r} cannot be used: {error}") from None


def _unindexed(searched: Searched, rows: int) -> tuple[str, ...]:
    many = searched.unindexed(rows)
    if many < MANY_UNINDEXED:
        return ()
    return (f"{many:,} of {rows:,} rows had no index yet, and were searched one by one: measure again when `health` says that it is complete.",)


def _doubts(truth: Truth, counted: int) -> list[str]:
    told = []
    if truth.not_finite:
        told.append(f"{truth.not_finite:,} rows have vectors with NaN or infinity: exact search leaves them out.")
    if truth.rows + truth.not_finite != counted:
        told.append(f"{counted:,} rows were counted at first, {truth.rows:,} searched exactly: it changed meanwhile, or has keys more than once.")
    return told


def _is_dead(level: Level) -> bool:
    return not level.answered


def _silent(level: Level) -> str:
    if not level.searches:
        return "No search was sent within the time of a level: give it more --seconds."
    kinds = ", ".join(level.failures)
    return f"None of {level.searches:,} searches of {level.workers} workers got an answer ({kinds[:200]}): it ends here. Look at `health`."
