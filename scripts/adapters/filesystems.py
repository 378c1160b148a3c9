"""Where files are: on this machine, on S3, or wherever else Arrow or an installed fsspec package reaches."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from scripts.addresses import shown
from scripts.config import s3_location
from scripts.errors import KitError, Unreachable, UsageError

if TYPE_CHECKING:
    import pyarrow.fs

CONNECT_SECONDS = 3
REQUEST_SECONDS = 20
RETRY_SECONDS = 20

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_OF_ARROW = ("gs", "gcs", "hdfs", "viewfs", "abfs", "abfss")
# Arrow and fsspec take secrets as parameters of an address, under these and longer names.
_SECRET_PARAMETER = re.compile(r"[?&][^=&/]*(key|secret|token|password|sig)=", re.IGNORECASE)


def scheme_of(uri: str) -> str:
    """In small letters; empty for a plain path."""
    return found[1].lower() if (found := _SCHEME.match(uri)) else ""


def is_local(uri: str) -> bool:
    return scheme_of(uri) in ("", "file")


def resolve(uri: str, root: Path) -> tuple[pyarrow.fs.FileSystem, str]:
    """The file system that an address is on, and the path there. A plain path is relative to `root`; on S3 a key is written as it is.

    Secrets and the S3 region and endpoint come from the environment. Nothing is connected to here, but to find out the region of a bucket.
    Raises UsageError where the address has a secret in it, or needs a package that is not installed.
    """
    from pyarrow import fs  # not before it is needed: it brings the clients of every cloud

    scheme = scheme_of(uri)
    if not scheme:
        return fs.LocalFileSystem(), os.path.abspath(root / uri)
    if scheme == "file":
        return fs.LocalFileSystem(), _path_of_file(uri)
    _refuse_secrets(scheme, uri)
    if scheme == "s3":
        return _s3(uri)
    with translated(shown(uri)):
        return _of_arrow(scheme, uri) if scheme in _OF_ARROW else _of_fsspec(scheme, uri)


def _path_of_file(uri: str) -> str:
    address = urlsplit(uri)
    if address.netloc not in ("", "localhost"):
        raise UsageError(f"{shown(uri)} names a file on another machine.", hint="Write file:/// and a path on this one.")
    return unquote(address.path)


def _refuse_secrets(scheme: str, uri: str) -> None:
    user, at, _ = re.split("[/?]", uri[len(scheme) + 3 :], maxsplit=1)[0].rpartition("@")
    # A password may itself have a slash, which would hide the @ from any parser; s3://key:secret@… is written in no other sense.
    if (at and (":" in user or scheme == "s3")) or _SECRET_PARAMETER.search(uri) or (scheme == "s3" and ":" in uri[5:].partition("/")[0]):
        variables = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" if scheme == "s3" else "its own variables"
        raise UsageError(f"The {scheme} address of a file has a secret in it.", hint=f"Take it out: secrets come from the environment only ({variables}).")


def _s3(uri: str) -> tuple[pyarrow.fs.FileSystem, str]:
    from pyarrow import fs

    bucket, _, key = uri[len("s3://") :].partition("/")
    if not bucket:
        raise UsageError(f"{uri} names no bucket.", hint="Write s3://bucket/folder/file.")
    endpoint, region = s3_location()
    if not endpoint and not region:
        try:
            region = fs.resolve_s3_region(bucket)
        except OSError:
            region = ""  # then ~/.aws/config says it, and what is wrong with the bucket is told when it is asked for files
    system = fs.S3FileSystem(
        region=region or None,
        endpoint_override=endpoint or None,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=3),
    )
    return system, f"{bucket}/{key}".rstrip("/")


def _of_arrow(scheme: str, uri: str) -> tuple[pyarrow.fs.FileSystem, str]:
    from pyarrow import fs

    netloc, _, path = uri[len(scheme) + 3 :].partition("/")
    limit = f"?retry_limit_seconds={RETRY_SECONDS}" if scheme in ("gs", "gcs") else ""  # by default a quarter of an hour
    system, base = fs.FileSystem.from_uri(f"{scheme}://{netloc}/{limit}")
    return system, f"{base.rstrip('/')}/{path}"


def _of_fsspec(scheme: str, uri: str) -> tuple[pyarrow.fs.FileSystem, str]:
    from pyarrow import fs

    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(uri)
    except ImportError as error:
        reason = str(error) if getattr(error, "name", None) != "fsspec" else "Install fsspec, and the package that it needs for this"
        raise UsageError(f"{scheme}:// addresses need a package that is not installed.", hint=f"{reason.rstrip('.')}.") from None
    except ValueError as error:
        if "Protocol not known" not in str(error):
            raise
        raise UsageError(
            f"{shown(uri)}: neither Arrow nor an installed fsspec package knows {scheme}://.",
            hint="Is it spelt right? s3, gs, hdfs and abfs come with Arrow; for others install the fsspec package.",
        ) from None
    return fs.PyFileSystem(fs.FSSpecHandler(system)), path


_NOTHING_ANSWERS = ("NETWORK_CONNECTION", "REQUEST_TIMEOUT", "SLOW_DOWN", "SERVICE_UNAVAILABLE", "INTERNAL_FAILURE", "curlCode")
_DENIED = ("ACCESS_DENIED", "AccessDenied", "INVALID_ACCESS_KEY_ID", "InvalidAccessKeyId", "SIGNATURE_DOES_NOT_MATCH", "SignatureDoesNotMatch")
_DENIED += ("MISSING_AUTHENTICATION", "INVALID_CLIENT_TOKEN_ID", "EXPIRED_TOKEN", "ExpiredToken", "InvalidToken", "HTTP status 401", "HTTP status 403")
_ABSENT = ("NO_SUCH_BUCKET", "NoSuchBucket", "NO_SUCH_KEY", "RESOURCE_NOT_FOUND", "HTTP status 404", "Path does not exist", "Cannot open for reading")


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Tells what a file system says of a file or folder in one line. `name` is the address as the user wrote it.

    Raises Unreachable where nothing answers or it does not let us in, UsageError where what is asked for is not there. What Arrow says of
    a file's content is no OSError, and passes.
    """
    try:
        yield
    except KitError:
        raise
    except OSError as error:
        raise explained(error, name) from None


def explained(error: OSError, name: str) -> KitError:
    """The error to raise instead of one that a file system raised."""
    line = " ".join(str(error).split())
    if isinstance(error, FileNotFoundError) or any(word in line for word in _ABSENT):
        return UsageError(f"{name}: there is no such file or bucket (any more).", hint="Check the address.")
    if isinstance(error, PermissionError) or any(word in line for word in _DENIED):
        hint = "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's policy." if "AWS" in line else ""
        return UsageError(f"{name}: access is denied.", hint=hint)
    if isinstance(error, (ConnectionError, TimeoutError)) or any(word in line for word in _NOTHING_ANSWERS):
        hint = "Check AWS_ENDPOINT_URL and AWS_REGION" if "AWS" in line else "Check the address"
        return Unreachable(f"Nothing answers for {name}.", hint=f"{hint}, and run the same command again.")
    return UsageError(f"{name} cannot be read: {shown(line)[:300]}.")
