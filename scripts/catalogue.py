"""What Milvus says of one service: its alias, its pairs and their stamps, read once and then reasoned about."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.errors import Refused
from scripts.pair import Pair, Stamp, State
from scripts.ports import VectorStore
from scripts.settings import Settings


@dataclass(frozen=True)
class Entry:
    """A pair as found on the server."""

    pair: Pair
    stamp: Stamp
    aliases: tuple[str, ...]
    is_production: bool

    @property
    def state(self) -> State:
        """What is live is what the alias points to; the stamp says the rest."""
        if self.is_production:
            return State.PRODUCTION
        return State.RETIRED if self.stamp.has_served else self.stamp.state

    @property
    def is_half_caught_up(self) -> bool:
        """Whether the source is being brought into a built pair, or that stopped half way: also where all was written, but `finish` did not come to
        say that this is what the pair holds now."""
        read, proved = self.stamp.read_content, self.stamp.content
        return read is None or (proved is not None and read.fingerprint != proved.fingerprint)

    def refuse_half_caught_up(self) -> None:
        if self.is_half_caught_up:
            raise Refused(
                f"{self.pair} is being brought up to date, or was when that stopped: what it holds is not known.",
                hint=f"Run `catch-up {self.pair}` to the end.",
            )

    @property
    def reservation(self) -> str:
        """Why no rollback goes here by itself; empty where one may."""
        stamp = self.stamp
        if stamp.rolled_back:
            return "was itself rolled back"
        if stamp.state is State.REJECTED:
            return "was rejected by its golden queries since"
        return "" if stamp.promoted_at else "was never seen to work in production"

    @property
    def can_serve(self) -> bool:
        """Whether a rollback may go here: it has been production, or is validated."""
        return not self.is_production and (self.stamp.has_served or self.stamp.state is State.VALIDATED)


@dataclass(frozen=True)
class Unreadable:
    """A collection with a pair's name, whose stamp cannot be read. Nobody acts on it."""

    collection: str
    why: str


@dataclass(frozen=True)
class Lost:
    """A pair that should be production, and why it is not."""

    collection: str
    why: str


@dataclass(frozen=True)
class Catalogue:
    """One service at one moment. `target` is the physical collection behind the alias, stamped by the kit or not."""

    alias: str
    target: str | None
    entries: tuple[Entry, ...]
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def production(self) -> Entry | None:
        return next((entry for entry in self.entries if entry.is_production), None)

    def find(self, name: str) -> Entry:
        """The pair with this name. Raises Refused where it does not exist or cannot be read."""
        for entry in self.entries:
            if entry.pair.collection == name:
                return entry
        for broken in self.unreadable:
            if broken.collection == name:
                raise Refused(broken.why)
        raise Refused(f"There is no pair {name} of this service.", hint=self._list("It has", [entry.pair.collection for entry in self.entries]))

    def refuse_unreadable_production(self) -> None:
        """Nobody switches away by itself from what cannot be read: there would be no way back."""
        for broken in self.unreadable:
            if broken.collection == self.target:
                raise Refused(broken.why, hint=f"`rollback --to PAIR` goes to another. {self.alternatives()}")

    def rollback_target(self) -> Entry:
        """The pair that production replaced. Raises Refused with the pairs that one could go to instead."""
        production = self.production
        if production is None:
            raise Refused(f"The alias {self.alias} points to {self.target or 'nothing'}, so there is no pair to roll back from.", hint=self.alternatives())
        previous = production.stamp.replaces
        if entry := next((e for e in self.entries if e.pair.collection == previous), None):
            if entry.reservation:
                raise Refused(f"Production {production.pair} replaced {previous}, which {entry.reservation}.", hint=self.alternatives())
            return entry
        if previous and Pair.parse(previous) is None:
            hint = f"The way back there is to move the alias {self.alias} by hand. {self.alternatives()}"
            raise Refused(f"Production {production.pair} replaced {previous}, which this kit did not build and does not touch.", hint=hint)
        gone = f"replaced {previous}, which is not a pair on this server any more" if previous else "has no predecessor"
        raise Refused(f"Production {production.pair} {gone}.", hint=self.alternatives())

    def lost_production(self) -> Lost | None:
        """What the alias should point to, where it is gone though something has served, or may have; None where all is well."""
        if self.target is not None:
            return None
        if served := [entry for entry in self.entries if entry.stamp.has_served]:
            name = max(served, key=lambda entry: (entry.stamp.retired_at is None, entry.stamp.last_active)).pair.collection
            return Lost(name, f"the alias {self.alias} points to nothing, though {name} has served")
        if self.unreadable:
            return Lost(self.unreadable[0].collection, f"the alias {self.alias} points to nothing, and whether this pair has served cannot be read")
        return None

    def alternatives(self) -> str:
        return self._list("With --to one can go to", [_with_reservation(e) for e in self.entries if e.can_serve])

    @staticmethod
    def _list(words: str, names: list[str]) -> str:
        return f"{words}: {', '.join(names) or 'none'}."


def _with_reservation(entry: Entry) -> str:
    told = filter(None, [entry.reservation if entry.stamp.has_served else "", "is half caught up" if entry.is_half_caught_up else ""])
    why = " and ".join(told)
    return f"{entry.pair} (which {why})" if why else entry.pair.collection


def read(store: VectorStore, settings: Settings) -> Catalogue:
    """The catalogue of this service. One describe call per pair; collections without our stamp are left out.

    Raises Refused where the alias serves another service: `a-b` and `a_b` come out as one name in Milvus.
    """
    aliases = store.aliases()
    target = aliases.get(settings.alias)
    entries: list[Entry] = []
    unreadable: list[Unreadable] = []
    for name in store.collections():
        pair = Pair.parse(name)
        if pair is None or pair.service != settings.collection_prefix:
            continue
        properties = store.properties(name)
        try:
            stamp = Stamp.read(name, properties or {})
        except Refused as error:
            unreadable.append(Unreadable(name, str(error)))
            continue
        if stamp is None and name == target:
            unreadable.append(Unreadable(name, f"The alias {settings.alias} points to {name}, which has the name of a pair and no stamp."))
        if stamp is not None and stamp.service != settings.service and name == target:
            raise Refused(f"The alias {settings.alias} serves {stamp.service!r}, not {settings.service!r}.", hint="Give the service a name of its own.")
        if stamp is not None and stamp.service == settings.service:
            pointing = tuple(sorted(alias for alias, collection in aliases.items() if collection == name))
            entries.append(Entry(pair, stamp, pointing, name == target))
    entries.sort(key=lambda entry: (entry.stamp.build.created_at, entry.pair))
    return Catalogue(settings.alias, target, tuple(entries), tuple(unreadable))
