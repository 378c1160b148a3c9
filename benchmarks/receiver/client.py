"""Sends bytes over many connections, and notes the status and the seconds of each answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sent:
    """`status` is 0 where the receiver hung up without an answer."""

    status: int
    seconds: float


async def persistent(port: int, requests: Sequence[bytes], connections: int) -> list[Sent]:
    """Each connection sends one after the other, as fast as it is answered; a lost one is opened again."""
    left = iter(requests)
    return [sent for part in await asyncio.gather(*(_one_after_the_other(port, left) for _ in range(connections))) for sent in part]


async def each_alone(port: int, requests: Sequence[Sequence[bytes]], together: int, pause_s: float) -> list[Sent]:
    """A connection for each, `together` of them open at once; a request's pieces are `pause_s` apart."""
    gate = asyncio.Semaphore(together)

    async def one(pieces: Sequence[bytes]) -> Sent:
        async with gate:
            return await _alone(port, pieces, pause_s)

    return list(await asyncio.gather(*map(one, requests)))


async def _one_after_the_other(port: int, left: Iterable[bytes]) -> list[Sent]:
    sent: list[Sent] = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in left:
        began = time.perf_counter()
        try:
            writer.write(request)
            status = await _status(reader)
        except OSError:
            status = 0
        if status == 0:
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sent.append(Sent(status, time.perf_counter() - began))
    writer.close()
    return sent


async def _alone(port: int, pieces: Sequence[bytes], pause_s: float) -> Sent:
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.ensure_future(_status(reader))
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            done, _ = await asyncio.wait([answer], timeout=pause_s)
            if done:
                break
        status = await answer
    except OSError:
        status = 0
    finally:
        answer.cancel()
        writer.close()
    return Sent(status, time.perf_counter() - began)


async def _status(reader: asyncio.StreamReader) -> int:
    """Reads one answer whole. 0 where there is none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await reader.readexactly(int(line.partition(b":")[2]))
        return int(head.split(b" ", 2)[1])
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        return 0
