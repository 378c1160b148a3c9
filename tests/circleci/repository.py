"""The git repository that a pipeline checks out: never the real one, which stays as it is."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def made(folder: Path, files: Mapping[str, str]) -> Path:
    """A new repository with these files on `main`."""
    folder.mkdir(parents=True)
    _git(folder, "init", "--quiet", "--initial-branch=main")
    return commit(folder, files)


def of_the_kit(folder: Path) -> Path:
    """A new repository with the kit as it is in the working copy: what is not committed yet too, what git ignores not."""
    listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file() and not name.startswith(("tests/", "benchmarks/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    _git(folder, "init", "--quiet", "--initial-branch=main")
    return commit(folder, {})


def commit(repository: Path, files: Mapping[str, str]) -> Path:
    """Adds these files, and whatever else lies there."""
    for name, text in files.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text)
    _git(repository, "add", "--all")
    somebody = ("-c", "user.name=robin", "-c", "user.email=robin@example.com", "-c", "commit.gpgsign=false")
    _git(repository, *somebody, "commit", "--quiet", "--allow-empty", "--message=files")
    return repository


def _git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)
