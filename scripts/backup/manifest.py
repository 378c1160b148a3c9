"""manifest.json: what a backup consists of. It is written last, so a folder that has one has a whole backup."""

from __future__ import annotations

import json
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from scripts import digests
from scripts.errors import Refused
from scripts.pair import Content, Stamp

FORMAT = 1
# The number says where its rows belong, the rest which process wrote it: what a killed one left half written is never written over.
PART_NAME = r"part-\d{5,}-[0-9a-f]{8}\.parquet"
Key = int | str


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Frozen):
    """A file of rows, in order of keys: all those after the part before it, up to `last`."""

    name: str = Field(pattern=f"^{PART_NAME}$")
    """In the folder itself, whatever a manifest from elsewhere may say."""
    rows: int
    bytes: int
    sha256: str
    digest: str
    """Of the set of its rows, 16 hex digits, as `Content` has it."""
    last: Key


class Asked(_Frozen):
    """A stored row whose vector was searched for, and what the pair answered, best first."""

    key: Key
    answers: tuple[Key, ...]


class Manifest(_Frozen):
    """Also what an unfinished backup has so far."""

    format: int = FORMAT
    pair: str
    stamp: dict[str, str]
    """Properties as the collection had them: schema, index, model, embedding, content."""
    begun_at: AwareDatetime
    writer: str
    """The process that writes it, or wrote it last."""
    parts: tuple[Part, ...] = ()
    asked: tuple[Asked, ...] = ()

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in self.parts)

    @property
    def fingerprint(self) -> str:
        """Of all rows of all parts, comparable with that of `Content`."""
        return f"{sum(int(part.digest, 16) for part in self.parts) % 2**64:016x}"

    @property
    def digest(self) -> str:
        """What a restored collection says that it came from. SHA-256, hex."""
        return digests.of_json(self.model_dump(mode="json"))

    def changed(self, **values: Any) -> Manifest:
        return self.model_copy(update=values)

    def read_stamp(self) -> Stamp:
        """Raises Refused where it cannot be read."""
        stamp = Stamp.read(self.pair, self.stamp)
        if stamp is None or stamp.content is None:
            raise Refused(f"The backup of {self.pair} has no stamp of a finished pair.", hint="Was it edited by hand?")
        return stamp

    @property
    def content(self) -> Content:
        content = self.read_stamp().content
        assert content is not None
        return content

    def written(self) -> bytes:
        return (json.dumps({"sha256": self.digest} | self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def parse(cls, content: bytes, where: str) -> Manifest:
        """Raises Refused where it is of a newer format, is none, or was changed since it was written."""
        try:
            raw = json.loads(content)
            kind = raw["format"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Refused(f"{where} is not of a backup, or only half of it is there.", hint="Use another folder.") from None
        if kind != FORMAT:
            raise Refused(f"{where} has format {kind}; this kit reads {FORMAT}.", hint="Use the version of the kit that wrote it, or a newer one.")
        expected = raw.pop("sha256", "")
        try:
            manifest = cls.model_validate(raw)
        except ValidationError as error:
            field = ".".join(map(str, error.errors()[0]["loc"]))
            raise Refused(f"{where} cannot be read ({field}).", hint="Was it edited by hand?") from None
        if manifest.digest != expected:
            raise Refused(f"{where} was changed since it was written: its checksum is {manifest.digest[:12]}, not {str(expected)[:12]}.")
        return manifest
