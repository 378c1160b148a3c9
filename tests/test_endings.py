"""What a command shows is harmless, whoever wrote the words in it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from scripts import console
from scripts.errors import UsageError

# Sets the terminal's title, clears it, goes back to the line's beginning; the last is an escape by itself on some.
HOSTILE = "a\x1b]0;owned\x07b\x1b[2Jc\rd\x9b31m"


def test_a_refusal_moves_no_cursor():
    """A key, a file name or a model's own message is in it, and may be anybody's."""
    assert str(UsageError(f"missing_text in the source: key {HOSTILE}.", hint="Mend\nit.")) == "missing_text in the source: key a ]0;owned b [2Jc d 31m. Mend it."


def test_a_result_moves_no_cursor(capsys):
    """Nor do the rows that a build names because it skipped them. What is no control stays, emoji of several parts among it."""
    with pytest.raises(SystemExit):
        console.show(SimpleNamespace(lines=lambda: [f"  skipped: {HOSTILE}", "\tGroße Säge 👩\u200d🔧"], exit_code=0), as_json=False)
    assert capsys.readouterr().out == "  skipped: a ]0;owned b [2Jc d 31m\n\tGroße Säge 👩\u200d🔧\n"
