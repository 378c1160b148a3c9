"""`history`: every promotion, rollback and cleanup of this service, with who, when and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scripts import ledger
from scripts.ledger import Act, Holder
from scripts.ports import Parts


@dataclass(frozen=True)
class History:
    alias: str
    acts: tuple[Act, ...]
    """The newest first."""
    holder: Holder | None
    exit_code: int = 0

    def lines(self) -> list[str]:
        lines = [line for act in self.acts for line in _told(act)] or [f"Nothing was ever done to {self.alias}."]
        return [*([f"Now: {self.holder}."] if self.holder else []), *lines]

    def facts(self) -> dict[str, Any]:
        return {
            "alias": self.alias,
            "holder": self.holder.model_dump(mode="json") if self.holder else None,
            "acts": [act.model_dump(mode="json") for act in self.acts],
        }


def history(parts: Parts, *, limit: int) -> History:
    """Reads only, and from Milvus alone: what MLflow has not heard of yet is there as well. The newest 200 acts are kept; all of them have a run in
    MLflow."""
    alias = parts.settings.alias
    found = ledger.read(parts.store, alias)
    return History(alias, tuple(reversed(found.acts))[:limit] if found else (), found.holder if found else None)


def _told(act: Act) -> list[str]:
    what = f" of {act.to}" if act.kind == "promotion" else f" to {act.to}" if act.to else ""
    origin = f" from {act.origin}" if act.origin else ""
    lines = [f"{act.at:%Y-%m-%d %H:%M:%S}  {act.kind}{what}{origin}, by {act.by}{f': {act.why}' if act.why else ''}"]
    details = [act.outcome if act.outcome != "done" else "", *(f"{name.replace('_', ' ')} {value}" for name, value in act.details.items())]
    details += [f"evidence {act.evidence[:12]}" if act.evidence else "", act.url, "" if act.told else "MLflow has not heard of it"]
    return [*lines, f"{'':19}  {', '.join(filter(None, details))}"]
