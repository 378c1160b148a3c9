"""`health`: every collection of one or many clusters, looked at in parallel, each cluster within the time-out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Thread

from scripts.health.report import HealthReport
from scripts.health.visit import Place, Visit


def health(places: Sequence[Place], *, within: float, now: Callable[[], datetime]) -> HealthReport:
    """Reads only. Every cluster gets the same `within`, in seconds, and all of them at the same time; one that is down, does not answer or
    does not let us in is named, and hides nothing of the others. Of one that falls silent in the middle, all is told that was seen until then,
    and so it is where the kit itself does not understand a cluster."""
    until = time.monotonic() + within
    visits = [Visit(place, within) for place in places]
    threads = [Thread(target=visit.run, daemon=True) for visit in visits]  # no pool: see Visit.run
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return HealthReport(tuple(visit.found() for visit in visits), now())
