"""promotion.yaml and the environment: what is accepted, and how a mistake is told."""

from pathlib import Path

import pytest
import yaml

from scripts import config, plain_yaml
from scripts.errors import UsageError
from scripts.layout import FieldType, IndexType
from scripts.settings import BadRow, OnBadRow, SourceSettings, template_columns

GOOD = """
service: product_embeddings
model: {name: product-embedding-model, candidate: Staging, production: "@production"}
source:
  uri: data/*.parquet
  key: product_id
  text: "{product_name}. {product_description}"
  columns: [supplier, price_cents]
  types: {price_cents: double}
  on_bad_row: {missing_text: skip}
index: {type: HNSW, metric: COSINE, params: {M: 32}, search: {ef: 100}}
golden: golden_queries/products
retention: {keep_days: 7, keep_previous: 1}
"""
MINIMAL = {
    "service": "shop",
    "model": {"name": "m"},
    "source": {"uri": "a.csv", "key": "id", "text": "{name}"},
    "golden": "golden",
}


@pytest.fixture
def load(tmp_path):
    """Loads the minimal settings with some changed; `a.b` names b in section a, and None leaves it out."""

    def load(changes=None, environ=None):
        raw = yaml.safe_load(yaml.safe_dump(MINIMAL))
        for name, value in (changes or {}).items():
            *sections, last = name.split(".")
            at = raw
            for section in sections:
                at = at.setdefault(section, {})
            at[last] = value
            if value is None:
                del at[last]
        (tmp_path / "promotion.yaml").write_text(yaml.safe_dump(raw))
        return config.load(tmp_path / "promotion.yaml", environ=environ or {})

    return load


def test_a_good_file_is_read(tmp_path):
    """Every section of the documented example."""
    (tmp_path / "promotion.yaml").write_text(GOOD)
    settings = config.load(tmp_path / "promotion.yaml", environ={})
    assert settings.source.uri == ("data/*.parquet",)
    assert settings.source.read_columns == ("product_id", "product_name", "product_description", "supplier", "price_cents")
    assert settings.source.types == {"price_cents": FieldType.DOUBLE}
    assert settings.source.policy(BadRow.MISSING_TEXT) is OnBadRow.SKIP
    assert settings.source.policy(BadRow.MISSING_KEY) is OnBadRow.ERROR
    assert settings.model.production == "@production"
    assert settings.index.type is IndexType.HNSW
    assert settings.index.build_params() == {"M": 32, "efConstruction": 200}
    assert settings.alias == "product_embeddings_prod"
    assert settings.embedding.template == "{product_name}. {product_description}"


def test_a_cache_is_optional(load):
    """None unless it is asked for; then an address is enough, and mistakes are named as in every section."""
    assert load().cache is None
    assert load({"cache.uri": "s3://bucket/vectors"}).cache.max_bytes == 10 * 2**30
    for changes, told in [
        ({"cache.uri": "a", "cache.max_gb": 1}, r"cache.max_gb: unknown setting. Did you mean max_gib\?"),
        ({"cache.max_gib": 1}, "cache.uri: is missing"),
        ({"cache.uri": "a", "cache.max_gib": 0}, "cache.max_gib: .*greater than 0"),
        ({"cache.uri": "s3://key:secret@bucket/a"}, "cache.uri: has a secret"),
    ]:
        with pytest.raises(UsageError, match=told):
            load(changes)


def test_one_word_sets_the_policy_for_all_bad_rows(load):
    """on_bad_row: skip."""
    source = load({"source.on_bad_row": "skip"}).source
    assert {source.policy(fault) for fault in BadRow} == {OnBadRow.SKIP}


def test_settings_cannot_be_changed(load):
    """What was validated is what is used."""
    with pytest.raises(ValueError, match="frozen"):
        load().service = "other"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"servce": "x"}, "servce: unknown setting. Did you mean service?"),
        ({"source.colums": ["a"]}, "source.colums: unknown setting. Did you mean columns?"),
        ({"model.stage": "x"}, "model.stage: unknown setting."),
        ({"index.param": {}}, "index.param: unknown setting. Did you mean params?"),
        ({"retention.keepdays": 3}, "retention.keepdays: unknown setting. Did you mean keep_days?"),
        ({"root": "/"}, "root: unknown setting."),
        ({"environment": {"milvus_token": "x"}}, "environment: unknown setting."),
        ({"service": None}, "service: is missing."),
        ({"source": None}, "source: is missing."),
        ({"source.key": None}, "source.key: is missing."),
        ({"model.name": ""}, "model.name: String should have at least 1 character."),
        ({"service": "x" * 201}, "service: String should have at most 200 characters."),
        ({"model.candidate": "staging"}, "model.candidate: must be one of Staging, Production, Archived, or an alias such as @staging."),
        ({"model.production": "@"}, "model.production: must be one of Staging, Production, Archived, or an alias such as @staging."),
        ({"index.type": "HSNW"}, "index.type: Input should be 'HNSW'"),
        ({"index.metric": "cosine"}, "index.metric: Input should be 'COSINE', 'IP' or 'L2'."),
        ({"retention.keep_previous": -1}, "retention.keep_previous: Input should be greater than or equal to 0."),
        ({"source.types": {"id": "text"}}, "source.types.id: Input should be 'int64', 'double'"),
        ({"source.types": {"idd": "string"}}, "source: types names idd, which is neither the key, nor in the text, nor among the columns."),
        ({"source.on_bad_row": {"bad": "skip"}}, "source.on_bad_row.bad.[key]: Input should be 'missing_key'"),
        ({"source.on_bad_row": "ignore"}, "Input should be 'error' or 'skip'."),
        ({"source.uri": []}, "source.uri: Tuple should have at least 1 item"),
    ],
)
def test_a_mistake_is_named_with_its_field(load, changes, message):
    """In one line, with the setting that was probably meant."""
    with pytest.raises(UsageError) as refusal:
        load(changes)
    assert message in str(refusal.value)
    assert "promotion.yaml: " in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["price-cents", "1st", "größe", "a b", "", "x" * 256])
@pytest.mark.parametrize("where", ["key", "columns"])
def test_a_column_that_cannot_be_a_field_is_refused(load, where, name):
    """Milvus takes letters, digits and underscores."""
    with pytest.raises(UsageError, match="cannot be a Milvus field"):
        load({f"source.{where}": name if where == "key" else [name]})


@pytest.mark.parametrize("name", ["vector", "text_hash", "columns_hash"])
@pytest.mark.parametrize("where", ["key", "columns"])
def test_a_column_with_a_name_of_the_kit_is_refused(load, where, name):
    """The vector and the two hashes are fields of their own."""
    with pytest.raises(UsageError, match="has the name of a field of the kit"):
        load({f"source.{where}": name if where == "key" else [name]})


@pytest.mark.parametrize("columns", [["id"], ["price", "price"]])
def test_a_column_is_stored_once(load, columns):
    """The key is stored anyway."""
    with pytest.raises(UsageError, match="stored more than once"):
        load({"source.columns": columns})


@pytest.mark.parametrize("template", ["{x.__class__}", "{x[0]}", "{x!r}", "{x:>10}", "{}", "{0}", "{x y}", "{x", "x}", "{x}{y.z}"])
def test_a_template_names_columns_and_nothing_else(load, template):
    """Attributes, indexes, conversions and formats would run code or change the text."""
    with pytest.raises(UsageError, match=r"source\.text: is not a template"):
        load({"source.text": template})


@pytest.mark.parametrize("template", ["", "product", "{{x}}"])
def test_a_template_without_columns_is_refused(load, template):
    """Every row would have the same text."""
    with pytest.raises(UsageError, match=r"source\.text: names no column"):
        load({"source.text": template})


def test_each_column_is_read_once():
    """Key first, then the text's, then the stored ones, each at its first place."""
    source = SourceSettings(uri="-", key="id", text="{name} {id} {name} {größe}", columns=("name", "price"))
    assert template_columns(source.text) == ("name", "id", "größe")
    assert source.read_columns == ("id", "name", "größe", "price")


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    """Wherever the command is run, and however the file is named."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "promotion.yaml").write_text(yaml.safe_dump(MINIMAL))
    monkeypatch.chdir(folder)
    here = config.load(Path("promotion.yaml"), environ={})
    monkeypatch.chdir(tmp_path)
    there = config.load(Path("shop/promotion.yaml"), environ={})
    assert here == there
    assert here.root == folder
    assert here.golden_folder == folder / "golden"


def test_an_empty_environment_means_the_embedded_parts(load, tmp_path):
    """Also where a variable is set to nothing, as CI does with an unknown context."""
    for environ in ({}, {"MILVUS_URI": "", "MLFLOW_TRACKING_URI": ""}):
        found = load(environ=environ).environment
        assert found.milvus_uri == str(tmp_path / ".promotion" / "milvus.db")
        assert found.mlflow_uri == f"sqlite:///{tmp_path / '.promotion' / 'mlflow.db'}"
        assert (found.milvus_token.get_secret_value(), found.build_id, found.build_url) == ("", "", "")


def test_the_environment_names_servers_and_the_build(load):
    """Addresses, the token and what CircleCI says of itself."""
    found = load(
        environ={
            "MILVUS_URI": "http://milvus:19530",
            "MILVUS_TOKEN": "root:Milvus",
            "MLFLOW_TRACKING_URI": "http://mlflow",
            "CIRCLE_WORKFLOW_ID": "w-1",
            "CIRCLE_BUILD_URL": "https://ci/1",
        }
    ).environment
    assert (found.milvus_uri, found.mlflow_uri, found.build_id, found.build_url) == ("http://milvus:19530", "http://mlflow", "w-1", "https://ci/1")
    assert found.milvus_token.get_secret_value() == "root:Milvus"


def test_the_environment_is_read_only_where_none_is_given(load, tmp_path, monkeypatch):
    """A test's environment is the whole environment."""
    monkeypatch.setenv("MILVUS_URI", "http://elsewhere")
    assert load(environ={"PATH": ""}).environment.milvus_uri == str(tmp_path / ".promotion" / "milvus.db")
    assert config.load(tmp_path / "promotion.yaml").environment.milvus_uri == "http://elsewhere"


def test_secrets_never_show(load):
    """Neither the token nor a password within an address, in repr, str or a format."""
    settings = load(environ={"MILVUS_TOKEN": "s3cret", "MILVUS_URI": "http://root:s3cret@milvus", "MLFLOW_TRACKING_URI": "postgresql://me:s3cret@db/mlflow"})
    assert "s3cret" not in f"{settings!r} {settings} {settings.environment!r} {settings.environment}"


@pytest.mark.parametrize(
    ("service", "prefix"),
    [
        ("product_embeddings", "product_embeddings"),
        ("product-embeddings", "product_embeddings"),
        ("shop.de products", "shop_de_products"),
        ("3d-models", "_3d_models"),
    ],
)
def test_a_service_is_named_as_milvus_takes_it(load, service, prefix):
    """Hyphens and dots become underscores, in the alias and in every collection."""
    settings = load({"service": service})
    assert settings.collection_prefix == prefix
    assert settings.alias == f"{prefix}_prod"


def test_a_missing_file_is_told_with_a_hint(tmp_path):
    """And nothing is made up in its place."""
    with pytest.raises(UsageError, match=r"There is no configuration at .*promotion\.yaml\. Write a promotion\.yaml"):
        config.load(tmp_path / "promotion.yaml", environ={})


@pytest.mark.parametrize("content", [b"service: [", b"service: \xff", b"- a\n- b\n", b"", b"just words"])
def test_a_file_that_is_no_mapping_is_told_in_one_line(tmp_path, content):
    """Broken YAML, broken UTF-8, lists and nothing at all."""
    (tmp_path / "promotion.yaml").write_bytes(content)
    with pytest.raises(UsageError, match=r"promotion\.yaml (cannot be read|is not a mapping)") as refusal:
        config.load(tmp_path / "promotion.yaml", environ={})
    assert "\n" not in str(refusal.value)


def test_a_folder_is_no_configuration(tmp_path):
    """--config shop instead of shop/promotion.yaml."""
    with pytest.raises(UsageError, match="cannot be read"):
        config.load(tmp_path, environ={})


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("service: other\n", "promotion.yaml, line 2: 'service' is there twice, first in line 1. Leave one of them."),
        ("pace: {rows_per_second: 1, rows_per_second: 2}\n", "line 2: 'rows_per_second' is there twice, first in line 2"),
        ("index:\n  type: FLAT\n  'type': HNSW\n", "line 4: 'type' is there twice, first in line 3"),
    ],
)
def test_a_setting_that_is_there_twice_is_told(tmp_path, lines, told):
    """With both lines: YAML would take the last one silently."""
    (tmp_path / "promotion.yaml").write_text("service: shop\n" + lines)
    with pytest.raises(UsageError) as refusal:
        config.load(tmp_path / "promotion.yaml", environ={})
    assert told in str(refusal.value)


def test_what_is_merged_may_be_overridden(tmp_path):
    """`<<` takes another mapping's settings, and the section's own win; that is no setting twice."""
    text = "base: &base {name: shop}\nmodel: {<<: *base, name: mine}\nagain: {<<: *base}\n"
    assert plain_yaml.parsed(text, tmp_path) == {"base": {"name": "shop"}, "model": {"name": "mine"}, "again": {"name": "shop"}}
