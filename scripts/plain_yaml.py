"""YAML as a person means it: a key that is written twice is a mistake, which PyYAML (6.0) settles silently for the last one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from scripts.errors import UsageError

# Of one mapping, with what it merges: no configuration has as many, and mappings that merge each other grow by powers.
MAX_KEYS = 10_000


def parsed(text: str, path: Path) -> Any:
    """What `text`, read from `path`, says.

    Raises UsageError naming the file and the line, and of what is written there a key at most: a value may be a secret.
    """
    try:
        return yaml.load(text, Loader=_EachOnce)
    except _Twice as twice:
        where, what = f"{path}, line {twice.line}", f"{twice.key!r} is there twice, first in line {twice.first}"
        raise UsageError(f"{where}: {what}.", hint="Leave one of them.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{path} cannot be read{where}: {_QUOTED.sub('…', error.problem or '')}.") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:  # yaml raises ValueError on dates that do not exist
        raise UsageError(f"{path} cannot be read: {error}.") from None


_QUOTED = re.compile(r"'[^']{2,}'")


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

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MAX_KEYS:
            raise yaml.constructor.ConstructorError(None, None, f"more than {MAX_KEYS:,} keys are merged into one mapping", node.start_mark)
