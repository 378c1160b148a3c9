"""`search`: ask production, with production's own model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scripts import catalogue
from scripts.encoding import stamped_encoder
from scripts.errors import Refused
from scripts.pair import Pair
from scripts.ports import Hit, Parts


@dataclass(frozen=True)
class Found:
    pair: Pair
    hits: tuple[Hit, ...]
    exit_code: int = 0

    def lines(self) -> list[str]:
        lines = [f"Answered by {self.pair}:"] + [f"{rank:>3}  {hit.score:.4f}  {hit.key}  {_told(hit.fields)}" for rank, hit in enumerate(self.hits, start=1)]
        return lines if self.hits else [*lines, "  nothing found"]

    def facts(self) -> dict[str, Any]:
        return {"pair": str(self.pair), "hits": [{"key": h.key, "score": h.score, "fields": h.fields} for h in self.hits]}


def search(parts: Parts, text: str, *, limit: int, where: str = "") -> Found:
    """Resolves the alias once, then works with that pair: its model, its prompts, its physical collection. They can never be mixed.

    Raises Refused where there is no production pair or it is not loaded.
    """
    production = catalogue.read(parts.store, parts.settings).production
    if production is None:
        raise Refused(f"The alias {parts.settings.alias} does not point to a pair.", hint="`build`, `validate` and `promote` one first.")
    encoder = stamped_encoder(parts.registry, production.stamp, parts.settings.model_cache)
    fields = [column.name for column in production.stamp.layout.columns]
    answers = parts.store.open(production.pair.collection).search(encoder.queries([text]), limit, where=where, fields=fields)
    return Found(production.pair, tuple(answers[0]))


def _told(fields: dict[str, Any]) -> str:
    return "  ".join(f"{name}={str(value)[:60]}" for name, value in fields.items())
