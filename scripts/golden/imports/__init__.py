"""Suites that other tools have made: BEIR, TREC and Quepid."""

from scripts.golden.imports.collecting import Dropped, Imported

__all__ = ["Dropped", "Imported"]
