"""A client for query services: model and index are always one pair, through every promotion and rollback. See docs/serving.md."""

from scripts.pair import production_alias
from scripts.serving.answer import Answer, Health
from scripts.serving.backends import Backends
from scripts.serving.searcher import PairSearcher

__all__ = ["Answer", "Backends", "Health", "PairSearcher", "production_alias"]
