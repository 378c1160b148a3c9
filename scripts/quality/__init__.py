"""The quality gate: what is measured of a pair, and what is said of it."""
