"""What the figures in README and docs come from; each is run as `python -m benchmarks.NAME`."""
