"""What a validation leaves behind: a page for the person who approves, JUnit XML for CircleCI, a short text for the log."""

from scripts.report import files, html, junit, text
from scripts.report.files import rendered

__all__ = ["files", "html", "junit", "rendered", "text"]
