"""Sends messages to the address in NOTIFY_URL. Whoever has that address may write there, so it is a secret and in nothing that is told."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from pydantic import SecretStr

# For all of it: requests' own limit is for each silence of the server (2.34).
SECONDS = 5.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Messenger:
    """Raises nothing: nobody's promotion fails because a chat is down."""

    def __init__(self, url: SecretStr) -> None:
        self._url = url

    def send(self, message: Mapping[str, Any]) -> str:
        """Why it was not sent; empty where it was. Takes SECONDS at most."""
        try:
            address = urlsplit(self._url.get_secret_value())
            private = address.scheme == "https" and bool(address.hostname)
            here = address.scheme == "http" and address.hostname in _LOOPBACK
        except ValueError:
            private = here = False
        if not (private or here):
            return "NOTIFY_URL does not begin with https://"
        outcome = [f"there was no answer within {SECONDS:g} seconds"]
        # It ends with the process, whatever it waits for: a name that is not resolved, an answer that comes a letter at a time.
        sending = threading.Thread(target=lambda: outcome.append(self._posted(message, through_proxy=private)), name="notification", daemon=True)
        sending.start()
        sending.join(SECONDS)
        return outcome[-1]

    def _posted(self, message: Mapping[str, Any], *, through_proxy: bool) -> str:
        """What went wrong is told by its kind alone: what requests and a server say of it may have the address in it."""
        try:
            with requests.Session() as session:
                session.trust_env = through_proxy
                answer = session.post(self._url.get_secret_value(), json=message, timeout=SECONDS, allow_redirects=False, stream=True)
                answer.close()
        except Exception as error:
            return f"the server was not reached ({type(error).__name__})"
        if answer.ok and not answer.is_redirect and answer.status_code < 300:
            return ""
        return f"the server answered {answer.status_code}{', and redirects are not followed' if 300 <= answer.status_code < 400 else ''}"
