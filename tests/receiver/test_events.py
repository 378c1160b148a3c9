"""Events: what is understood, and whose it is."""

import json
from typing import get_type_hints

import pytest
from mlflow.entities.webhook import WebhookEvent
from mlflow.webhooks.types import EVENT_TO_PAYLOAD_CLASS, get_example_payload_for_event

from scripts import config, events
from scripts.events import Event, Kind, Malformed, Other
from scripts.signatures import Sender
from tests.receiver.process import MODEL, alias_event, configure, databricks_event, mlflow_event

DEEP = b"[" * 32_000


def settings(folder, **how):
    return config.load(configure(folder, **how), environ={})


def read(body: bytes, sender: Sender = Sender.MLFLOW) -> Event | Other:
    return events.read(sender, body).event


def test_an_alias_says_which_version_it_is_at():
    """Whatever characters the model's name has."""
    assert read(alias_event(7)) == Event(Kind.ALIAS, MODEL, 7, "@staging")


def test_a_tag_says_its_name_and_value():
    """An empty value is one, too."""
    for value in ("Staging", ""):
        body = mlflow_event("model_version_tag", "set", {"name": MODEL, "version": "7", "key": "stage", "value": value})
        assert read(body) == Event(Kind.TAG, MODEL, 7, f"stage={value}")


def test_databricks_says_the_stage():
    """In a field, or in the event's name."""
    assert read(databricks_event(8), Sender.DATABRICKS) == Event(Kind.STAGE, MODEL, 8, "Staging")
    named = json.loads(databricks_event(8, event="MODEL_VERSION_TRANSITIONED_TO_STAGING"))
    for body in (named, {name: value for name, value in named.items() if name != "to_stage"}):
        assert read(json.dumps(body).encode(), Sender.DATABRICKS) == Event(Kind.STAGE, MODEL, 8, "Staging")


def test_databricks_says_when_in_its_body():
    """In milliseconds there, in seconds here."""
    assert events.read(Sender.DATABRICKS, databricks_event(at=1_795_280_000)).sent_at == 1_795_280_000


@pytest.mark.parametrize("event", [WebhookEvent(*key) for key in EVENT_TO_PAYLOAD_CLASS], ids=str)
def test_every_event_of_this_mlflow_is_understood(event):
    """The two that announce a candidate are read, and every other one is known to be nobody's."""
    found = read(mlflow_event(event.entity.value, event.action.value, get_example_payload_for_event(event)))
    name = f"{event.entity}.{event.action}"
    assert isinstance(found, Event) if name in ("model_version_alias.created", "model_version_tag.set") else found == Other(name)


def test_what_is_read_is_what_this_mlflow_sends():
    """Its own types have the fields, as text."""
    fields = {f"{entity}.{action}": get_type_hints(shape) for (entity, action), shape in EVENT_TO_PAYLOAD_CLASS.items()}
    assert fields["model_version_alias.created"] == dict.fromkeys(("name", "alias", "version"), str)
    assert fields["model_version_tag.set"] == dict.fromkeys(("name", "version", "key", "value"), str)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\xfe{}", id="no UTF-8"),
        pytest.param(b"{", id="half"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(DEEP, id="deep"),
        pytest.param(b'{"entity":' * 8_000, id="deep objects"),
        pytest.param(b'{"entity": ' + b"9" * 5_000 + b"}", id="a long number"),
        pytest.param(b'{"a": "' + b"x" * 70_000 + b'"}', id="large"),
        pytest.param(mlflow_event("model_version_alias", "created", []), id="data is a list"),
        pytest.param(mlflow_event(["model_version_alias"], "created", {}), id="the entity is a list"),
        pytest.param(mlflow_event("model_version_alias", "created", {"name": "m", "alias": "a"}), id="no version"),
        pytest.param(mlflow_event("model_version_alias", "created", {"name": "m", "alias": "a", "version": 1}), id="a number"),
        pytest.param(mlflow_event("model_version_alias", "created", {"name": "m", "alias": "a", "version": True}), id="true"),
        pytest.param(mlflow_event("model_version_alias", "created", {"name": ["m"], "alias": "a", "version": "1"}), id="the name is a list"),
        pytest.param(mlflow_event("model_version_alias", "created", {"name": "", "alias": "a", "version": "1"}), id="no name"),
        *(
            pytest.param(alias_event(version), id=f"version {version}")
            for version in ("0", "-1", "01", "1.0", "1e3", "٣", "1\n", " 1", "latest", "9" * 11, "1; reboot", "$(reboot)")
        ),
    ],
)
def test_what_mlflow_would_not_send_is_malformed(body):
    """And never another exception."""
    with pytest.raises(Malformed):
        events.read(Sender.MLFLOW, body)


@pytest.mark.parametrize(
    "changes",
    [{"event": None}, {"model_name": 5}, {"version": 8}, {"to_stage": None}]
    + [{"event_timestamp": odd} for odd in ("1", True, None, -1, 10**15, 1.5)],
    ids=str,
)
def test_what_databricks_would_not_send_is_malformed(changes):
    """Without its signed time it could be sent again for ever."""
    with pytest.raises(Malformed):
        events.read(Sender.DATABRICKS, databricks_event(**changes))


@pytest.mark.parametrize(
    ("event", "candidate", "wanted"),
    [
        (Event(Kind.ALIAS, MODEL, 1, "@staging"), "@staging", True),
        (Event(Kind.ALIAS, MODEL, 1, "@Staging"), "@staging", False),
        (Event(Kind.ALIAS, MODEL, 1, "@production"), "@staging", False),
        (Event(Kind.ALIAS, MODEL + " ", 1, "@staging"), "@staging", False),
        (Event(Kind.ALIAS, MODEL, 1, "@staging"), "Staging", False),
        (Event(Kind.STAGE, MODEL, 1, "Staging"), "Staging", True),
        (Event(Kind.STAGE, MODEL, 1, "Archived"), "Staging", False),
        (Event(Kind.STAGE, MODEL, 1, "@staging"), "Staging", False),
        (Event(Kind.TAG, MODEL, 1, "stage=Staging"), "Staging", True),
        (Event(Kind.TAG, MODEL, 1, "stage=Staging"), "@staging", True),
        (Event(Kind.TAG, MODEL, 1, "stage=Archived"), "Staging", False),
        (Event(Kind.TAG, MODEL, 1, "Staging"), "Staging", False),
        (Event(Kind.TAG, "another", 1, "stage=Staging"), "Staging", False),
    ],
)
def test_an_event_is_for_the_service_whose_candidate_it_announces(tmp_path, event, candidate, wanted):
    """By the model's exact name, and by the alias, stage or tag that the service says."""
    assert event.is_for(settings(tmp_path, candidate=candidate)) is wanted


def test_a_service_without_a_tag_waits_for_none(tmp_path):
    """Not even for one with neither name nor value."""
    alone = settings(tmp_path)
    assert alone.pipeline
    without = alone.model_copy(update={"pipeline": alone.pipeline.model_copy(update={"event_tag": ""})})
    assert not Event(Kind.TAG, MODEL, 1, "").is_for(without) and not Event(Kind.TAG, MODEL, 1, "=").is_for(without)
    assert events.needed(without) == ("model_version_alias.created",)


def test_a_stage_is_announced_by_a_tag_alone(tmp_path):
    """OSS MLflow has no event for stages."""
    assert events.needed(settings(tmp_path, candidate="Staging")) == ("model_version_tag.set",)
    assert events.needed(settings(tmp_path)) == ("model_version_alias.created", "model_version_tag.set")
