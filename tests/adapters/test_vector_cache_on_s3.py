"""The cache of vectors on S3 (a real server, moto): what a folder does, and what only a service can do to it."""

from pathlib import Path

import pytest

from scripts.errors import Unreachable, UsageError
from tests.adapters.test_vector_cache import MIB, Place, run, texts, vectors
from tests.s3 import S3Server, use
from tests.servers import free_ports


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, "s3://shop/some/vectors")


def test_s3_keeps_and_finds(s3, place):
    """As a folder does: in several segments, for another process, within the bound; and nothing is written here."""
    assert place.keep(0, 3_000, mib=1) == ""
    with run(place, "print(len(place.found(0, 3_500)))") as other:
        assert int(other.stdout.read()) == 3_000
    assert place.keep(3_000, 12_000, mib=1) == ""
    sizes = [found["Size"] for found in s3.client("s3").list_objects_v2(Bucket="shop")["Contents"]]
    assert 0.5 * MIB < sum(sizes) <= MIB
    assert place.found(0, 12_000, mib=1)
    assert list(place.root.iterdir()) == []


def test_a_cache_that_may_only_be_read_is_read(s3, place, monkeypatch):
    """What is there is found; what is not cannot be kept, and the result says so once."""
    place.keep(0, 100)
    reader = s3.user("reader", "s3:ListBucket", "s3:GetObject")
    s3.guard()
    use(monkeypatch, reader)
    assert place.found(0, 200) == list(range(100))
    trouble = place.keep(100, 200)
    assert "100 vectors were not kept" in trouble
    assert trouble.count("s3://shop/some/vectors: access is denied") == 1


def test_an_s3_that_goes_away_is_a_miss(tmp_path_factory, place, monkeypatch):
    """Finding and keeping go on, what is in memory is found, and the result names the place."""
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        server.make("shop")
        use(monkeypatch, server.variables())
        place.keep(0, 100)
        cache = place.open()
    assert cache.find(texts(0, 100))[0].size == 0
    cache.keep(texts(0, 200), vectors(0, 200))
    assert cache.find(texts(0, 200))[0].tolist() == list(range(100, 200))
    cache.close()
    assert "100 vectors were not kept" in cache.trouble
    assert "s3://shop/some/vectors: nothing answers" in cache.trouble


def test_an_s3_that_denies_is_told_at_once(s3, place, monkeypatch):
    """Before any text is encoded: no right to list, and no such key."""
    writer = s3.user("writer", "s3:PutObject")
    s3.guard()
    for variables in (writer, s3.variables("nobody", "nothing")):
        use(monkeypatch, variables)
        with pytest.raises(Unreachable, match="s3://shop/some/vectors: access is denied"):
            place.open()


def test_an_s3_that_is_not_there_is_told_at_once(place, monkeypatch, unused_port):
    """Before any text is encoded."""
    use(monkeypatch, {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{unused_port}", "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
    with pytest.raises(Unreachable, match="s3://shop/some/vectors: nothing answers"):
        place.open()


def test_a_bucket_that_is_not_there_is_told_at_once(s3, tmp_path):
    """A misspelt bucket is no empty cache."""
    with pytest.raises(UsageError, match="s3://buckte/vectors"):
        Place(tmp_path, "s3://buckte/vectors").open()


@pytest.fixture
def unused_port() -> int:
    return free_ports(1)[0]
