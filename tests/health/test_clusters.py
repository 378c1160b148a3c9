"""clusters.yaml: what it may say, and how it is told what is wrong with it."""

from __future__ import annotations

import itertools

import pytest
from pydantic import SecretStr

from scripts import clusters
from scripts.errors import UsageError

GOOD = "clusters:\n  - name: eu\n    uri: https://eu.example:19530\n    token_variable: MILVUS_TOKEN_EU\n  - {name: laptop, uri: data/milvus.db}\n"


# Nine mappings that merge each other: 9 to the ninth keys.
MERGED = "a: &a {k: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 9)}]}}\n" for old, new in itertools.pairwise("abcdefghij")
)


def test_clusters_are_read_and_files_are_beside_the_file(tmp_path):
    """An address stays as it is; a milvus-lite file is relative to clusters.yaml, wherever the command runs."""
    path = tmp_path / "clusters.yaml"
    path.write_text(GOOD)
    eu, laptop = clusters.load(path)
    assert (eu.name, eu.uri, laptop.uri) == ("eu", "https://eu.example:19530", str(tmp_path / "data/milvus.db"))
    assert eu.token({"MILVUS_TOKEN_EU": SecretStr("u:p")}.get) == "u:p" and laptop.token({}.get) == ""


def test_a_variable_that_is_not_set_is_named(tmp_path):
    """By its name, when the cluster's turn comes: the others are looked at all the same."""
    path = tmp_path / "clusters.yaml"
    path.write_text(GOOD)
    with pytest.raises(UsageError, match="MILVUS_TOKEN_EU.* is not set"):
        clusters.load(path)[0].token({}.get)


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "not a mapping"),
        ("- a", "not a mapping"),
        ("clusters: []", "clusters: "),
        ("clustres: [{name: a, uri: b}]", "clusters: is missing|Did you mean clusters"),
        (GOOD.replace("token_variable", "token_varaible"), r"clusters\.1\.token_varaible: unknown setting\. Did you mean token_variable\?"),
        (GOOD.replace("token_variable", "zzz"), r"There are name, uri, token_variable"),
        (GOOD.replace("uri: https", "address: https"), r"clusters\.1\.(uri: is missing|address: unknown)"),
        (GOOD.replace("laptop", "eu"), "two clusters have the name eu"),
        (GOOD.replace("name: eu\n", "name: eu\n    name: us\n"), "is there twice"),
        ("clusters: [", "cannot be read"),
        ("clusters: {name: a}", "clusters: is not a list"),
        ("clusters: &a [*a]", "clusters.1: is not a mapping"),
        ("clusters: [{1: x}]", "clusters.1.(name: is missing|1: is not the name of a setting)"),
        (GOOD.replace("name: eu", 'name: "e\\nu"'), r"clusters\.1\.name: has characters in it that are not shown"),
        (GOOD.replace("data/milvus.db", "milvus:19530"), r"clusters\.2\.uri: is neither an address such as"),
        (MERGED, "more than 10,000 keys are merged into one mapping"),
    ],
)
def test_what_is_wrong_with_the_file_is_told_in_one_line(tmp_path, text, told):
    """With the place, and the setting that was probably meant."""
    path = tmp_path / "clusters.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=told) as failure:
        clusters.load(path)
    assert str(path) in str(failure.value) and "\n" not in str(failure.value)


@pytest.mark.parametrize("wrong", ["token_variable: root:s3cretS3cret", "token_variable: s3cretS3cret"])
def test_a_token_in_the_file_is_refused_and_never_repeated(tmp_path, wrong):
    """Whoever reads the log does not learn it; the same goes for a password in an address, also in one with a slash too few, and for a file that is
    no YAML just there."""
    texts = [GOOD.replace("https://eu", f"{begin}root:s3cretS3cret@eu") for begin in ("https://", "https:/", "")]
    texts += [GOOD.replace("token_variable: MILVUS_TOKEN_EU", f"token_variable: {begin}s3cretS3cret") for begin in ("root: ", '"root:', "@", "!", "*")]
    for text in (GOOD.replace("token_variable: MILVUS_TOKEN_EU", wrong), *texts):
        path = tmp_path / "clusters.yaml"
        path.write_text(text)
        with pytest.raises(UsageError) as failure:
            clusters.load(path)
        assert "s3cret" not in str(failure.value)


def test_a_missing_file_is_a_mistake_of_the_command(tmp_path):
    """And says so."""
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        clusters.load(tmp_path / "none.yaml")
