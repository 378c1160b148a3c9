"""Addresses as they may be shown: never with a password."""

import re


def shown(text: str) -> str:
    """The text with whatever stands between `://` and the last `@` of an address made `***`: a password may hold any character."""
    return re.sub(r"://\S*@", "://***@", text)


def has_secret(uri: str) -> bool:
    """Whether an address carries a password or key: `//user:password@host`, a parameter such as `?secret_key=`, or the signature of a link that was
    signed for somebody. A key's file is none."""
    parameter = r"[?&](?!sslkey=)[^=&/]*(key|secret|token|password|passwd|sig|signature)=|[?&;]pwd=|[?&]odbc_connect=.*pwd(=|%3d)"
    return bool(re.match(r"[^/?#]*://[^/?#]*:[^@]*@", uri) or re.search(parameter, uri, re.IGNORECASE))
