"""TLS to the real Milvus and the real MLflow: it works with the right files, and what is wrong is told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from scripts import config
from scripts.errors import KitError, Unreachable, UsageError
from scripts.wiring import Wiring, open_store
from tests.certificates import Authority
from tests.servers import MilvusServer, MlflowServer, ServerTls
from tests.shop import Shop

CA, CERTIFICATE, KEY, NAME = "MILVUS_CA_PEM_PATH", "MILVUS_CLIENT_PEM_PATH", "MILVUS_CLIENT_KEY_PATH", "MILVUS_SERVER_NAME"
MLFLOW_CA, MLFLOW_OURS, MLFLOW_INSECURE = "MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH", "MLFLOW_TRACKING_INSECURE_TLS"


@dataclass
class World:
    """Servers by how they speak TLS, and files of certificates by what they are good for."""

    milvus: dict[str, str]
    mlflow: dict[str, str]
    files: dict[str, str]


@pytest.fixture(scope="module")
def world(milvus_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("tls")
    ours, others = Authority(folder, "ours"), Authority(folder, "others")
    good, expired = ours.sign("server"), ours.sign("expired", days=-1)
    inside = ours.sign("inside", hosts=("milvus.internal",))
    client, stranger = ours.sign("client"), others.sign("stranger")
    locked = ours.sign("locked", password=b"secret-of-the-key")
    garbage = folder / "garbage.pem"
    garbage.write_text("no certificate")
    files = {"ours": ours.certificate, "others": others.certificate, "garbage": garbage, "folder": folder, "absent": folder / "absent.pem"}
    files |= {"own": good.certificate}
    for name, signed in {"client": client, "stranger": stranger, "expired": expired, "locked": locked}.items():
        files |= {name: signed.certificate, f"{name} key": signed.key, f"{name} both": signed.both}
    ways = {
        "one-way": ServerTls(good.certificate, good.key),
        "mutual": ServerTls(good.certificate, good.key, clients=ours.certificate),
        "expired": ServerTls(expired.certificate, expired.key),
        "inside": ServerTls(inside.certificate, inside.key),
    }
    with ExitStack() as running:
        milvus = {way: running.enter_context(MilvusServer(folder / f"milvus-{way}", milvus_wheel, tls=tls)).uri for way, tls in ways.items()}
        mlflow = {way: running.enter_context(MlflowServer(folder / f"mlflow-{way}", tls=ways[way])).uri for way in ("one-way", "mutual", "expired")}
        yield World(milvus, mlflow, {name: str(path) for name, path in files.items()})


def collections(uri: str, **variables: str) -> list[str]:
    """Asked of Milvus, with these environment variables and no others."""
    environment = config.environment(Path(), {"MILVUS_URI": uri, "MILVUS_TOKEN": MilvusServer.token} | variables)
    with open_store(environment) as store:
        return store.collections()


def failure(uri: str, kind: type[KitError], **variables: str) -> str:
    with pytest.raises(kind) as failed:
        collections(uri, **variables)
    line = str(failed.value)
    assert "\n" not in line and MilvusServer.token not in line and "BEGIN" not in line
    return line


def test_the_authority_alone_opens_one_way_tls(world: World) -> None:
    """MILVUS_CA_PEM_PATH is all that is needed; pymilvus' own setting of that name would not do it."""
    assert collections(world.milvus["one-way"], **{CA: world.files["ours"]}) == []


def test_the_servers_own_certificate_is_authority_enough(world: World) -> None:
    """As where no authority signed it but itself."""
    assert collections(world.milvus["one-way"], **{CA: world.files["own"]}) == []


def test_a_clients_certificate_opens_mutual_tls(world: World) -> None:
    """Authority, certificate and key together."""
    ours = {CA: world.files["ours"], CERTIFICATE: world.files["client"], KEY: world.files["client key"]}
    assert collections(world.milvus["mutual"], **ours) == []


def test_a_server_of_another_name_is_trusted_by_that_name(world: World) -> None:
    """As behind an address that its certificate is not for."""
    assert collections(world.milvus["inside"], **{CA: world.files["ours"], NAME: "milvus.internal"}) == []


FAULTS = {
    "an authority that did not sign": ("one-way", Unreachable, {CA: "others"}, ["not trusted", f"Set {CA}"]),
    "no authority": ("one-way", Unreachable, {}, ["not trusted", f"Set {CA}"]),
    "an expired certificate": ("expired", Unreachable, {CA: "ours"}, ["has expired", "Renew it on the server"]),
    "a certificate for another host": ("inside", Unreachable, {CA: "ours"}, ["not for 127.0.0.1", f"set {NAME}"]),
    "no certificate of ours": ("mutual", Unreachable, {CA: "ours"}, [f"Set {CERTIFICATE} and {KEY}"]),
    "ours is from elsewhere": ("mutual", Unreachable, {CA: "ours", CERTIFICATE: "stranger", KEY: "stranger key"}, [f"Set {CERTIFICATE}"]),
    "ours has expired": ("mutual", Unreachable, {CA: "ours", CERTIFICATE: "expired", KEY: "expired key"}, [f"Set {CERTIFICATE}"]),
    "the key of another": ("mutual", UsageError, {CA: "ours", CERTIFICATE: "client", KEY: "stranger key"}, [KEY, "is not the key of"]),
    "a key with a password": ("mutual", UsageError, {CA: "ours", CERTIFICATE: "locked", KEY: "locked key"}, [KEY, "with a password"]),
    "a certificate without its key": ("mutual", UsageError, {CA: "ours", CERTIFICATE: "client"}, [f"{CERTIFICATE} is set and {KEY} is not"]),
    "a certificate without an authority": ("mutual", UsageError, {CERTIFICATE: "client", KEY: "client key"}, [f"{CA} is not"]),
    "a file that is not there": ("one-way", UsageError, {CA: "absent"}, [CA, "cannot be read: No such file"]),
    "a folder": ("one-way", UsageError, {CA: "folder"}, [CA, "cannot be read: Is a directory"]),
    "a file without a certificate": ("one-way", UsageError, {CA: "garbage"}, [CA, "holds no certificate"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_tls_to_milvus_is_told_in_one_line(world: World, fault: str) -> None:
    """What it is, and which variable to set; nothing of the token or the key."""
    way, kind, variables, words = FAULTS[fault]
    line = failure(world.milvus[way], kind, **{name: world.files[file] for name, file in variables.items()})
    for word in words:
        assert word in line


@pytest.mark.parametrize("way", ["one-way", "mutual"])
def test_http_to_a_milvus_that_speaks_tls_is_told(world: World, way: str) -> None:
    """No password goes there in the clear twice: the address is what has to be changed."""
    assert "speaks TLS. Write https:// in MILVUS_URI" in failure(world.milvus[way].replace("https:", "http:"), UsageError)


def test_https_to_a_milvus_without_tls_is_told(milvus_server: MilvusServer) -> None:
    """Not as a wrong token."""
    assert "does not speak TLS. Write http:// in MILVUS_URI" in failure(milvus_server.uri.replace("http:", "https:"), Unreachable)


def test_files_for_tls_with_an_open_address_are_refused(world: World, milvus_server: MilvusServer) -> None:
    """Who names an authority believes to be safe; nothing is sent."""
    assert f"{CA} is set, but MILVUS_URI" in failure(milvus_server.uri, UsageError, **{CA: world.files["ours"]})


def test_a_wrong_token_over_tls_is_still_told_as_one(world: World) -> None:
    """TLS is well, the user is not."""
    wrong = {CA: world.files["ours"], "MILVUS_TOKEN": "root:not-the-password"}
    assert "Check MILVUS_TOKEN" in failure(world.milvus["one-way"], Unreachable, **wrong)


def test_a_command_ends_in_that_line(world: World, tmp_path: Path) -> None:
    """Through the command line, with exit code 5 and no traceback."""
    shop = Shop(tmp_path / "shop", world.milvus["one-way"], MilvusServer.token, f"sqlite:///{tmp_path / 'mlflow.db'}")
    refused = shop.run("status", **{CA: world.files["others"]})
    assert refused.exit_code == 5
    assert [line for line in refused.stderr.splitlines() if line.startswith("error:") and "not trusted" in line]
    assert shop.do("status", **{CA: world.files["ours"]})["pairs"] == []


def registry_version(world: World, monkeypatch: pytest.MonkeyPatch, uri: str, **files: str) -> int | None:
    """Which version of a model that does not exist is in production: None, where MLflow answers."""
    for name, value in files.items():
        monkeypatch.setenv(name, world.files.get(value, value))
    client = Wiring(_settings(uri, files)).registry
    return client.at("nobody", "Production")


def _settings(uri: str, variables: dict[str, str]) -> object:
    """As far as the registry is concerned."""

    @dataclass(frozen=True)
    class Settings:
        environment = config.environment(Path(), {"MLFLOW_TRACKING_URI": uri} | variables)

    return Settings()


def told(world: World, monkeypatch: pytest.MonkeyPatch, uri: str, kind: type[KitError], **files: str) -> str:
    with pytest.raises(kind) as failed:
        registry_version(world, monkeypatch, uri, **files)
    assert "\n" not in str(failed.value)
    return str(failed.value)


def answers(world: World, monkeypatch: pytest.MonkeyPatch, uri: str, **files: str) -> bool:
    """MLflow itself says that it does not know the model."""
    return "RESOURCE_DOES_NOT_EXIST" in told(world, monkeypatch, uri, UsageError, **files)


def test_mlflow_over_tls_answers_with_its_own_variables(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLFLOW_TRACKING_SERVER_CERT_PATH for the server, MLFLOW_TRACKING_CLIENT_CERT_PATH where it asks who we are."""
    assert answers(world, monkeypatch, world.mlflow["one-way"], **{MLFLOW_CA: "ours"})
    assert answers(world, monkeypatch, world.mlflow["mutual"], **{MLFLOW_CA: "ours", MLFLOW_OURS: "client both"})


def test_mlflow_that_is_not_verified_is_warned_of(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Once, on standard error, in our words and not in urllib3's."""
    assert answers(world, monkeypatch, world.mlflow["expired"], **{MLFLOW_INSECURE: "true"})
    warned = click.unstyle(capsys.readouterr().err).splitlines()
    (warning,) = (line for line in warned if "arning" in line)
    assert warning == "warning: MLFLOW_TRACKING_INSECURE_TLS is set: whoever answers at MLFLOW_TRACKING_URI is believed."


MLFLOW_FAULTS = {
    "an authority that did not sign": ("one-way", Unreachable, {MLFLOW_CA: "others"}, ["not trusted", f"Set {MLFLOW_CA}"]),
    "no authority": ("one-way", Unreachable, {}, ["not trusted", f"Set {MLFLOW_CA}"]),
    "an expired certificate": ("expired", Unreachable, {MLFLOW_CA: "ours"}, ["has expired"]),
    "no certificate of ours": ("mutual", Unreachable, {MLFLOW_CA: "ours"}, [f"Set {MLFLOW_OURS}"]),
    "our certificate without its key": ("mutual", UsageError, {MLFLOW_CA: "ours", MLFLOW_OURS: "client"}, [MLFLOW_OURS, "its key"]),
    "a file that is not there": ("one-way", UsageError, {MLFLOW_CA: "absent"}, [MLFLOW_CA, "there is no"]),
    "a file without a certificate": ("one-way", UsageError, {MLFLOW_CA: "garbage"}, [MLFLOW_CA, "holds no certificate"]),
    "both trusted and not": ("one-way", UsageError, {MLFLOW_CA: "ours", MLFLOW_INSECURE: "true"}, ["both set", f"Unset {MLFLOW_INSECURE}"]),
}


@pytest.mark.parametrize("fault", MLFLOW_FAULTS)
def test_what_is_wrong_with_tls_to_mlflow_is_told_in_one_line(world: World, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Before MLflow's retries, which would take half a minute and end in a page."""
    way, kind, files, words = MLFLOW_FAULTS[fault]
    line = told(world, monkeypatch, world.mlflow[way], kind, **files)
    for word in words:
        assert word in line


def test_http_to_an_mlflow_that_speaks_tls_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is what has to be changed."""
    assert "speaks TLS. Write https://" in told(world, monkeypatch, world.mlflow["one-way"].replace("https:", "http:"), UsageError)


def test_https_to_an_mlflow_without_tls_is_told(world: World, monkeypatch: pytest.MonkeyPatch, mlflow_server: MlflowServer) -> None:
    """As what it is."""
    assert "does not speak TLS. Write http://" in told(world, monkeypatch, mlflow_server.uri.replace("http:", "https:"), Unreachable)
