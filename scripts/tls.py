"""By which files a TLS connection is trusted, and what shows who we are. Paths and names only: nothing here is opened."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files by their paths; what is empty is not set. Without `ca` the authorities that the library knows by itself are trusted."""

    ca: str = ""
    certificate: str = ""
    key: str = ""
    server_name: str = ""
    """The name that the server's certificate has, where it is not the one in the address."""

    def __bool__(self) -> bool:
        return bool(self.ca or self.certificate or self.key or self.server_name)


OPEN = TlsFiles()
