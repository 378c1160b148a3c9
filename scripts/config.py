"""promotion.yaml and the environment, as one frozen Settings. The only reader of os.environ."""

from __future__ import annotations

import difflib
import os
import string
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from scripts import digests
from scripts.addresses import has_secret
from scripts.errors import UsageError
from scripts.layout import FIELD_NAME, RESERVED, Consistency, FieldType, Index
from scripts.pair import Embedding, identifier, production_alias

EMBEDDED_FOLDER = ".promotion"
# Leaves room for `_v{version}_{build}` within Milvus' 255 characters.
MAX_SERVICE_CHARS = 200
STAGES = ("Staging", "Production", "Archived")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ModelSettings(_Section):
    """Which registered model, and where its candidate and production versions stand: a stage, or `@alias`."""

    name: str = Field(min_length=1)
    candidate: str = "Staging"
    production: str = "Production"
    document_prompt: str = ""
    query_prompt: str = ""
    normalize: bool = False

    @field_validator("candidate", "production")
    @classmethod
    def _stage_or_alias(cls, value: str) -> str:
        if value in STAGES or (value.startswith("@") and len(value) > 1):
            return value
        raise ValueError(f"must be one of {', '.join(STAGES)}, or an alias such as @staging")


class BadRow(StrEnum):
    """What a source row can have that must never be embedded silently."""

    MISSING_KEY = "missing_key"
    DUPLICATE_KEY = "duplicate_key"
    MISSING_TEXT = "missing_text"
    INVALID_UTF8 = "invalid_utf8"
    BAD_VALUE = "bad_value"


class OnBadRow(StrEnum):
    ERROR = "error"
    SKIP = "skip"


# A filter that names such a column cannot be written, and without filters over its key no collection can be read.
_WORDS_OF_FILTERS = frozenset("and or not in like between exists is null true false rowid timestamp".split())


_FILES = ("", "file", "s3", "gs", "gcs", "hdfs", "abfs", "abfss", "http", "https")
_DATABASES = ("postgresql", "postgres", "sqlite", "mysql", "mariadb", "oracle", "mssql")


class SourceSettings(_Section):
    """Where rows come from, what identifies them, and which text is embedded."""

    uri: tuple[str, ...] = Field(min_length=1)
    table: str = ""
    query: str = ""
    key: str
    text: str
    columns: tuple[str, ...] = ()
    types: dict[str, FieldType] = Field(default_factory=dict)
    unescape_html: bool = False
    on_bad_row: dict[BadRow, OnBadRow] = Field(default_factory=dict)

    @field_validator("uri", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("on_bad_row", mode="before")
    @classmethod
    def _one_word_for_all(cls, value: Any) -> Any:
        return dict.fromkeys(BadRow, value) if isinstance(value, str) else value

    @field_validator("text")
    @classmethod
    def _names_columns(cls, template: str) -> str:
        try:
            names = template_columns(template)
        except ValueError as error:
            raise ValueError(f"is not a template: {error}") from None
        if not names:
            raise ValueError("names no column; write for example '{product_name}. {product_description}'")
        return template

    @field_validator("uri")
    @classmethod
    def _without_secrets(cls, uris: tuple[str, ...]) -> tuple[str, ...]:
        if any(map(has_secret, uris)):
            raise ValueError("has a secret in it; take it out: a database's password goes into SOURCE_PASSWORD, others into their own variables")
        return uris

    @model_validator(mode="after")
    def _files_or_a_database(self) -> SourceSettings:
        schemes = [uri.partition("://")[0].lower() if "://" in uri else "" for uri in self.uri]
        if not self.is_database:
            if any(scheme.partition("+")[0] in _DATABASES for scheme in schemes):
                raise ValueError("a database needs source.table or source.query")
            return self
        if self.table and self.query:
            raise ValueError("has both table and query; a source is one of them")
        if len(schemes) > 1 or schemes[0] in _FILES:
            raise ValueError("table and query are for one database, such as postgresql+psycopg://user@host/db or sqlite:///products.db")
        return self

    @model_validator(mode="after")
    def _fields_are_valid(self) -> SourceSettings:
        for name in (self.key, *self.columns):
            if not FIELD_NAME.fullmatch(name):
                raise ValueError(f"column {name!r} cannot be a Milvus field (letters, digits, underscores); rename it in the source")
            if name.lower() in _WORDS_OF_FILTERS:
                raise ValueError(f"column {name!r} is a word of Milvus' own; rename it in the source")
            if name in RESERVED:
                raise ValueError(f"column {name!r} has the name of a field of the kit ({', '.join(RESERVED)}); rename it in the source")
            if (self.key, *self.columns).count(name) > 1:
                raise ValueError(f"column {name!r} is stored more than once; name it as key or once under columns")
        if unknown := self.types.keys() - set(self.read_columns):
            raise ValueError(f"types names {', '.join(sorted(unknown))}, which is neither the key, nor in the text, nor among the columns")
        return self

    @property
    def read_columns(self) -> tuple[str, ...]:
        """Every column that must be read, each once: key, the text's, then the stored ones."""
        return tuple(dict.fromkeys((self.key, *template_columns(self.text), *self.columns)))

    @property
    def is_database(self) -> bool:
        return bool(self.table or self.query)

    @property
    def identity(self) -> str:
        """What the pair's stamp calls the source. It has no secrets in it: none are taken in the configuration."""
        what = f"table {self.table}" if self.table else f"query {digests.of_json(self.query)[:16]}" if self.query else ""
        return " ".join((*self.uri, what)).strip()

    def policy(self, fault: BadRow) -> OnBadRow:
        return self.on_bad_row.get(fault, OnBadRow.ERROR)


class RetentionSettings(_Section):
    keep_days: float = Field(default=7, ge=0, le=36_500)
    keep_previous: int = Field(default=1, ge=0)


class CacheSettings(_Section):
    """Where vectors are kept to be used again: a folder here or on S3, and how much of it."""

    uri: str = Field(min_length=1)
    max_gib: float = Field(default=10, gt=0, allow_inf_nan=False)

    @field_validator("uri")
    @classmethod
    def _without_secrets(cls, uri: str) -> str:
        if has_secret(uri):
            raise ValueError("has a secret in it; take it out: secrets come from the environment only")
        return uri

    @property
    def max_bytes(self) -> int:
        return int(self.max_gib * 2**30)


class Environment(_Section):
    """What comes from the environment only: addresses, secrets and the CI build."""

    mlflow_uri: str = Field(repr=False)  # either may have a password in it
    milvus_uri: str = Field(repr=False)
    milvus_token: SecretStr
    source_password: SecretStr = SecretStr("")
    build_id: str
    build_url: str
    shard: str
    """`I/N` where a pipeline runs this job N times in parallel, else empty."""


class Settings(_Section):
    """One service: one alias, one model, one source, one suite."""

    service: str = Field(min_length=1, max_length=MAX_SERVICE_CHARS)
    model: ModelSettings
    source: SourceSettings
    index: Index = Index()
    consistency: Consistency = Consistency.BOUNDED
    golden: str
    retention: RetentionSettings = RetentionSettings()
    cache: CacheSettings | None = None
    root: Path = Path()
    environment: Environment

    @property
    def alias(self) -> str:
        return production_alias(self.service)

    @property
    def collection_prefix(self) -> str:
        return identifier(self.service)

    @property
    def embedding(self) -> Embedding:
        return Embedding(
            template=self.source.text,
            unescape_html=self.source.unescape_html,
            document_prompt=self.model.document_prompt,
            query_prompt=self.model.query_prompt,
            normalize=self.model.normalize,
        )

    @property
    def golden_folder(self) -> Path:
        return self.root / self.golden

    @property
    def model_cache(self) -> Path:
        return self.root / EMBEDDED_FOLDER / "models"


def template_columns(template: str) -> tuple[str, ...]:
    """The columns that a text template names. Only plain `{column}` is understood: no attributes, indexes or formats."""
    names = []
    for _, name, spec, conversion in string.Formatter().parse(template):
        if name is None:
            continue
        if not name or spec or conversion or not name.replace("_", "a").isidentifier():
            raise ValueError(f"{{{name}}} is not a plain column name")
        names.append(name)
    return tuple(dict.fromkeys(names))


def load(path: Path, environ: dict[str, str] | None = None) -> Settings:
    """The settings of one service, checked. Relative paths in the file are relative to its folder.

    Raises UsageError naming the field that is wrong and, where one is near, the name that was meant.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"There is no configuration at {path}.", hint="Write a promotion.yaml (see README), or pick one with --config.") from None
    except (OSError, ValueError, yaml.YAMLError) as error:  # yaml raises ValueError on dates that do not exist
        raise UsageError(f"{path} cannot be read: {error}.") from None
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


def prepare_libraries() -> None:
    """To be called before pymilvus or a model is imported: what they read from the environment then is settled here.

    Threads of torch that wait for work would spin, and halve the speed of a Milvus on the same machine; asleep they cost nothing. pymilvus dies of a milvus-lite file's path in MILVUS_URI (3.0.2). grpc tells every lost ping on standard error ("Got goaway …
    too_many_pings"), unless it is asked not to.
    """
    os.environ.pop("MILVUS_URI", None)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


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
        source_password=SecretStr(environ.get("SOURCE_PASSWORD", "")),
        build_id=environ.get("CIRCLE_WORKFLOW_ID", ""),
        build_url=environ.get("CIRCLE_BUILD_URL", ""),
        shard=f"{environ.get('CIRCLE_NODE_INDEX', '')}/{total}" if (total := environ.get("CIRCLE_NODE_TOTAL", "")) not in ("", "1") else "",
    )


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
