"""Watches where an alias points, all the time, from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

PAUSE_SECONDS = 0.002
_NOT_FOUND = 100


class Witness:
    """A thread that asks the server some hundred times a second. Only for servers: a milvus-lite file belongs to the process that changes it."""

    def __init__(self, uri: str, token: str, alias: str) -> None:
        self._client = MilvusClient(uri, token=token)
        self._alias = alias

    @contextmanager
    def watching(self) -> Iterator[list[str]]:
        """What the alias pointed to, in order, without repetitions; "nothing" where it did not exist. Complete when the block ends."""
        seen: list[str] = []
        ended = threading.Event()
        thread = threading.Thread(target=self._watch, args=(seen, ended))
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()

    def close(self) -> None:
        self._client.close()

    def _watch(self, seen: list[str], ended: threading.Event) -> None:
        while not ended.is_set():
            if not seen or seen[-1] != (now := self._look()):
                seen.append(now if seen else self._look())
            time.sleep(PAUSE_SECONDS)

    def _look(self) -> str:
        try:
            return self._client.describe_collection(self._alias)["collection_name"]
        except MilvusException as error:
            if error.code == _NOT_FOUND:
                return "nothing"
            raise
