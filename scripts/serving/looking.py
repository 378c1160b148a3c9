"""A look at the alias: which pair is production now, what its stamp says, and whether a canary runs."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.canary import Canary
from scripts.errors import Refused
from scripts.pair import Stamp, State
from scripts.ports import VectorStore


@dataclass(frozen=True, slots=True)
class Look:
    """`collection` is the physical one: whatever the alias does meanwhile, the stamp is that collection's."""

    collection: str
    stamp: Stamp
    canary: Canary | None = None
    canary_trouble: str = ""


def look(store: VectorStore, alias: str) -> Look:
    """Raises Refused where the alias points to nothing or to what is not a pair of this kit, or of a newer one."""
    name = store.target(alias)
    if name is None:
        hint = "Is it the service's alias, such as product_embeddings_prod, and was a pair promoted?"
        raise Refused(f"The alias {alias} does not point to a pair.", hint=hint)
    properties, stamp = stamped(store, name)
    try:
        canary = Canary.in_force(name, properties, stamp)
        if canary:
            _refuse_unfit(canary.pair, stamped(store, canary.pair)[1])
        return Look(name, stamp, canary)
    except Refused as error:
        return Look(name, stamp, canary_trouble=str(error))


def _refuse_unfit(candidate: str, stamp: Stamp) -> None:
    """What was found out about a candidate since its canary began: nobody else should meet it."""
    if stamp.rolled_back or stamp.state is State.REJECTED:
        what = "rolled back" if stamp.rolled_back else "rejected"
        raise Refused(f"The candidate {candidate} was {what} since its canary began.", hint="`canary stop` ends it.")


def stamped(store: VectorStore, collection: str) -> tuple[dict[str, str], Stamp]:
    """The collection's properties, and the stamp in them. Raises Refused where it is gone, or not a pair."""
    properties = store.properties(collection)
    if properties is None:
        raise Refused(f"There is no collection {collection} any more.")
    stamp = Stamp.read(collection, properties)
    if stamp is None:
        raise Refused(f"{collection} is not a pair: it has no stamp that says which model made it.", hint="Only pairs that this kit built can be followed.")
    return properties, stamp
