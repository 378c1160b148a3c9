"""CircleCI: starts a project's pipelines, finds what waits for approval in them, and approves it, through its API, version 2.

The shapes of requests and answers are those of https://circleci.com/api/v2/openapi.json.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from scripts.adapters.circleci_http import PATIENCE, Answer, Deadline, Http, Patience
from scripts.errors import KitError, Refused, Unreachable, UsageError
from scripts.pipelines import Parameters, Pipeline, PipelineSettings, Waiting

MAX_PARAMETERS = 100
MAX_PARAMETER_CHARS = 512
# So many of one pipeline's workflows, or of one workflow's jobs, there cannot be; a server that never ends a list must not keep us.
MAX_PAGES = 50
_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ENDED = ("success", "canceled", "not_run", "unauthorized", "error")
"""Statuses of workflows in which nothing waits."""


class CircleCi:
    """Implements pipelines.Pipelines. Each call ends within a minute; one of them is enough to find out that there is no token, with UsageError."""

    def __init__(self, settings: PipelineSettings, token: SecretStr, patience: Patience = PATIENCE) -> None:
        self._settings = settings
        self._http = Http(settings.url, token, patience)
        self._pages = f"{_web(settings.url)}/pipelines/{settings.project}"

    def start(self, parameters: Parameters) -> Pipeline:
        """Not safe to repeat: each call starts another. So a request of which nobody knows whether it was accepted is not repeated here either, and
        Unreachable says so."""
        _refuse_unsendable(parameters)
        unsure = f"It is not known whether the pipeline was started: {self._pages} shows it, if it was."
        answer = self._http.post(*self._request(parameters), unsure=unsure)
        if answer.status != 201:
            raise self._not_started(answer)
        made, url = answer.value, self._pages
        number, id = _field(answer, made, "number", int), _id(answer, made, "id")
        if made.get("state") == "errored":
            raise Refused(f"CircleCI made pipeline {url}/{number}, which cannot run.", hint="Look there for what is wrong with .circleci/config.yml.")
        return Pipeline(id, number, f"{url}/{number}")

    def waiting(self, pipeline: str) -> tuple[Waiting, ...]:
        """Of the newest workflow first: one that was run again waits by itself, and so may the one before."""
        if not _ID.fullmatch(pipeline):
            return ()  # a build of no pipeline of CircleCI's
        deadline, found = self._http.deadline(), []
        workflows = sorted(self._items(f"/pipeline/{pipeline}/workflow", deadline), key=lambda each: str(each[1].get("created_at")), reverse=True)
        for answer, workflow in workflows:
            if _field(answer, workflow, "status", str) not in _ENDED:
                found += self._held(pipeline, answer, workflow, deadline)
        return tuple(found)

    def approve(self, waiting: Waiting) -> None:
        """Raises Refused where it does not wait any more."""
        path = f"/workflow/{quote(waiting.workflow, safe='')}/approve/{quote(waiting.approval, safe='')}"
        answer = self._http.post(path, None, unsure=f"It is not known whether {waiting.job} was approved: see {waiting.url}.")
        if 200 <= answer.status < 300:
            return
        self._refuse_stranger(answer, f"approve {waiting.job} of {self._settings.project}")
        hint = f"Does it still wait? See {waiting.url}."
        raise Refused(f"CircleCI does not take the approval of {waiting.job} ({answer.status}){answer.told}.", hint=hint)

    def _request(self, parameters: Parameters) -> tuple[str, dict[str, Any]]:
        """The newer request names a pipeline definition, which projects of the GitHub App have; of other projects there need be none."""
        settings, reference = self._settings, {"branch": self._settings.branch}
        path = f"/project/{'/'.join(quote(part, safe='') for part in settings.project.split('/'))}/pipeline"
        if settings.definition:
            where = {"definition_id": settings.definition, "config": reference, "checkout": reference}
            return f"{path}/run", where | {"parameters": dict(parameters)}
        return path, reference | {"parameters": dict(parameters)}

    def _held(self, pipeline: str, told: Answer, workflow: dict[str, Any], deadline: Deadline) -> Iterator[Waiting]:
        id, name, number = _id(told, workflow, "id"), _field(told, workflow, "name", str), _field(told, workflow, "pipeline_number", int)
        for answer, job in self._items(f"/workflow/{id}/job", deadline):
            if job.get("type") == "approval" and job.get("status") == "on_hold":
                approval = _id(answer, job, "approval_request_id" if job.get("approval_request_id") else "id")
                yield Waiting(pipeline, id, name, _field(answer, job, "name", str), approval, f"{self._pages}/{number}/workflows/{id}")

    def _items(self, path: str, deadline: Deadline) -> Iterator[tuple[Answer, dict[str, Any]]]:
        """Those of all pages; none where CircleCI does not know what is asked for."""
        query: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            answer = self._http.get(path, query, deadline)
            if answer.status == 404:
                return
            if answer.status != 200:
                self._refuse_stranger(answer, f"see the pipelines of {self._settings.project}")
                raise Refused(f"CircleCI does not say what waits ({answer.status}){answer.told}.")
            for item in _field(answer, answer.value, "items", list):
                if not isinstance(item, dict):
                    raise answer.odd("a list has something else in it than it should")
                yield answer, item
            following = answer.value.get("next_page_token")
            if not following:
                return
            query = {"page-token": str(following)}
            if deadline.left() < 0:
                raise Unreachable(f"{answer.server} takes too long to list what waits.", hint="Try again later.")
        raise answer.odd("a list does not end")

    def _not_started(self, answer: Answer) -> KitError:
        settings, said = self._settings, answer.told
        if 200 <= answer.status < 300:
            return Refused(f"CircleCI skipped the pipeline of {settings.project}, branch {settings.branch}{said}.", hint="Nothing was started.")
        self._refuse_stranger(answer, f"start pipelines of {settings.project}")
        what = f"{settings.project}{f' with definition {settings.definition}' if settings.definition else ''}"
        if answer.status == 404:
            missing = "" if settings.definition else " Projects of CircleCI's GitHub App need pipeline.definition as well."
            return UsageError(f"CircleCI has no project {what}, or this token may not see it (404){said}.", hint=f"Check pipeline.project.{missing}")
        if answer.status in (400, 422):
            hint = "Every parameter has to be declared in .circleci/config.yml of that branch."
            return UsageError(f"CircleCI cannot start the pipeline of {what}, branch {settings.branch} ({answer.status}){said}.", hint=hint)
        return Refused(f"CircleCI does not start the pipeline of {what} ({answer.status}){said}.")

    def _refuse_stranger(self, answer: Answer, act: str) -> None:
        if answer.status == 401:
            hint = "CIRCLECI_TOKEN has to be a personal API token; a project's token is not taken here."
            raise Unreachable(f"{self._http.server} does not know the token in CIRCLECI_TOKEN (401).", hint=hint)
        if answer.status == 403:
            hint = "Whose token it is has to have write access to the project, and be let in from this network."
            raise Unreachable(f"The token in CIRCLECI_TOKEN may not {act} (403){answer.told}.", hint=hint)


def _refuse_unsendable(parameters: Parameters) -> None:
    if len(parameters) > MAX_PARAMETERS:
        raise UsageError(f"A pipeline takes {MAX_PARAMETERS} parameters at most, not {len(parameters)}.")
    for name, value in parameters.items():
        if len(str(value)) > MAX_PARAMETER_CHARS:
            raise UsageError(f"The pipeline parameter {name} has {len(str(value)):,} characters; CircleCI takes {MAX_PARAMETER_CHARS}.")


def _field(answer: Answer, value: Any, name: str, kind: type) -> Any:
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, kind) or isinstance(found, bool):
        raise answer.odd(f"{name} is missing, or is not what it should be")
    return found


def _id(answer: Answer, value: Any, name: str) -> str:
    """Goes into addresses and onto terminals, so it has to be one."""
    found = _field(answer, value, name, str)
    if not _ID.fullmatch(found):
        raise answer.odd(f"{name} is not an id")
    return found


def _web(url: str) -> str:
    """Where people look: a host beside the API's, `app.`, in the cloud and of a CircleCI server alike."""
    address = urlsplit(url)
    host = address.hostname or ""
    try:
        ipaddress.ip_address(host)
        return url
    except ValueError:
        return url if host == "localhost" or host.startswith("app.") else f"{address.scheme}://app.{address.netloc}"
