"""TLS to MLflow: its own variables, looked at before they fail a page long, and why a connection fails."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

from mlflow.environment_variables import MLFLOW_TRACKING_CLIENT_CERT_PATH, MLFLOW_TRACKING_INSECURE_TLS, MLFLOW_TRACKING_SERVER_CERT_PATH
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from scripts.adapters import handshake
from scripts.adapters.handshake import Kind
from scripts.addresses import shown
from scripts.errors import KitError, Unreachable, UsageError

CA, OURS, INSECURE = MLFLOW_TRACKING_SERVER_CERT_PATH.name, MLFLOW_TRACKING_CLIENT_CERT_PATH.name, MLFLOW_TRACKING_INSECURE_TLS.name
_TO_DO = {
    Kind.PLAIN: "Write http:// in MLFLOW_TRACKING_URI, or have the server speak TLS.",
    Kind.EXPIRED: "Renew it on the server.",
    Kind.NOT_YET: "Is the clock of this machine right?",
    Kind.OTHER_NAME: "Use a name that it is for.",
    Kind.UNTRUSTED: f"Set {CA} to the file of the authority that signed it.",
    Kind.WANTS_OURS: f"Set {OURS} to a file with a certificate that the server trusts and its key.",
}


def refuse_untrusted(uri: str, seconds: float) -> None:
    """Raises UsageError for files that are of no use, and Unreachable where TLS with the server fails. MLflow's retries would wait for half a
    minute for what will not change. What fails for another reason is left to them.
    """
    trusted = _context()
    try:
        http_request(get_default_host_creds(uri), "/health", "GET", max_retries=0, timeout=seconds, raise_on_status=False)
    except MlflowException as error:
        if "timeout exception" not in error.message and (found := _fault(uri, trusted, seconds)):
            raise found from None


def _fault(uri: str, trusted: ssl.SSLContext, seconds: float) -> KitError | None:
    address = urlsplit(uri)
    host, server = address.hostname or "", f"The server at MLFLOW_TRACKING_URI {shown(uri)}"
    if address.scheme != "https":
        speaks = handshake.speaks_tls(host, address.port or 80, seconds)
        return UsageError(f"{server} speaks TLS.", hint="Write https:// in MLFLOW_TRACKING_URI.") if speaks else None
    found = handshake.fault(host, address.port or 443, trusted, seconds, b"GET /health HTTP/1.1\r\nHost: %b\r\n\r\n" % host.encode("idna"))
    return Unreachable(f"{server} {found.what}.", hint=_TO_DO.get(found.kind, "")) if found else None


def _context() -> ssl.SSLContext:
    ca, ours, unverified = MLFLOW_TRACKING_SERVER_CERT_PATH.get(), MLFLOW_TRACKING_CLIENT_CERT_PATH.get(), MLFLOW_TRACKING_INSECURE_TLS.get()
    if ca and unverified:
        raise UsageError(f"{CA} and {INSECURE} are both set.", hint=f"Unset {INSECURE}: with the file there is no need to trust anybody.")
    for variable, path in ((CA, ca), (OURS, ours)):
        if path and not Path(path).exists():
            raise UsageError(f"{variable}: there is no {path}.")
    context = ssl.create_default_context()
    if unverified:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        if ca:
            context = ssl.create_default_context(**{"capath" if Path(ca).is_dir() else "cafile": ca})
    except (OSError, ValueError) as error:
        raise UsageError(f"{CA}: {ca} {_useless(error, 'certificate')}.") from None
    try:
        if ours:
            context.load_cert_chain(ours, password="")
    except (OSError, ValueError) as error:
        raise UsageError(f"{OURS}: {ours} {_useless(error, 'certificate with its key, which has no password,')}.") from None
    return context


def _useless(error: Exception, what: str) -> str:
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return f"cannot be read: {error.strerror}"
    return f"holds no {what} in PEM"
