"""The pair: one model version and the one collection it produced, with its name and its stamp."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from scripts import digests
from scripts.errors import Refused, UsageError
from scripts.layout import Layout
from scripts.shards import Shard

STAMP_FORMAT = 1
PREFIX = "promotion."
# On 2.3.5 a value of 1,000,000 characters is accepted, after which alter, rename and drop of that collection fail for good.
MAX_PROPERTY_CHARS = 64 * 1024

_NAME = re.compile(r"(?P<service>[A-Za-z_][A-Za-z0-9_]*)_v(?P<version>[1-9][0-9]*)_(?P<build>[0-9a-f]{8})")


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """The address of a pair. Its one grammar is `{service}_v{version}_{build}`; the build is eight hex digits.

    The name is valid as a collection on every Milvus since 2.3.5 (letters, digits, underscores, at most 255).
    """

    service: str
    version: int
    build: str

    @classmethod
    def of(cls, service: str, version: int, build_id: str) -> Pair:
        """The pair that this build makes: the same service, version and build id always give the same pair."""
        return cls(identifier(service), version, hashlib.sha256(build_id.encode()).hexdigest()[:8])

    @classmethod
    def parse(cls, name: str) -> Pair | None:
        """The pair with this name, or None where the name is not a pair's."""
        found = _NAME.fullmatch(name)
        return cls(found["service"], int(found["version"]), found["build"]) if found else None

    @property
    def collection(self) -> str:
        return f"{self.service}_v{self.version}_{self.build}"

    def __str__(self) -> str:
        return self.collection


def identifier(service: str) -> str:
    """The service's name as Milvus takes it: hyphens, dots and spaces become underscores."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", service)
    return name if re.match(r"[A-Za-z_]", name) else f"_{name}"


def production_alias(service: str) -> str:
    """The alias that queries use. It never reads as a pair's name, because `prod` is not hexadecimal."""
    return f"{identifier(service)}_prod"


class State(StrEnum):
    BUILDING = "building"
    BUILT = "built"
    VALIDATED = "validated"
    REJECTED = "rejected"
    PRODUCTION = "production"
    RETIRED = "retired"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class ModelIdentity(_Frozen):
    """Which model made the vectors. The digest is of its files, so a version overwritten in place is noticed."""

    name: str
    version: int
    digest: str


class Embedding(_Frozen):
    """How a row becomes a vector, besides the model itself."""

    template: str
    unescape_html: bool = False
    document_prompt: str = ""
    query_prompt: str = ""
    normalize: bool = False

    def fingerprint(self, model_digest: str) -> str:
        """Equal fingerprints mean equal vectors for equal rows. The query prompt does not touch stored vectors."""
        return digests.of_json({"model": model_digest} | self.model_dump(exclude={"query_prompt"}))


class Build(_Frozen):
    id: str
    created_at: AwareDatetime
    url: str = ""


class Content(_Frozen):
    """What a complete pass over the source found, or over one shard of it; the collection holds exactly this."""

    rows: int
    fingerprint: str = Field(pattern="^[0-9a-f]{1,16}$")
    """Of the set of rows, 16 hex digits. Those of shards add up to that of the whole (modulo 2**64)."""
    skipped: int
    read_at: AwareDatetime
    """When the pass began: the watermark. What changed in the source later may not be in it."""

    @classmethod
    def total(cls, parts: Collection[Content]) -> Content:
        """Of all shards together; there is at least one."""
        return cls(
            rows=sum(part.rows for part in parts),
            fingerprint=f"{sum(int(part.fingerprint, 16) for part in parts) % 2**64:016x}",
            skipped=sum(part.skipped for part in parts),
            read_at=min(part.read_at for part in parts),
        )


class Stamp(_Frozen):
    """What a collection says of itself in its properties, `promotion.*`. Milvus holds the truth: there is no other record."""

    format: int = STAMP_FORMAT
    service: str
    model: ModelIdentity
    embedding: Embedding
    layout: Layout
    source: str
    build: Build
    state: State = State.BUILDING
    shards: dict[str, Content | None] = Field(default_factory=dict)
    """What each complete pass found, by shard; None for a shard that a pass is at work on, or whose pass stopped early."""
    content: Content | None = None
    """What the collection held when it was last proved ready."""
    verdict: str = ""
    evidence: str = ""
    evidence_digest: str = ""
    replaces: str = ""
    """The pair that was production when this one was promoted: where a rollback goes."""
    unfinished: str = ""
    """A switch to this pair, `promotion` or `rollback`, that began and has not yet been seen to work."""
    untold: str = ""
    """A switch to this pair that is done, and of which MLflow has yet to hear."""
    came_from: str = ""
    """Where the alias pointed before that switch."""
    reason: str = ""
    """Why that switch was made."""
    begun_at: AwareDatetime | None = None
    begun_by: str = ""
    """When that switch began, and who began it."""
    changed_rows: int = 0
    """How many rows were written or deleted since the validation; -1 where that is not known, because a pass was interrupted."""
    promoted_at: AwareDatetime | None = None
    retired_at: AwareDatetime | None = None
    retired_because: str = ""
    rolled_back: bool = False
    """Whether production was taken from this pair by a rollback, and it was not validated again since."""

    @field_validator("shards")
    @classmethod
    def _name_shards(cls, shards: dict[str, Content | None]) -> dict[str, Content | None]:
        for name in shards:
            Shard.named(name)
        return shards

    @property
    def fingerprint(self) -> str:
        return self.embedding.fingerprint(self.model.digest)

    @property
    def missing_shards(self) -> list[Shard]:
        """Those whose pass has yet to be completed; the whole, where none ever was."""
        done = self._shards_done()
        return [shard for shard in next(iter(done), Shard()).siblings() if shard not in done]

    @property
    def read_content(self) -> Content | None:
        """What the source had when it was last read as a whole; None while a shard is missing."""
        return None if self.missing_shards else Content.total(self._shards_done().values())

    def _shards_done(self) -> dict[Shard, Content]:
        """Of the finest division that there is: two passes that divided the keys differently may have crossed."""
        done = {Shard.named(name): content for name, content in self.shards.items() if content}
        count = max((shard.count for shard in done), default=1)
        return {shard: content for shard, content in done.items() if shard.count == count}

    @property
    def last_active(self) -> AwareDatetime:
        """When the pair was last built, promoted or retired: what its age is counted from."""
        return max(filter(None, (self.build.created_at, self.promoted_at, self.retired_at)))

    @property
    def has_served(self) -> bool:
        """A promotion that crashed right after the switch leaves no `promoted_at`, but the next switch a `retired_at`."""
        return self.promoted_at is not None or self.retired_at is not None

    def changed(self, **values: Any) -> Stamp:
        return self.model_copy(update=values)

    def changes(self, **values: Any) -> dict[str, str]:
        """Properties for these fields alone, so that a write never puts back what another one has changed meanwhile."""
        return {key: value for key, value in self.changed(**values).properties().items() if key.split(".")[1] in values}

    def properties(self) -> dict[str, str]:
        """Flat strings, `promotion.model.name` and so on, as a Milvus collection keeps them. Nothing is left out."""
        flat = _flatten(self.model_dump(mode="json"))
        for key, value in flat.items():
            if len(value) > MAX_PROPERTY_CHARS:
                raise Refused(f"The stamp's {key} has {len(value)} characters; more than {MAX_PROPERTY_CHARS} can harm the server.")
        return flat

    @classmethod
    def read(cls, collection: str, properties: dict[str, str]) -> Stamp | None:
        """The stamp in these properties; None where the kit never stamped the collection.

        Raises Refused when it is the kit's but cannot be read, so that nobody acts on half of it.
        """
        ours = {key.removeprefix(PREFIX): value for key, value in properties.items() if key.startswith(PREFIX)}
        if "format" not in ours:
            return None
        if ours["format"] != str(STAMP_FORMAT):
            raise Refused(
                f"The stamp of {collection} has format {ours['format']}; this kit reads {STAMP_FORMAT}.",
                hint="Use the version of the kit that built it, or a newer one.",
            )
        try:
            return cls.model_validate(_unflatten(ours))
        except (ValueError, TypeError) as error:
            where = ", ".join(".".join(map(str, e["loc"])) for e in error.errors()[:3]) if isinstance(error, ValidationError) else "not JSON"
            raise Refused(f"The stamp of {collection} cannot be read ({where}).", hint="Was it edited by hand?") from None


# Kept as JSON in one property: its lists have no fixed names to flatten into.
_AS_JSON = ("layout",)


def _flatten(stamp: dict[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in stamp.items():
        if key in _AS_JSON:
            flat[f"{PREFIX}{key}"] = json.dumps(value, separators=(",", ":"))
        elif isinstance(value, dict):
            flat |= {f"{PREFIX}{key}.{inner}": _string(v) for inner, v in value.items()}
        else:
            flat[f"{PREFIX}{key}"] = _string(value)
    return flat


def _string(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"))
    return "" if value is None else str(value)


def _unflatten(flat: dict[str, str]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        outer, _, inner = key.partition(".")
        if outer == "shards":
            nested.setdefault(outer, {})[inner] = json.loads(value) if value else None
        elif inner:
            nested.setdefault(outer, {})[inner] = value
        elif key in _AS_JSON:
            nested[key] = json.loads(value)
        elif value != "":
            nested[key] = value
    return nested


def require_pair(name: str) -> Pair:
    """The pair with this name. Raises UsageError where the name is not a pair's."""
    pair = Pair.parse(name)
    if pair is None:
        hint = "It looks like product_embeddings_v12_af8c1901, with eight hexadecimal digits at its end; `status` lists them."
        raise UsageError(f"{name!r} is not the name of a pair.", hint=hint)
    return pair
