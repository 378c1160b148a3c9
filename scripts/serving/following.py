"""Following the alias: one thread looks at it, makes the next pair ready, and only then lets it answer."""

from __future__ import annotations

import logging
import random
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from scripts.canary import Canary
from scripts.pair import Stamp
from scripts.serving.live_pair import LivePair
from scripts.serving.looking import Look
from scripts.serving.setbacks import Setbacks

# So that many clients do not all ask at the same moment.
JITTER = 0.2

log = logging.getLogger("scripts.serving")


@dataclass(frozen=True, slots=True)
class Now:
    """What answers at one moment. A query reads it once and stays with it."""

    production: LivePair
    canary: Canary | None = None
    candidate: LivePair | None = None
    """Ready to be asked. None while a canary's candidate is being loaded, and where it cannot be."""


class Following:
    """`look` sees the alias and `ready` loads and warms a pair; both may raise, later also for long, and the pair that answers goes on answering.

    Only its own thread changes `now`. Raises, when made, what the first look or the first load raises.
    """

    def __init__(self, look: Callable[[], Look], ready: Callable[[str, Stamp], LivePair], candidate: Callable[[str], LivePair], poll: float) -> None:
        self._look, self._ready, self._candidate = look, ready, candidate
        self._poll = poll
        self._setbacks = Setbacks()
        self._lookup_trouble = self._canary_trouble = self._warned = ""
        self._following = ""  # the pair that should answer and does not yet
        self._held: weakref.WeakSet[LivePair] = weakref.WeakSet()
        self._changed = threading.Condition()
        self._looking = self._closed = False
        self._looks = self._wanted = 0
        seen = look()
        self.looked_at = datetime.now(UTC)
        self.now = Now(self._hold(ready(seen.collection, seen.stamp)))
        self._follow_canary(seen)
        self._thread = threading.Thread(target=self._run, name=f"following {seen.collection}", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str:
        return self._lookup_trouble or self._setbacks.told(self._following)

    @property
    def candidate_trouble(self) -> str:
        return self._canary_trouble

    @property
    def draining(self) -> tuple[str, ...]:
        now = self.now
        return tuple(sorted(live.name for live in list(self._held) if live not in (now.production, now.candidate)))

    def look_again(self, instead_of: LivePair, within: float) -> LivePair | None:
        """What answers now instead of this one, which failed; None where the alias, looked at anew, still says so, or nothing else is ready in time."""
        until = time.monotonic() + within
        with self._changed:
            self._wanted = wanted = max(self._wanted, self._looks + 2 if self._looking else self._looks + 1)
            self._changed.notify_all()
            while self.now.production is instead_of and self._looks < wanted and not self._closed:
                if not self._changed.wait(max(0.0, until - time.monotonic())):
                    break
        return self.now.production if self.now.production is not instead_of else None

    def close(self) -> None:
        """What is being loaded is not waited for."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not threading.current_thread():  # which may be the one that collects the garbage
            self._thread.join(1.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._wanted <= self._looks and not self._closed:
                    self._changed.wait(self._poll * random.uniform(1 - JITTER, 1 + JITTER))
                if self._closed:
                    return
                self._looking = True
            again = self._turn()
            with self._changed:
                self._looking = False
                self._looks += 1
                self._wanted = max(self._wanted, self._looks + 1 if again else 0)
                self._changed.notify_all()

    def _turn(self) -> bool:
        """One look, and what follows from it. True where the alias moved on meanwhile, so that the next look should not wait."""
        try:
            seen = self._look()
        except Exception as error:  # whatever it is, queries are answered and the next look may be better
            self._lookup_trouble = self._told("The alias cannot be followed", error)
            return False
        self.looked_at = datetime.now(UTC)
        self._lookup_trouble = ""
        moved_on = seen.collection != self.now.production.name and self._follow(seen)
        if seen.collection == self.now.production.name:
            self._following = ""
            self._follow_canary(seen)
            self._warned = self._warned if self._canary_trouble else ""
        return moved_on

    def _follow(self, seen: Look) -> bool:
        """True where the alias has moved on while the pair was made ready: it then never answers."""
        self._following = seen.collection
        if self._setbacks.too_early(seen.collection):
            return False
        before = self.now.production.name
        try:
            live = self._made_ready(seen)
        except Exception as error:  # a model's own code may raise anything
            self._setbacks.note(seen.collection, self._told(f"{seen.collection} is production and cannot be made ready", error))
            return False
        if self._alias_moved_from(seen.collection):
            return True
        self._setbacks.forget()
        self.now = Now(live)
        with self._changed:
            self._changed.notify_all()
        log.info("%s answers now, in place of %s", live.name, before)
        return False

    def _follow_canary(self, seen: Look) -> None:
        canary, now = seen.canary, self.now
        self._canary_trouble = seen.canary_trouble
        if canary == now.canary and (canary is None or now.candidate is not None):
            return
        candidate = now.candidate if canary and now.candidate and now.candidate.name == canary.pair else None
        if canary and candidate is None:
            self.now = Now(now.production, canary)
            candidate = self._candidate_ready(canary.pair)
        self.now = Now(now.production, canary, candidate)
        if canary and candidate and canary != now.canary:
            log.info("canary %s: %s is asked %.1f%% of the queries (%s)", canary.id, canary.pair, 100 * canary.share, canary.mode)

    def _candidate_ready(self, pair: str) -> LivePair | None:
        if not self._setbacks.too_early(pair):
            try:
                live = self._hold(self._candidate(pair))
                self._setbacks.forget(pair)
                return live
            except Exception as error:  # a model's own code may raise anything
                self._setbacks.note(pair, self._told(f"The candidate {pair} cannot be made ready", error))
        self._canary_trouble = self._setbacks.told(pair)
        return None

    def _made_ready(self, seen: Look) -> LivePair:
        """A candidate that is promoted is ready already."""
        candidate = self.now.candidate
        return candidate if candidate and candidate.name == seen.collection else self._hold(self._ready(seen.collection, seen.stamp))

    def _hold(self, live: LivePair) -> LivePair:
        self._held.add(live)
        return live

    def _alias_moved_from(self, collection: str) -> bool:
        """Loading may take minutes, and a rollback may have come in the meantime."""
        try:
            return self._look().collection != collection
        except Exception:  # nothing newer is known
            return False

    def _told(self, what: str, error: Exception) -> str:
        """In one line, which is logged where it is news."""
        line = f"{what}: {' '.join(str(error).split()) or type(error).__name__}"
        if line != self._warned:
            self._warned = line
            log.warning("%s", line)
        return line
