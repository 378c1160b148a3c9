"""Milvus: a server of 2.3.5 or newer, or an embedded milvus-lite file."""

from scripts.adapters.milvus.store import MilvusStore

__all__ = ["MilvusStore"]
