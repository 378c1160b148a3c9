"""Golden suites: queries with human judgments, and what is asked of them."""

from scripts.golden.query import Query
from scripts.golden.suite import Suite, load, read

__all__ = ["Query", "Suite", "load", "read"]
