"""TLS to Milvus: what MilvusClient is told, and why a connection fails.

Of pymilvus' five settings (3.0.2) `ca_pem_path` counts only together with a client's certificate and key, and `server_pem_path`, which is a
list of authorities as well, only without them; for us it is one file.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

from scripts.adapters import handshake
from scripts.adapters.handshake import Kind
from scripts.addresses import shown
from scripts.errors import KitError, Unreachable, UsageError
from scripts.tls import TlsFiles

CA, CERTIFICATE, KEY, NAME = "MILVUS_CA_PEM_PATH", "MILVUS_CLIENT_PEM_PATH", "MILVUS_CLIENT_KEY_PATH", "MILVUS_SERVER_NAME"
# With these bytes a client begins HTTP/2 (RFC 9113, 3.4), which gRPC is carried by; an empty SETTINGS frame follows.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_UNVERIFIED = "CERTIFICATE_VERIFY_FAILED"
_TO_DO = {
    Kind.PLAIN: "Write http:// in MILVUS_URI, or have the server speak TLS.",
    Kind.EXPIRED: "Renew it on the server.",
    Kind.NOT_YET: "Is the clock of this machine right?",
    Kind.OTHER_NAME: f"Use a name that it is for, or set {NAME} to it.",
    Kind.UNTRUSTED: f"Set {CA} to the file of the authority that signed it.",
    Kind.WANTS_OURS: f"Set {CERTIFICATE} and {KEY} to a certificate that is valid and of an authority that the server trusts.",
}


def options(uri: str, files: TlsFiles) -> dict[str, str]:
    """For MilvusClient. Raises UsageError where the address does not go with the files, or a file is of no use."""
    if not files:
        return {}
    if urlsplit(uri).scheme != "https":
        raise UsageError(f"{_set(files)} is set, but MILVUS_URI {shown(uri)} does not use TLS.", hint="Write https:// in MILVUS_URI.")
    if bool(files.certificate) is not bool(files.key):
        there, missing = (CERTIFICATE, KEY) if files.certificate else (KEY, CERTIFICATE)
        raise UsageError(f"{there} is set and {missing} is not.", hint="A client shows its certificate and proves it by the key.")
    if files.certificate and not files.ca:
        raise UsageError(f"{CERTIFICATE} is set and {CA} is not.", hint="pymilvus shows a client's certificate only to servers of a named authority.")
    _context(files)
    named = {"server_name": files.server_name} if files.server_name else {}
    if files.certificate:
        return {"ca_pem_path": files.ca, "client_pem_path": files.certificate, "client_key_path": files.key} | named
    return ({"server_pem_path": files.ca} if files.ca else {}) | named


def fault(uri: str, files: TlsFiles, seconds: float, said: str) -> KitError | None:
    """Why no connection was made, where TLS is the reason. `said` is what gRPC said of it."""
    address = urlsplit(uri)
    host, server = address.hostname or "", f"The server at MILVUS_URI {shown(uri)}"
    if address.scheme != "https":
        if handshake.speaks_tls(host, address.port or 19530, seconds):
            return UsageError(f"{server} speaks TLS.", hint="Write https:// in MILVUS_URI.")
        return None
    found = handshake.fault(host, address.port or 443, _context(files), seconds, _PREFACE, name=files.server_name)
    if found is None and _UNVERIFIED in said:  # this machine knows the authority, gRPC does not: it brings a list of its own
        found = handshake.UNTRUSTED
    return Unreachable(f"{server} {found.what}.", hint=_TO_DO.get(found.kind, "")) if found else None


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if files.ca:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _readable(CA, files.ca)
        try:
            context.load_verify_locations(files.ca)
        except (ssl.SSLError, ValueError):
            raise UsageError(f"{CA}: {files.ca} holds no certificate in PEM.") from None
    context.set_alpn_protocols(["h2"])
    if files.certificate:
        _readable(CERTIFICATE, files.certificate)
        _readable(KEY, files.key)
        try:
            context.load_cert_chain(files.certificate, files.key, password="")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise UsageError(f"{KEY}: {files.key} is not the key of {files.certificate}.") from None
            both = f"{files.certificate} and {files.key}"
            unfit = f"{CERTIFICATE}, {KEY}: {both} are no certificate and its key in PEM."
            raise UsageError(unfit, hint="A key with a password cannot be used.") from None
    return context


def _readable(variable: str, path: str) -> None:
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise UsageError(f"{variable}: {path} cannot be read: {error.strerror}.") from None


def _set(files: TlsFiles) -> str:
    values = {CA: files.ca, CERTIFICATE: files.certificate, KEY: files.key, NAME: files.server_name}
    return next(name for name, value in values.items() if value)
