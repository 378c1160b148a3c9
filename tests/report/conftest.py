"""Reports, opened in a real browser."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scripts.assessment import Assessment
from scripts.report import html
from tests.conftest import needs
from tests.report import browser
from tests.report.browser import Opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """For one module: while it runs, its event loop keeps others from starting theirs."""
    path = browser.chromium()
    needs(path is not None, "Chromium is not installed; it is Debian's package chromium")
    needs(importlib.util.find_spec("playwright") is not None, "playwright is not installed; it is in requirements-test.txt")
    with browser.launched(path) as started:
        yield started


@pytest.fixture
def show(chromium: Browser, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Writes an assessment's page and opens it."""
    with ExitStack() as stack:

        def open_page(assessment: Assessment, **context: Any) -> Opened:
            file = tmp_path / "report.html"
            file.write_text(html.render(assessment), encoding="utf-8")
            return stack.enter_context(browser.opened(chromium, file, **context))

        yield open_page
