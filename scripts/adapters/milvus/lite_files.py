"""What stands where a milvus-lite database should be, and who holds it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from scripts.addresses import shown
from scripts.errors import KitError, Unreachable, UsageError

# What milvus-lite makes first in a folder (3.2.2); the lock's file stays when nobody holds it.
_LOCK, _COLLECTIONS = "LOCK", "collections"
# Of a broken one it says at which character, and not of which file.
_JSON = ("aliases.json", "database_properties.json")
_MEND = "Restore it from a backup, or name another in MILVUS_URI."
_SHARE = "or share it: `milvus-lite server --data-dir DIR --port P` and MILVUS_URI=http://127.0.0.1:P."


def make_place(path: Path) -> None:
    """The folders above it. Raises UsageError where they cannot be made, or what stands in its place is no database or a broken one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            return
        if not path.is_dir():
            what = f"{shown(str(path))} is a file, and a milvus-lite database is a folder."
            raise UsageError(what, hint="Name another in MILVUS_URI. (Files of milvus-lite 2 are not read by 3.)")
        found = {entry.name for entry in path.iterdir()}
    except OSError as error:
        raise UsageError(f"MILVUS_URI {shown(str(path))!r} cannot be used: {error.strerror or error}.") from None
    if found and not found & {_LOCK, _COLLECTIONS}:
        raise UsageError(f"{shown(str(path))} is a folder of something else, not a milvus-lite database.", hint="Name another in MILVUS_URI.")
    for name in found.intersection(_JSON):
        try:
            json.loads((path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"The milvus-lite file {shown(str(path))} cannot be read: {name}: {error}.", hint=_MEND) from None


def fault(path: Path) -> KitError:
    """Why it cannot be opened, which is tried once more to hear the reason."""
    from milvus_lite.db import MilvusLite
    from milvus_lite.exceptions import DataDirLockedError

    name = shown(str(path))
    try:
        MilvusLite(str(path)).close()
    except DataDirLockedError:
        return _held(name, holder(path))
    except OSError as error:
        return UsageError(f"MILVUS_URI {name!r} cannot be used: {error.strerror or error}.")
    except Exception as error:  # whatever a broken database makes of itself
        said = " ".join(str(error).split()) or type(error).__name__
        return UsageError(f"The milvus-lite file {name} cannot be read: {said[:300]}.", hint=_MEND)
    return Unreachable(f"The milvus-lite file {name} could not be opened just now.", hint="Run the same command again.")


def holder(path: Path) -> int | None:
    """The process that has the database locked; None where the system does not tell (only Linux does)."""
    lock = path / _LOCK
    try:
        found = lock.stat()
        table = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return None
    # "1: FLOCK  ADVISORY  WRITE 4711 fe:01:1234 0 EOF", see proc_locks(5). Another disk may have a file of the same number, and not every file
    # system says there which disk it is.
    disk = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    locks = re.findall(rf"FLOCK\s+\w+\s+\w+\s+(\d+)\s+(\w+:\w+):{found.st_ino}\s", table)
    return next((int(pid) for pid, on in locks if on == disk or _has_open(int(pid), lock)), None)


def _has_open(pid: int, file: Path) -> bool:
    try:
        return any(os.path.samefile(link, file) for link in Path(f"/proc/{pid}/fd").iterdir() if link.exists())
    except OSError:  # another user's, which is not ours to look into
        return False


def _held(name: str, pid: int | None) -> KitError:
    if pid == os.getpid():
        what = f"The milvus-lite file {name} is held by this very process, outside of the kit."
        return Unreachable(what, hint="Close what opened it, or name its folder without symbolic links.")
    who = f"process {pid}{_named(pid)}" if pid else "another process"
    return Unreachable(f"The milvus-lite file {name} cannot be opened: {who} holds it.", hint=f"Stop {'it' if pid else 'that process'}, {_SHARE}")


def _named(pid: int) -> str:
    """Its name, without its arguments, which may be secret."""
    try:
        return f" ({Path(f'/proc/{pid}/comm').read_text(encoding='utf-8', errors='replace').strip()})"
    except OSError:
        return ""
