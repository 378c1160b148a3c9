"""Pipelines: what the core asks of the CI system that runs the kit's jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from scripts.addresses import has_secret

Parameters = Mapping[str, str | int | bool]
"""Pipeline parameters, by name; each declared in `.circleci/config.yml`."""


class PipelineSettings(BaseModel):
    """The CircleCI project whose pipelines build and promote this service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str = Field(pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_. -]+){2}$")
    """Its slug: `gh/organisation/repository`, or `circleci/{organisation's id}/{project's id}` where CircleCI's GitHub App is used."""
    definition: str = Field(default="", pattern=r"^([0-9a-fA-F-]{36})?$")
    """The id of its pipeline definition, for projects of the GitHub App; others have none."""
    branch: str = Field(default="main", min_length=1, max_length=255)
    url: str = "https://circleci.com"
    """Of CircleCI, or of a CircleCI server of one's own."""
    event_tag: str = Field(default="", max_length=250)
    """`stage=Staging`: a tag that makes a model version the candidate, where neither alias nor Databricks' events say so."""

    @field_validator("event_tag")
    @classmethod
    def _name_and_value(cls, tag: str) -> str:
        if tag and not all(tag.partition("=")[::2]):
            raise ValueError("is not name=value, such as stage=Staging")
        return tag

    @field_validator("url")
    @classmethod
    def _private_on_its_way(cls, url: str) -> str:
        """The token goes there."""
        if has_secret(url):
            raise ValueError("has a secret in it; take it out: the token comes from CIRCLECI_TOKEN")
        address = urlsplit(url)
        if address.scheme == "https" and address.hostname or address.scheme == "http" and address.hostname in ("127.0.0.1", "::1", "localhost"):
            return url.rstrip("/")
        raise ValueError("must begin with https://, because the token is sent there")


@dataclass(frozen=True)
class Pipeline:
    """One that was started. `number` counts within the project; `url` is the page that shows it to a person."""

    id: str
    number: int
    url: str


@dataclass(frozen=True)
class Waiting:
    """An approval that somebody has yet to give, in a workflow of `pipeline`."""

    pipeline: str
    workflow: str
    workflow_name: str
    job: str
    approval: str
    """The id of the approval, which is what is approved."""
    url: str


class Pipelines(Protocol):
    """The CI system. Each call ends within a minute.

    Raises Unreachable where it does not answer, is out of order or does not let us in; Refused where it understood and said no, a pipeline that was
    skipped among them; UsageError where the project or its definition does not exist.
    """

    def start(self, parameters: Parameters) -> Pipeline: ...

    def waiting(self, pipeline: str) -> tuple[Waiting, ...]:
        """What waits for approval in this pipeline; empty where the CI system does not know the pipeline."""
        ...

    def approve(self, waiting: Waiting) -> None: ...
