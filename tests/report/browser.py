"""A real Chromium, and what it says of a page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_HEARD = """
window.heard = [];
addEventListener("securitypolicyviolation", (event) => heard.push(`${event.violatedDirective}: ${event.blockedURI}`));
"""


@dataclass
class Opened:
    """A page with what it asked for and complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """Console errors and warnings, uncaught errors, dialogs."""

    def violations(self) -> list[str]:
        """Of the page's own security policy."""
        return self.page.evaluate("window.heard ?? []")

    def column(self, name: str) -> list[str]:
        """What the table of queries shows in the cells of this name, from top to bottom."""
        return self.page.locator(f"#queries-table tbody [data-cell={name}]").all_inner_texts()


def chromium() -> str | None:
    """Where Debian's package has it; other distributions call it otherwise."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def launched(path: str) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    # Chromium refuses its sandbox to root, as whom containers run.
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=args)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, file: Path, *, width: int = 1280, height: int = 800, **context: Any) -> Iterator[Opened]:
    """The file, opened as from a folder; `context` is as Playwright has it (color_scheme, java_script_enabled)."""
    world = browser.new_context(viewport={"width": width, "height": height}, **context)
    world.add_init_script(_HEARD)
    page = world.new_page()
    seen = Opened(page)
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("console", lambda message: seen.complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("dialog", lambda dialog: (seen.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.goto(file.as_uri())
    yield seen
    world.close()
