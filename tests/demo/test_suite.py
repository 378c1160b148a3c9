"""The demo's golden suite, which is kept in the repository."""

from pathlib import Path

from scripts.demo import catalogue

SUITE = Path(__file__).parents[2] / "golden_queries" / "demo_products"


def test_the_kept_suite_is_what_the_generator_makes(tmp_path):
    """Judgments that do not follow from the products would judge nothing."""
    catalogue.write_suite(tmp_path)
    for name in ("queries.csv", "judgments.csv"):
        assert (SUITE / name).read_text() == (tmp_path / name).read_text(), name
