"""Addresses as they may be shown: never with a password."""

import re


def shown(text: str) -> str:
    """The text with whatever stands between `://` and the last `@` of an address made `***`: a password may hold any character."""
    return re.sub(r"://\S*@", "://***@", text)
