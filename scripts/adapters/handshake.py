"""Why a TLS connection fails, found out by a handshake of our own: what libraries say of it is a page long, or nothing."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    PLAIN = auto()
    EXPIRED = auto()
    NOT_YET = auto()
    OTHER_NAME = auto()
    UNTRUSTED = auto()
    WANTS_OURS = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Fault:
    """What a server does that keeps us from speaking TLS with it; `what` goes on where a sentence began with the server."""

    kind: Kind
    what: str


UNTRUSTED = Fault(Kind.UNTRUSTED, "shows a certificate that is not trusted")
# What OpenSSL calls these (X509_V_ERR_…, openssl/x509_vfy.h).
_NOT_YET, _EXPIRED, _WRONG_HOST, _WRONG_IP = 9, 10, 62, 64
_PLAIN = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


def speaks_tls(host: str, port: int, seconds: float) -> bool:
    """Whether the port takes a TLS handshake; its certificate is not looked at."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), timeout=seconds) as raw, anybody.wrap_socket(raw):
            return True
    except ssl.SSLEOFError:
        return False
    except ssl.SSLError as error:
        return error.reason not in _PLAIN
    except (OSError, ValueError):
        return False


def fault(host: str, port: int, trusted: ssl.SSLContext, seconds: float, greeting: bytes, name: str = "") -> Fault | None:
    """None where TLS is well, and where nothing at all is said.

    `name` is who the certificate has to be of, the host itself by default. In TLS 1.3 a server tells only after the handshake that it does
    not like our certificate, or that it wants one, in answer to the first bytes, which are `greeting`.
    """
    try:
        with socket.create_connection((host, port), timeout=seconds) as raw, trusted.wrap_socket(raw, server_hostname=name or host) as secure:
            secure.sendall(greeting)
            if not secure.recv(1):
                return Fault(Kind.WANTS_OURS, "hangs up after the TLS handshake, as servers do that ask us for a certificate that they trust")
    except ssl.SSLCertVerificationError as error:
        return _distrust(error, name or host)
    except ssl.SSLEOFError:
        return Fault(Kind.OTHER, "ends the TLS handshake without a word")
    except ssl.SSLError as error:
        if error.reason in _PLAIN:
            return Fault(Kind.PLAIN, "does not speak TLS")
        why = (error.reason or str(error)).lower().replace("_", " ")
        if "alert" in why:
            return Fault(Kind.WANTS_OURS, f"asks us for a certificate that it trusts ({why.partition('alert ')[2] or why})")
        return Fault(Kind.OTHER, f"fails the TLS handshake ({why})")
    except (OSError, ValueError):
        pass
    return None


def _distrust(error: ssl.SSLCertVerificationError, name: str) -> Fault:
    if error.verify_code == _EXPIRED:
        return Fault(Kind.EXPIRED, "shows a certificate that has expired")
    if error.verify_code == _NOT_YET:
        return Fault(Kind.NOT_YET, "shows a certificate that is not valid yet")
    if error.verify_code in (_WRONG_HOST, _WRONG_IP):
        return Fault(Kind.OTHER_NAME, f"shows a certificate that is not for {name}")
    return Fault(Kind.UNTRUSTED, f"{UNTRUSTED.what} ({error.verify_message})")
