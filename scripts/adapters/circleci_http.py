"""Requests to CircleCI's API and their answers: bounded in time and size, repeated where that is safe, and the token is in nothing that is told."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from pydantic import SecretStr
from requests.models import PreparedRequest
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError

from scripts.addresses import shown
from scripts.errors import Unreachable, UsageError
from scripts.report import words

MAX_BYTES = 4 * 2**20
"""A page of a list has some tens of kB."""
MAX_MESSAGE_CHARS = 300
_DISTRUST = "CERTIFICATE_VERIFY_FAILED"


@dataclass(frozen=True)
class Patience:
    """In seconds: for everything that one call of the kit asks, for a connection and each silence after that, and before the first repetition, which
    is doubled for the next."""

    total: float = 30
    connect: float = 5
    silence: float = 10
    pause: float = 0.5
    tries: int = 4


PATIENCE = Patience()


class Deadline:
    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._end = time.monotonic() + patience.total

    def left(self) -> float:
        return self._end - time.monotonic()

    def waits(self) -> tuple[float, float]:
        """For requests: no answer is waited for much longer than the time that is left."""
        left = max(self.left(), 1.0)
        return min(self.patience.connect, left), min(self.patience.silence, left)


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    server: str
    secret: SecretStr
    retry_after: str = ""

    @property
    def value(self) -> Any:
        """Raises Unreachable where it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise self.odd("what it says is not JSON") from None

    @property
    def message(self) -> str:
        """What it says to a person; empty where it says nothing."""
        try:
            value = self.value
        except Unreachable:
            return ""
        told = value.get("message") if isinstance(value, dict) else None
        text = words.printable(told.replace(self.secret.get_secret_value(), "…")) if isinstance(told, str) else ""
        return words.shortened(text, MAX_MESSAGE_CHARS).rstrip(".")

    @property
    def told(self) -> str:
        """To go on with after what was said of it."""
        return f": {self.message}" if self.message else ""

    def odd(self, why: str) -> Unreachable:
        hint = "Is pipeline.url CircleCI's address, and nothing between it and us that answers instead?"
        return Unreachable(f"{self.server} does not answer as CircleCI does ({self.status}): {why}.", hint=hint)


class Http:
    """Each request has a connection of its own: one that was kept might be dead, and then nobody knows whether what it was used for was done."""

    def __init__(self, url: str, token: SecretStr, patience: Patience) -> None:
        self._url, self._token, self.patience = url, token, patience
        self.server = f"CircleCI at {shown(url)}"

    def deadline(self) -> Deadline:
        return Deadline(self.patience)

    def get(self, path: str, query: Mapping[str, str], deadline: Deadline) -> Answer:
        """Repeated where it fails. Raises Unreachable; UsageError where there is no token that could be sent."""
        return self._asked("GET", path, {"params": query}, deadline, unsure="")

    def post(self, path: str, body: Mapping[str, Any] | None, *, unsure: str) -> Answer:
        """Repeated only where it was certainly not accepted: where no connection was made, and after 429. `unsure` says what may have been done
        where it is not known. Raises as `get`."""
        return self._asked("POST", path, {"json": body}, self.deadline(), unsure=unsure)

    def _asked(self, method: str, path: str, what: Mapping[str, Any], deadline: Deadline, *, unsure: str) -> Answer:
        signed = _Signed(self._token)
        for attempt in range(self.patience.tries):
            wait = self.patience.pause * 2**attempt
            try:
                answer = self._once(method, path, what, deadline, signed)
            except (OSError, ValueError, HTTPError) as error:  # whatever requests raises is an OSError
                failure = Unreachable(f"{self.server} cannot be asked: {self._why(error)}.", hint=_hint(error))
                if unsure and not _was_never_sent(error):
                    raise Unreachable(failure.what, hint=unsure) from None
                if _is_hopeless(error):
                    raise failure from None
            else:
                if answer.status == 429:
                    wait = max(_seconds(answer.retry_after), wait)
                    failure = Unreachable(f"{self.server} takes no more requests for now (429).", hint=f"Try again in {wait:.0f} s.")
                elif answer.status == 408 or answer.status >= 500:
                    failure = Unreachable(f"{self.server} is out of order ({answer.status}){answer.told}.", hint=unsure or "Try again later.")
                    if unsure:
                        raise failure
                else:
                    return answer
            if wait > deadline.left():
                break
            if attempt + 1 < self.patience.tries:
                time.sleep(wait)
        raise failure

    def _once(self, method: str, path: str, what: Mapping[str, Any], deadline: Deadline, signed: _Signed) -> Answer:
        # Not followed elsewhere, for the token would go there as well.
        options = {"auth": signed, "allow_redirects": False, "stream": True, "timeout": deadline.waits(), "headers": {"Accept": "application/json"}}
        with requests.request(method, f"{self._url}/api/v2{path}", **what, **options) as response:
            body = self._read(response, deadline)
            if 300 <= response.status_code < 400:
                told = f"{self.server} sends us elsewhere ({response.status_code}), where the token does not go."
                raise Unreachable(told, hint="Set pipeline.url to where it is.")
            return Answer(response.status_code, body, self.server, self._token, response.headers.get("Retry-After", ""))

    def _read(self, response: requests.Response, deadline: Deadline) -> bytes:
        """As it comes: whoever sends a byte now and then would be waited for as long as he likes otherwise."""
        body = b""
        while piece := response.raw.read1(64 * 1024, decode_content=True):
            body += piece
            if len(body) > MAX_BYTES:
                raise ValueError(f"it says more than {MAX_BYTES // 2**20} MiB")
            if deadline.left() < 0:
                raise requests.ReadTimeout()
        return body

    def _why(self, error: Exception) -> str:
        """In one line; what requests says names neither headers nor what was sent."""
        if isinstance(error, requests.ConnectTimeout):
            return f"no connection within {self.patience.connect:g} s"
        if isinstance(error, (requests.Timeout, ReadTimeoutError)) or "Read timed out" in str(error):
            return f"no answer within {self.patience.silence:g} s"
        cause: Any = error.args[0] if isinstance(error, requests.RequestException) and error.args else error
        cause = getattr(cause, "reason", None) or cause
        text = words.printable(str(cause)).replace(self._token.get_secret_value(), "…")
        text = re.sub(r"^(<\S+ object at \w+>|HTTPS?Connection\(.*?\)): ", "", text)
        return words.shortened(shown(text), MAX_MESSAGE_CHARS).rstrip(".") or type(error).__name__


class _Signed(requests.auth.AuthBase):
    """Adds the token, and keeps requests from adding what a .netrc has for this host."""

    def __init__(self, token: SecretStr) -> None:
        secret = token.get_secret_value()
        if not secret:
            raise UsageError("CIRCLECI_TOKEN is not set.", hint="Make a personal API token in CircleCI's user settings, and put it there.")
        if not (secret.isascii() and secret.isprintable()) or " " in secret:
            raise UsageError("CIRCLECI_TOKEN has a character in it that no token has, such as a space or the end of a line.")
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Circle-Token"] = self._token.get_secret_value()
        return request


def _hint(error: Exception) -> str:
    if _DISTRUST in str(error):
        return "REQUESTS_CA_BUNDLE names the file of the authorities to trust."
    return "Is pipeline.url right, and CircleCI up?"


def _is_hopeless(error: Exception) -> bool:
    """Trying again would give the same: too long an answer, a certificate that is not trusted, an address or a proxy that makes no sense."""
    return isinstance(error, ValueError) or _is_no_connection(error)


def _was_never_sent(error: Exception) -> bool:
    cause = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(cause, NewConnectionError) or _is_no_connection(error)


def _is_no_connection(error: Exception) -> bool:
    """Of what is not an exception of requests it is only a file of authorities that is missing."""
    wrong = (requests.exceptions.InvalidURL, requests.exceptions.InvalidProxyURL)
    raw = isinstance(error, OSError) and not isinstance(error, requests.RequestException)
    return raw or isinstance(error, wrong) or _DISTRUST in str(error)


def _seconds(retry_after: str) -> float:
    """Seconds, or the moment as a date (RFC 9110, 10.2.3); 0 where it is neither."""
    if retry_after.strip().isdecimal():
        return float(retry_after[:9])
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)
