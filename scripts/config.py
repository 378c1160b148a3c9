"""promotion.yaml and the environment, as one frozen Settings. The only reader of os.environ."""

from __future__ import annotations

import difflib
import os
import socket
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr, ValidationError

from scripts import plain_yaml
from scripts.environment import Environment
from scripts.errors import UsageError
from scripts.roles import ROLES
from scripts.settings import EMBEDDED_FOLDER, Settings
from scripts.tls import TlsFiles


def load(path: Path, environ: dict[str, str] | None = None) -> Settings:
    """The settings of one service, checked. Relative paths in the file are relative to its folder.

    Raises UsageError naming the field that is wrong and, where one is near, the name that was meant.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"There is no configuration at {path}.", hint="Write a promotion.yaml (see README), or pick one with --config.") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from None
    raw = plain_yaml.parsed(text, path)
    if not isinstance(raw, dict):
        raise UsageError(f"{path} is not a mapping of settings.", hint="It begins with `service: …`.")
    reserved = {"root", "environment"} & raw.keys()
    if reserved:
        raise UsageError(f"{path}: {reserved.pop()}: unknown setting.")
    root = path.resolve().parent
    try:
        return Settings.model_validate(raw | {"root": root, "environment": _environment(root, os.environ if environ is None else environ)})
    except ValidationError as error:
        raise UsageError(f"{path}: {_explain(error)}") from None


def environment(root: Path, environ: dict[str, str] | None = None) -> Environment:
    """Addresses and secrets alone, for who has no promotion.yaml. Embedded parts are below `root`."""
    return _environment(root, os.environ if environ is None else environ)


def role_passwords(environ: dict[str, str] | None = None) -> dict[str, SecretStr]:
    """By role, of those users that `roles setup` is to make: MILVUS_BUILDER_PASSWORD and its like."""
    given = os.environ if environ is None else environ
    return {role.name: SecretStr(password) for role in ROLES if (password := given.get(f"MILVUS_{role.name.upper()}_PASSWORD"))}


def secret(variable: str) -> SecretStr | None:
    """What the variable holds that clusters.yaml names; None where it is not set."""
    return SecretStr(value) if (value := os.environ.get(variable)) else None


def prepare_libraries() -> None:
    """To be called before pymilvus or a model is imported: what they read from the environment then is settled here.

    Threads of torch that wait for work would spin, and halve the speed of a Milvus on the same machine; asleep they cost nothing. pymilvus dies of
    a milvus-lite file's path in MILVUS_URI (3.0.2). grpc tells every lost ping on standard error ("Got goaway … too_many_pings"), unless it is
    asked not to.
    """
    if "://" not in os.environ.get("MILVUS_URI", ""):
        os.environ.pop("MILVUS_URI", None)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def prepare_for_ray() -> None:
    """To be called before ray is imported: what its core logs, it writes to standard error of this process ("constructor arguments in the
    object store …", 2.60)."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")


def s3_location() -> tuple[str, str]:
    """Endpoint and region of S3, each empty where it is not set. AWS's own clients read these variables; Arrow (25.0) leaves the endpoint out."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    return endpoint, os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", "")


def _environment(root: Path, environ: Any) -> Environment:
    embedded = root / EMBEDDED_FOLDER
    return Environment(
        mlflow_uri=environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{embedded / 'mlflow.db'}",
        milvus_uri=environ.get("MILVUS_URI") or str(embedded / "milvus.db"),
        milvus_token=SecretStr(environ.get("MILVUS_TOKEN", "")),
        embedded=tuple(name for name in ("MILVUS_URI", "MLFLOW_TRACKING_URI") if not environ.get(name)),
        milvus_tls=TlsFiles(
            ca=environ.get("MILVUS_CA_PEM_PATH", ""),
            certificate=environ.get("MILVUS_CLIENT_PEM_PATH", ""),
            key=environ.get("MILVUS_CLIENT_KEY_PATH", ""),
            server_name=environ.get("MILVUS_SERVER_NAME", ""),
        ),
        mlflow_unverified=environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"),
        source_password=SecretStr(environ.get("SOURCE_PASSWORD", "")),
        circleci_token=SecretStr(environ.get("CIRCLECI_TOKEN", "")),
        webhook_secret=SecretStr(environ.get("WEBHOOK_SECRET", "")),
        notify_url=SecretStr(environ.get("NOTIFY_URL", "")),
        # Of the pipeline, not of the workflow: "rerun from failed" is another workflow of the same pipeline, and goes on with the same pair.
        build_id=environ.get("CIRCLE_PIPELINE_ID") or environ.get("CIRCLE_WORKFLOW_ID", ""),
        build_url=environ.get("CIRCLE_BUILD_URL", ""),
        actor=environ.get("CIRCLE_USERNAME") or f"{_login(environ)}@{socket.gethostname()}",
        ray_address=environ.get("RAY_ADDRESS") or "auto",
        shard=f"{environ.get('CIRCLE_NODE_INDEX', '')}/{total}" if (total := environ.get("CIRCLE_NODE_TOTAL", "")) not in ("", "1") else "",
    )


def _login(environ: Any) -> str:
    return environ.get("USER") or environ.get("LOGNAME") or f"uid {os.getuid()}"


def _explain(error: ValidationError) -> str:
    """The first fault in one line, with the name that was probably meant."""
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "missing":
        return f"{where}: is missing."
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(fault["loc"][-1]), _known_names(fault["loc"][:-1]), n=1)
        return f"{where}: unknown setting." + (f" Did you mean {near[0]}?" if near else "")
    return f"{where}: {fault['msg'].removeprefix('Value error, ')}."


def _known_names(location: tuple[Any, ...]) -> list[str]:
    section: Any = Settings
    for part in location:
        annotation = section.model_fields[part].annotation
        section = next(iter(get_args(annotation)), annotation)  # a section that may be left out is `Section | None`
    return [name for name in section.model_fields if name not in ("root", "environment")]
