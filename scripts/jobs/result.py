"""What every job returns: lines for a person and facts for a machine."""

from __future__ import annotations

from typing import Any, Protocol


class Result(Protocol):
    exit_code: int

    def lines(self) -> list[str]: ...

    def facts(self) -> dict[str, Any]: ...
