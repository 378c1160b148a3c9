"""What promotion.yaml can say, section by section, and what the environment adds; each checked by itself."""

from __future__ import annotations

import string
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from scripts import digests
from scripts.addresses import has_secret
from scripts.capacity.policy import CapacitySettings, Policy
from scripts.environment import Environment
from scripts.layout import FIELD_NAME, RESERVED, Consistency, FieldType, Index
from scripts.pair import Embedding, identifier, production_alias
from scripts.pipelines import PipelineSettings

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


class PromotionSettings(_Section):
    """What a promotion does besides the switch, and what it puts up with."""

    catch_up: bool = True
    """Whether changes of the source since the build are brought in before the switch."""
    max_changed: float = Field(default=0.01, ge=0, le=1)
    """The share of rows that may have changed since the validation; beyond it, validation has to be repeated."""
    approval_max_age_days: float = Field(default=14, gt=0, le=36_500)
    """How old the approved evidence may be."""
    probe_seconds: float = Field(default=30, gt=0, le=3_600)
    """How long the alias may take until it answers with the new pair."""
    verify: bool = True
    """Whether the golden queries are asked through production after the switch."""
    max_loss: float = Field(default=0.02, ge=0, le=1)
    """By how much a measure may then be lower than in the evidence."""


class RetentionSettings(_Section):
    keep_days: float = Field(default=7, ge=0, le=36_500)
    keep_previous: int = Field(default=1, ge=0)
    keep_loaded: int = Field(default=1, ge=0)
    """How many predecessors stay in memory; older ones are released, not dropped."""


def _plain_address(uri: str) -> str:
    if has_secret(uri):
        raise ValueError("has a secret in it; take it out: secrets come from the environment only")
    return uri


class CacheSettings(_Section):
    """Where vectors are kept to be used again: a folder here or on S3, and how much of it."""

    uri: str = Field(min_length=1)
    max_gib: float = Field(default=10, gt=0, allow_inf_nan=False)

    @field_validator("uri")
    @classmethod
    def _without_secrets(cls, uri: str) -> str:
        return _plain_address(uri)

    @property
    def max_bytes(self) -> int:
        return int(self.max_gib * 2**30)


class BulkSettings(_Section):
    """A folder through which rows are handed to Milvus as files."""

    uri: str = Field(min_length=1)
    prefix: str
    """The same folder as the server names it."""

    @field_validator("uri")
    @classmethod
    def _without_secrets(cls, uri: str) -> str:
        return _plain_address(uri)


class Settings(_Section):
    """One service: one alias, one model, one source, one suite."""

    service: str = Field(min_length=1, max_length=MAX_SERVICE_CHARS)
    model: ModelSettings
    source: SourceSettings
    index: Index = Index()
    consistency: Consistency = Consistency.BOUNDED
    golden: str
    promotion: PromotionSettings = PromotionSettings()
    retention: RetentionSettings = RetentionSettings()
    capacity: CapacitySettings = CapacitySettings(policy=Policy.WARN)
    """Who says what the cluster has is held to it; of all others the server is asked, and they are warned."""
    cache: CacheSettings | None = None
    bulk: BulkSettings | None = None
    pipeline: PipelineSettings | None = None
    root: Path = Path()
    environment: Environment

    @property
    def alias(self) -> str:
        return production_alias(self.service)

    @property
    def selector(self) -> str:
        """What a pipeline's parameter `service` has to be to find this configuration: the folder's name below `services`, or nothing for the one in the
        repository's root."""
        return self.root.name if self.root.parent.name == "services" else ""

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
