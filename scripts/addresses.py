"""Addresses as they may be shown: never with a password."""

import re


def shown(text: str) -> str:
    """The text with every `user:password@` in it made `user:***@`."""
    return re.sub(r"(://[^:/@\s]*):[^@/\s]*@", r"\1:***@", text)
