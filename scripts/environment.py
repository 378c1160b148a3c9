"""What comes from the environment: addresses, secrets and the pipeline that this is a part of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from scripts.tls import OPEN, TlsFiles


class Environment(BaseModel):
    """What comes from the environment only: addresses, secrets and the CI build."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mlflow_uri: str = Field(repr=False)  # either may have a password in it
    milvus_uri: str = Field(repr=False)
    milvus_token: SecretStr
    milvus_tls: TlsFiles = OPEN
    mlflow_unverified: bool = False
    """Whether any server is believed to be MLflow, whatever certificate it shows."""
    embedded: tuple[str, ...] = ()
    """Variables that are not set, so that parts of this machine alone stand in for what they would name."""
    source_password: SecretStr = SecretStr("")
    circleci_token: SecretStr = SecretStr("")
    webhook_secret: SecretStr = SecretStr("")
    notify_url: SecretStr = SecretStr("")
    """Where messages go; whoever has it may write there."""
    build_id: str
    """Of the pipeline that this is a part of, else empty."""
    build_url: str
    actor: str = ""
    """Who runs this, for the record."""
    shard: str
    """`I/N` where a pipeline runs this job N times in parallel, else empty."""
    ray_address: str = "auto"
