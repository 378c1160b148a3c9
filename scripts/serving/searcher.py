"""A search client for query services, in which model and index are always one pair."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any

from scripts.canary import Arm
from scripts.canary_outcomes import QueryId
from scripts.errors import Refused, UsageError
from scripts.pair import production_alias
from scripts.ports import Hit
from scripts.serving.answer import Answer, Asked, Health
from scripts.serving.backends import Backends, opened
from scripts.serving.following import Following, Now
from scripts.serving.live_pair import LivePair
from scripts.serving.trial import Failed, Trial

TIMEOUT_SECONDS = 5.0
POLL_SECONDS = 1.0
QUERIES_AT_ONCE = 16
"""Of `asearch`: threads in which queries of an event loop wait."""


class PairSearcher:
    """Searches the pair behind an alias: encodes with the model that is stamped on the collection, and searches that very collection.

        with PairSearcher("product_embeddings_prod") as products:
            answer = products.search("red sofa", limit=10, filter="price_cents < 50000", fields=["product_name"])

    Safe to share between threads; make one in each process; one that nobody closed is closed with its last user, or with the process. Follows a switch or a rollback in the background within `poll` seconds and the time
    that the next model takes to load; until that model has answered, the pair before it goes on, and no query waits. When the alias cannot be
    looked at, MLflow is down or the next model cannot be loaded, it goes on with the pair that it has and `health` says why.

    `models` is the folder where model files are kept [.promotion/models]. No call to Milvus takes longer than `timeout` seconds. `outcomes` is a
    folder for what a canary counts. Addresses and secrets come from the environment (MILVUS_URI, MILVUS_TOKEN, MLFLOW_TRACKING_URI), unless
    `backends` are given.

    Raises, when made, Refused where the alias does not point to a pair that this kit can read or whose model has changed; Unreachable where Milvus
    does not answer, or MLflow does not and the model is not in the folder.
    """

    def __init__(
        self,
        alias: str,
        *,
        models: Path | None = None,
        timeout: float = TIMEOUT_SECONDS,
        poll: float = POLL_SECONDS,
        outcomes: Path | None = None,
        backends: Backends | None = None,
    ) -> None:
        if timeout <= 0 or poll <= 0:
            raise UsageError("timeout and poll are seconds, more than 0.")
        self.alias = alias
        self._timeout = timeout
        self._process = os.getpid()
        with ExitStack() as begun:
            self._trial = Trial(Path(outcomes) if outcomes else None)
            begun.callback(self._trial.close)
            places = backends or begun.enter_context(opened(timeout, models))
            self._following = Following(
                look=partial(places.look, alias), ready=partial(places.ready, timeout=timeout), candidate=partial(places.candidate, timeout=timeout), poll=poll
            )
            begun.callback(self._following.close)
            # Python ends by stopping threads wherever they are; to close a connection after that may wait for one of them for good (grpcio 1.85.1).
            self._end = weakref.finalize(self, _close, begun.pop_all(), self._process)

    @classmethod
    def of_service(cls, service: str, **how: Any) -> PairSearcher:
        """The one for a service's production, by the name that it has in promotion.yaml."""
        return cls(production_alias(service), **how)

    def search(self, text: str, *, limit: int = 10, filter: str = "", fields: Sequence[str] = (), key: str = "") -> Answer:
        """The `limit` nearest rows, best first, of those that `filter` (a Milvus expression over the stored columns) leaves, with these fields.

        `key` is the user's or the session's: in a canary the same key always meets the same pair. Raises UsageError for what cannot be asked,
        EncodingFailed where the model cannot take the text, Refused where the pair's collection is gone and the alias has nothing else,
        Unreachable where Milvus does not answer in time.
        """
        return self.search_many([text], limit=limit, filter=filter, fields=fields, key=key)[0]

    def search_many(self, texts: Sequence[str], *, limit: int = 10, filter: str = "", fields: Sequence[str] = (), key: str = "") -> list[Answer]:
        """As `search`, for several texts at once, which costs less. All of them are answered by one pair."""
        asked = Asked.of(texts, limit=limit, where=filter, fields=fields)
        self._refuse_unusable()
        now = self._following.now
        if now.canary is None or now.candidate is None:
            live, found = self._of_production(now.production, asked)
            return _answers(live, found, [QueryId.new("", Arm.PRODUCTION) for _ in found])
        return self._in_canary(now, asked, key)

    async def asearch(self, text: str, **how: Any) -> Answer:
        """As `search`, without holding up the event loop."""
        return await self._aside(partial(self.search, text, **how))

    async def asearch_many(self, texts: Sequence[str], **how: Any) -> list[Answer]:
        """As `search_many`, without holding up the event loop."""
        return await self._aside(partial(self.search_many, texts, **how))

    def feedback(self, query_id: str, *, clicked: bool = True, **details: Any) -> bool:
        """What became of an answer; any process that has `outcomes` may tell it. False where it does not count: the query was in no canary, or is
        older than a day. Raises UsageError for what is no query's id, or where there are no `outcomes`."""
        return self._trial.feedback(query_id, clicked=clicked, details=details)

    @property
    def pair(self) -> str:
        """The pair that answers now."""
        return self._following.now.production.name

    def health(self) -> Health:
        """Asks nobody: what the last look and the last queries said."""
        now, following = self._following.now, self._following
        return Health(
            alias=self.alias,
            pair=now.production.name,
            looked_at=following.looked_at,
            trouble=following.trouble,
            canary=now.canary.id if now.canary else "",
            candidate=now.candidate.name if now.candidate else "",
            candidate_trouble=following.candidate_trouble or self._trial.trouble,
            draining=following.draining,
            unmirrored=self._trial.unmirrored,
        )

    def close(self) -> None:
        """Ends the thread that follows, and the connection. Safe to call twice."""
        self._end()
        if "_threads" in self.__dict__:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> PairSearcher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _in_canary(self, now: Now, asked: Asked, key: str) -> list[Answer]:
        shared = self._trial.shared(now, len(asked.texts), key)
        failed = None
        if shared.asks_candidate:
            found = self._trial.of_candidate(now.candidate, asked, shared)
            if not isinstance(found, Failed):
                return _answers(now.candidate, found, shared.ids)
            failed = found
        with self._trial.watching(now.production, shared):
            live, found = self._of_production(now.production, asked)
        if failed:
            self._trial.candidate_alone_failed(now.candidate, failed, shared)
        if shared.mirrors:
            self._trial.mirror(now.candidate, asked, found, shared)
        return _answers(live, found, shared.ids)

    def _of_production(self, live: LivePair, asked: Asked) -> tuple[LivePair, list[tuple[Hit, ...]]]:
        """With the pair that answered. A collection that is dropped or released under a query is looked for behind the alias, once."""
        until = time.monotonic() + self._timeout
        try:
            return live, live.search(asked)
        except Refused:
            other = self._following.look_again(live, until - time.monotonic())
            if other is None:
                raise
            return other, other.search(asked)

    def _refuse_unusable(self) -> None:
        if not self._end.alive:
            raise UsageError("This searcher is closed.")
        if os.getpid() != self._process:
            # The thread that follows did not survive the fork, and the connection must not be shared.
            raise UsageError("This searcher was made before the process was forked.", hint="Make one in each process, after the fork.")

    async def _aside(self, query: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, query)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(QUERIES_AT_ONCE, thread_name_prefix="query")


def _answers(live: LivePair, found: Sequence[tuple[Hit, ...]], ids: Sequence[QueryId]) -> list[Answer]:
    return [Answer(live.name, hits, str(query), query.arm) for hits, query in zip(found, ids, strict=True)]


def _close(opened: ExitStack, process: int) -> None:
    """A forked child has neither the thread nor the connection."""
    if os.getpid() == process:
        opened.close()
