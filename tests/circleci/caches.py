"""Caches of a project: saved once per key, found by key or by its beginning."""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.circleci.container import Container
from tests.circleci.values import ConfigFault

_TEMPLATE = re.compile(r"\{\{\s*(.*?)\s*\}\}")


class Caches:
    """`seed` says what a key with such a beginning holds: a link to a folder of this machine, so that nothing is installed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seeds: dict[str, tuple[str, Path]] = {}
        self._saved: dict[str, dict[str, Path]] = {}
        self._lock = threading.Lock()

    def seed(self, beginning: str, path: str, target: Path) -> None:
        self._seeds[beginning] = (path, target)

    @property
    def keys(self) -> list[str]:
        return list(self._saved)

    def restore(self, keys: list[str], container: Container) -> str:
        """The key that was found, else an empty string. A later cache wins where a beginning fits several."""
        with self._lock:
            for key in keys:
                for beginning, (path, target) in self._seeds.items():
                    if key.startswith(beginning):
                        if not container.at(path).exists():
                            container.at(path).symlink_to(target)
                        return key
                for saved in reversed([known for known in self._saved if known.startswith(key)]):
                    for path, copy in self._saved[saved].items():
                        _copy(copy, container.at(path))
                    return saved
        return ""

    def save(self, key: str, paths: list[str], container: Container) -> bool:
        """False where the key is there already: a cache is never written over."""
        with self._lock:
            if key in self._saved or any(key.startswith(beginning) for beginning in self._seeds):
                return False
            copies = {path: self._folder / f"{len(self._saved)}-{i}" for i, path in enumerate(paths) if container.at(path).exists()}
            for path, copy in copies.items():
                _copy(container.at(path), copy)
            self._saved[key] = copies
            return True


def key_of(template: str, container: Container, environment: Mapping[str, str]) -> str:
    """Raises ConfigFault for a template that CircleCI has and the runner has not."""

    def filled(found: re.Match[str]) -> str:
        what = found[1]
        if checksum := re.fullmatch(r'checksum\s+"(.+)"', what):
            return hashlib.sha256(container.at(checksum[1]).read_bytes()).hexdigest()
        if what == "arch":
            return f"linux-{platform.machine()}"
        if what in (".Branch", ".Revision"):
            return environment[{".Branch": "CIRCLE_BRANCH", ".Revision": "CIRCLE_SHA1"}[what]]
        if what.startswith(".Environment."):
            return environment.get(what.removeprefix(".Environment."), "")
        raise ConfigFault(f"no cache key template {{{{ {what} }}}}")

    return _TEMPLATE.sub(filled, template)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)
    else:
        shutil.copy2(source, target)
