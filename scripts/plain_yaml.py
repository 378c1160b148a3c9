"""YAML as a person means it: a key that is written twice is a mistake, which PyYAML (6.0) settles silently for the last one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from scripts.errors import UsageError


def parsed(text: str, path: Path) -> Any:
    """What `text`, read from `path`, says. Raises UsageError naming the file, and of a key that is there twice the line."""
    try:
        return yaml.load(text, Loader=_EachOnce)
    except _Twice as twice:
        where, what = f"{path}, line {twice.line}", f"{twice.key!r} is there twice, first in line {twice.first}"
        raise UsageError(f"{where}: {what}.", hint="Leave one of them.") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:  # yaml raises ValueError on dates that do not exist
        raise UsageError(f"{path} cannot be read: {error}.") from None


class _Twice(yaml.YAMLError):
    def __init__(self, key: str, line: int, first: int) -> None:
        super().__init__(key)
        self.key = key[:100]
        self.line = line
        self.first = first


class _EachOnce(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """Here, as the file has it: later what `<<` merges stands beside what overrides it, and that is no mistake."""
        node = super().compose_mapping_node(anchor)
        first: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in first:
                raise _Twice(key.value, line, first[name])
            first[name] = line
        return node
