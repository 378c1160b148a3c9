"""A candidate among production's queries: which share of them, of whom, and until when.

What runs is said by one property of the production pair's collection, so every client sees it with the look that it takes at the alias
anyway, and it ends by itself when production switches.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from scripts.catalogue import Catalogue, Entry
from scripts.errors import Refused, UsageError
from scripts.pair import PREFIX, Stamp, State

PROPERTY = f"{PREFIX}canary"
MAX_SHARE = 0.5


class Mode(StrEnum):
    SPLIT = "split"
    """The candidate answers its share of the queries."""
    MIRROR = "mirror"
    """Production answers them all; the candidate is asked beside it, and nobody sees its answers."""


class Arm(StrEnum):
    PRODUCTION = "production"
    CANDIDATE = "candidate"


class Canary(BaseModel):
    """`stint` is the time in production that it belongs to, see `stint_of`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(pattern="^[0-9a-f]{8}$")
    pair: str
    share: float = Field(gt=0, le=MAX_SHARE)
    mode: Mode
    started_at: AwareDatetime
    by: str
    stint: str

    @classmethod
    def read(cls, collection: str, properties: dict[str, str]) -> Canary | None:
        """What these properties say. Raises Refused where that cannot be read."""
        said = properties.get(PROPERTY, "")
        if not said:
            return None
        try:
            return cls.model_validate(json.loads(said))
        except (ValueError, TypeError) as error:
            where = ", ".join(".".join(map(str, e["loc"])) for e in error.errors()[:3]) if isinstance(error, ValidationError) else "not JSON"
            raise Refused(f"The canary on {collection} cannot be read ({where}).", hint="`canary stop` ends it.") from None

    @classmethod
    def in_force(cls, collection: str, properties: dict[str, str], stamp: Stamp) -> Canary | None:
        """The one that runs on this production pair now. One that is left over from an earlier time in production has ended."""
        found = cls.read(collection, properties)
        return found if found and found.stint == stint_of(stamp) else None

    def property(self) -> dict[str, str]:
        return {PROPERTY: self.model_dump_json()}

    def takes(self, key: str) -> bool:
        """Whether this user's or session's queries are the candidate's: the same everywhere and always, and a larger share takes more keys and
        gives none back. Another candidate takes others.

        The first 8 bytes of SHA-256 of `{pair}\\n{key}`, as a number in [0, 1), are compared with the share.
        """
        digest = hashlib.sha256(f"{self.pair}\n{key}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") < self.share * 2**64


NONE = {PROPERTY: ""}
"""The property of a collection on which no canary runs: 2.3.5 cannot remove one."""


STINT = tuple(f"{PREFIX}{name}" for name in ("promoted_at", "begun_at", "retired_at"))


def stint_of(stamp: Stamp) -> str:
    """Which time in production this is. A pair that comes back by a rollback is in another one, from the moment that the switch begins; without
    that, its old canary would send queries to the very candidate that was just taken out of production.

    The first 8 hex digits of SHA-256 of the three properties as they are written, with a line feed between them.
    """
    written = stamp.properties()
    return digest_of(*(written[name] for name in STINT))


def digest_of(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def plan(world: Catalogue, entry: Entry, *, share: float, mode: Mode, now: datetime, by: str) -> Canary:
    """The canary that `canary start` sets. Raises Refused for a candidate that nobody should see, UsageError for a share out of bounds."""
    if not 0 < share <= MAX_SHARE:
        raise UsageError(f"--share {share:g} is not a share of the queries.", hint=f"It is above 0 and at most {MAX_SHARE:g}, such as 0.05.")
    world.refuse_unreadable_production()
    production = world.production
    if production is None:
        raise Refused(f"The alias {world.alias} does not point to a pair, so there are no queries to share.", hint="`promote` one first.")
    if production.stamp.promoted_at is None:
        raise Refused(f"The promotion of {production.pair} was not finished.", hint="Run the same `promote` or `rollback` again.")
    refuse_unfit(entry)
    started = {"pair": entry.pair.collection, "share": share, "mode": mode, "started_at": now, "by": by, "stint": stint_of(production.stamp)}
    return Canary(id=digest_of(*map(str, started.values())), **started)


def refuse_unfit(entry: Entry) -> None:
    """Raises Refused for production itself, and for a pair that is not validated."""
    stamp, pair = entry.stamp, entry.pair
    if entry.is_production:
        raise Refused(f"{pair} is production: compared with itself it shows nothing.")
    if stamp.rolled_back:
        raise Refused(f"{pair} was taken out of production: {stamp.retired_because}.", hint=f"Run `validate --pair {pair}` to try it again.")
    if stamp.state is State.REJECTED:
        raise Refused(f"{pair} was rejected by its golden queries.", hint="Build another; or, if suite or source were at fault, validate it again.")
    if stamp.state is not State.VALIDATED:
        raise Refused(f"{pair} is {stamp.state}, not validated.", hint=f"Run `validate --pair {pair}`.")
    entry.refuse_half_caught_up()
