"""Index parameters."""

from scripts.layout import Index, IndexType


def test_hnsw_is_the_default_with_parameters():
    """An empty index section builds and searches well enough."""
    assert Index().build_params() == {"M": 16, "efConstruction": 200}
    assert Index().search_params(10) == {"ef": 64}


def test_the_users_parameters_win():
    """Over the defaults, one by one."""
    index = Index(params={"M": 32}, search={"ef": 128})
    assert index.build_params() == {"M": 32, "efConstruction": 200}
    assert index.search_params(10) == {"ef": 128}


def test_a_candidate_list_is_never_shorter_than_the_answer():
    """Milvus refuses a search whose ef is below its limit (2.3.5)."""
    assert Index().search_params(100) == {"ef": 100}
    assert Index(type=IndexType.DISKANN).search_params(300) == {"search_list": 300}
    assert Index(type=IndexType.IVF_FLAT).search_params(5_000) == {"nprobe": 32}


def test_every_index_type_has_parameters_or_needs_none():
    """Each can be asked for both kinds."""
    for kind in IndexType:
        assert isinstance(Index(type=kind).build_params(), dict)
        assert isinstance(Index(type=kind).search_params(10), dict)
