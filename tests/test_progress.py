"""What long work shows of itself on a terminal."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

from scripts.progress import line_of_its_own, progress


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_where_nobody_knows_how_many_there_are_a_bar_says_how_many_are_done():
    """And not of how many: 500/0 would be none."""
    with redirect_stderr(Screen()) as screen, progress("embed", None) as advance:
        advance(500)
    assert "  500  " in screen.getvalue() and "/" not in screen.getvalue().replace("rows/s", "")


def test_a_line_beside_a_bar_stands_alone():
    """The bar that is begun makes room for it, and goes on below."""
    with redirect_stderr(Screen()) as screen, progress("embed", 500) as advance:
        line_of_its_own("Created a pair.")
        advance(500)
    begun, after = screen.getvalue().split("Created a pair.\n")
    assert begun.endswith("\r\033[K") and "500/500" in after


def test_elsewhere_a_line_is_nothing_but_itself(capsys):
    """No signs for a terminal go into a log."""
    line_of_its_own("Created a pair.")
    assert capsys.readouterr().err == "Created a pair.\n"
