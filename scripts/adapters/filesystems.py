"""Where files are: on this machine, on S3, or wherever else Arrow or an installed fsspec package reaches."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from scripts.addresses import has_secret, shown
from scripts.config import s3_location
from scripts.errors import KitError, Unreachable, UsageError

if TYPE_CHECKING:
    import pyarrow.fs

# An S3 that takes connections and then says nothing is given up after three times this; one that nothing listens for, at once.
SILENT_SECONDS = 8
CONNECT_SECONDS = 3
ATTEMPTS = 3
RETRY_SECONDS = 20  # of Google's client, whose own default is a quarter of an hour

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_OF_ARROW = ("gs", "gcs", "hdfs", "viewfs", "abfs", "abfss")


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
    from pyarrow import fs

    scheme = scheme_of(uri)
    if not scheme:
        return fs.LocalFileSystem(), os.path.abspath(root / uri)
    if scheme == "file":
        return fs.LocalFileSystem(), _path_of_file(uri)
    if has_secret(uri):
        raise UsageError(f"{shown(uri).partition('?')[0]} has a secret in it.", hint="Take it out: secrets come from the environment only.")
    if scheme == "s3":
        return _s3(uri)
    with translated(shown(uri)):
        return _of_arrow(scheme, uri) if scheme in _OF_ARROW else _of_fsspec(scheme, uri)


def _path_of_file(uri: str) -> str:
    address = urlsplit(uri)
    if address.netloc not in ("", "localhost"):
        raise UsageError(f"{shown(uri)} names a file on another machine.", hint="Write file:/// and a path on this one.")
    return unquote(address.path)


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
        request_timeout=SILENT_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )
    return system, f"{bucket}/{key}".rstrip("/")


def _of_arrow(scheme: str, uri: str) -> tuple[pyarrow.fs.FileSystem, str]:
    from pyarrow import fs

    netloc, _, path = uri[len(scheme) + 3 :].partition("/")
    limit = f"?retry_limit_seconds={RETRY_SECONDS}" if scheme in ("gs", "gcs") else ""
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


# The words of Arrow's clients (25.0): those that AWS's SDK knows are in capitals, others come as the service wrote them.
_NOTHING_ANSWERS = re.compile("NETWORK_CONNECTION|REQUEST_TIMEOUT|SLOW_DOWN|SERVICE_UNAVAILABLE|INTERNAL_FAILURE|curlCode|UNAVAILABLE|HTTP status 50[0-9]")
_DENIED = re.compile(
    "ACCESS_DENIED|AccessDenied|INVALID_ACCESS_KEY_ID|InvalidAccessKeyId|INVALID_CLIENT_TOKEN_ID|SIGNATURE_DOES_NOT_MATCH|SignatureDoesNotMatch|"
    "MISSING_AUTHENTICATION|UNRECOGNIZED_CLIENT|EXPIRED_TOKEN|ExpiredToken|InvalidToken|PERMISSION_DENIED|UNAUTHENTICATED|HTTP status 40[13]"
)
_ABSENT = re.compile("NO_SUCH_BUCKET|NoSuchBucket|NO_SUCH_KEY|NoSuchKey|RESOURCE_NOT_FOUND|Path does not exist|HTTP status 404")


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
    of_s3 = "AWS" in line
    if isinstance(error, FileNotFoundError) or _ABSENT.search(line):
        return UsageError(f"{name}: there is no such {'file or bucket' if of_s3 else 'file'}, or no longer.")
    if isinstance(error, PermissionError) or _DENIED.search(line):
        hint = "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and the bucket's policy." if of_s3 else "Check who may read it."
        return Unreachable(f"{name}: access is denied.", hint=hint)
    if isinstance(error, (ConnectionError, TimeoutError)) or _NOTHING_ANSWERS.search(line):
        hint = "Check AWS_ENDPOINT_URL and AWS_REGION, or run the same command again." if of_s3 else "Run the same command again."
        return Unreachable(f"{name}: nothing answers.", hint=hint)
    return UsageError(f"{name} cannot be read: {shown(line)[:300]}.")
