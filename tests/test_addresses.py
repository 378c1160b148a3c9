"""Which addresses carry a secret: those are taken nowhere, because an address is stamped, logged and shown."""

from __future__ import annotations

import pytest

from scripts.addresses import has_secret


@pytest.mark.parametrize(
    "uri",
    [
        "https://host/p.csv?X-Amz-Credential=AKIA&X-Amz-Signature=0a1b",
        "https://host/p.csv?AWSAccessKeyId=AKIA&Signature=0a1b&Expires=1",
        "https://host/p.csv?sv=2024&sig=0a1b",
        "mysql+mysqldb://shop@host/db?passwd=x",
        "mssql+pyodbc://shop@host/db?PWD=x",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3D%7BODBC%7D%3BUID%3Dshop%3BPWD%3Dx",
    ],
)
def test_signed_links_and_odd_names_of_passwords_are_secrets(uri):
    """Whoever has such a link may read with it, as with a password."""
    assert has_secret(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/day=2026-01-01/key=5/p.parquet",
        "postgresql+psycopg://shop@host/db?sslkey=client.pem&sslmode=verify-full",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3D%7BODBC%7D%3BTrusted_Connection%3Dyes",
        "https://host/p.csv?design=new&signatures=all",
    ],
)
def test_what_only_looks_like_one_is_taken(uri):
    """Folders named by a column, and the file that a key is in."""
    assert not has_secret(uri)
