"""The jobs that `killing` ends before their time, as functions that a process of its own can be given."""

from __future__ import annotations

from pathlib import Path

import scripts.adapters.milvus  # noqa: F401  (imported once, before the processes are made)
from scripts.jobs.backup import backup
from scripts.jobs.backup_verify import verify
from scripts.jobs.restore import restore
from tests.backup.world import OTHER, PAIR, folder, opened

PART_BYTES = 20_000


def back_up(root: Path, milvus: str) -> None:
    with opened(root / "kit", milvus) as kit:
        backup(kit, PAIR, folder(root / "there"), part_bytes=PART_BYTES)


def bring_back(root: Path, milvus: str) -> None:
    with opened(root / "kit", milvus) as kit:
        restore(kit, folder(root / "there"), OTHER)


def try_out(root: Path, milvus: str) -> None:
    with opened(root / "kit", milvus) as kit:
        verify(kit, folder(root / "there"))
