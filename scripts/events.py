"""What a webhook tells: that a model version may have become the candidate. A hint, no more: whether it is the candidate, MLflow itself is asked.

OSS MLflow (3.17): `model_version_alias.created`, also when an alias moves, and `model_version_tag.set`. A stage transition is no event there.
Databricks: `MODEL_VERSION_TRANSITIONED_STAGE` and `MODEL_VERSION_TRANSITIONED_TO_STAGING`. Fields beside those that are read may come and go with
their versions, so they are not looked at. A model's name is data, whatever characters it has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scripts.settings import Settings
from scripts.signatures import Sender

MAX_BODY_BYTES = 64 * 1024
"""MLflow's events that are read here have about 250 bytes, and a name or tag some thousand more."""
_VERSION = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_DATABRICKS = ("MODEL_VERSION_TRANSITIONED_STAGE", "MODEL_VERSION_TRANSITIONED_TO_STAGING")


class Malformed(Exception):
    """No event of the sender's has such a shape. The message is safe to be sent back."""


class Kind(StrEnum):
    ALIAS = "alias"
    TAG = "tag"
    STAGE = "stage"


@dataclass(frozen=True, slots=True)
class Event:
    """A model version got `sign`: an alias (`@staging`), a tag (`stage=Staging`) or a stage (`Staging`)."""

    kind: Kind
    model: str
    version: int
    sign: str

    def is_for(self, settings: Settings) -> bool:
        """Whether this is the sign of that service's candidate."""
        tag = settings.pipeline.event_tag if settings.pipeline else ""
        awaited = tag if self.kind is Kind.TAG else settings.model.candidate
        return bool(awaited) and (self.model, self.sign) == (settings.model.name, awaited)


@dataclass(frozen=True, slots=True)
class Other:
    """An event of another kind, which is nobody's here."""

    name: str


@dataclass(frozen=True, slots=True)
class Told:
    """`sent_at` in unix seconds, where the body says it."""

    event: Event | Other
    sent_at: float | None = None


def read(sender: Sender, body: bytes) -> Told:
    """Raises Malformed where the body is no JSON of such an event, is too large, or is nested too deep."""
    told = _parsed(body)
    return _databricks(told) if sender is Sender.DATABRICKS else _mlflow(told)


def needed(settings: Settings) -> tuple[str, ...]:
    """The events of OSS MLflow that can announce this service's candidate, by MLflow's names. Empty where there are none."""
    alias = ("model_version_alias.created",) if settings.model.candidate.startswith("@") else ()
    tag = ("model_version_tag.set",) if settings.pipeline and settings.pipeline.event_tag else ()
    return alias + tag


def _mlflow(told: Mapping[str, Any]) -> Told:
    name = f"{_text(told, 'entity')}.{_text(told, 'action')}"
    data = told.get("data")
    if not isinstance(data, dict):
        raise Malformed("data is not an object")
    match name:
        case "model_version_alias.created":
            return Told(Event(Kind.ALIAS, _text(data, "name"), _version(data), f"@{_text(data, 'alias')}"))
        case "model_version_tag.set":
            return Told(Event(Kind.TAG, _text(data, "name"), _version(data), f"{_text(data, 'key')}={_text(data, 'value', empty=True)}"))
        case _:
            return Told(Other(name[:100]))


def _databricks(told: Mapping[str, Any]) -> Told:
    name, milliseconds = _text(told, "event"), told.get("event_timestamp")
    if type(milliseconds) is not int or not 0 <= milliseconds < 10**15:
        raise Malformed("event_timestamp is not in milliseconds")
    if name not in _DATABRICKS:
        return Told(Other(name[:100]), milliseconds / 1000)
    # Of the first kind it is said which stage; the second has it in its name, and a `to_stage` of another would contradict it.
    stage = _text(told, "to_stage") if name == _DATABRICKS[0] or "to_stage" in told else "Staging"
    return Told(Event(Kind.STAGE, _text(told, "model_name"), _version(told), stage), milliseconds / 1000)


def _parsed(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_BODY_BYTES:
        raise Malformed("it is too large")
    try:
        told = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # nested too deep, numbers too long
        raise Malformed(f"it is no JSON that can be read ({type(error).__name__})") from None
    if not isinstance(told, dict):
        raise Malformed("it is not a JSON object")
    return told


def _text(told: Mapping[str, Any], field: str, *, empty: bool = False) -> str:
    value = told.get(field)
    if not isinstance(value, str) or not (value or empty):
        raise Malformed(f"{field} is not text")
    return value


def _version(told: Mapping[str, Any]) -> int:
    value = told.get("version")
    if not isinstance(value, str) or not _VERSION.fullmatch(value):
        raise Malformed("version is not a number in quotes")
    return int(value)
