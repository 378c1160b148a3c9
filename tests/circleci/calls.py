"""Calls of the kit's client for CircleCI, as tests make them: with little patience, and with an eye on the token."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from scripts.adapters.circleci import CircleCi
from scripts.adapters.circleci_http import Patience
from scripts.errors import KitError
from scripts.pipelines import PipelineSettings
from tests.circleci.api import TOKEN, StandIn

SOON = Patience(total=3, connect=1, silence=0.3, pause=0.01)
RELEASE = {"action": "release", "service": "products", "model_version": "7", "request": "r1"}


def client(stand_in: StandIn, token: str = TOKEN, patience: Patience = SOON, **changes: str) -> CircleCi:
    return CircleCi(PipelineSettings.model_validate(stand_in.section | changes), SecretStr(token), patience)


def failure(kind: type[KitError], act, *words) -> str:
    """The one line of a failure, in which nobody finds the token."""
    with pytest.raises(kind) as caught:
        act(*words)
    assert type(caught.value) is kind
    told = str(caught.value)
    assert "\n" not in told and len(told) < 700, told
    assert TOKEN not in told + repr(caught.value) + repr(caught.value.__cause__), told
    return told
