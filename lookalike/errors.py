"""Errors that callers can meet: one class for each reason, one gRPC code for each class.

LookalikeError
├── InvalidArgumentError                INVALID_ARGUMENT
│   ├── InvalidImageError               INVALID_IMAGE
│   ├── ImageTooLargeError              IMAGE_TOO_LARGE
│   ├── UnknownOutputError              UNKNOWN_OUTPUT
│   ├── DimensionMismatchError          DIMENSION_MISMATCH
│   ├── NonFiniteVectorError            NON_FINITE_VECTOR
│   ├── UnknownFilterFieldError         UNKNOWN_FILTER_FIELD
│   ├── InvalidPageTokenError           INVALID_PAGE_TOKEN
│   └── RequestIdReusedError            REQUEST_ID_REUSED
├── ItemNotFoundError                   ITEM_NOT_FOUND
├── CollectionNotFoundError             COLLECTION_NOT_FOUND
├── AliasNotFoundError                  ALIAS_NOT_FOUND
├── CollectionExistsError               COLLECTION_EXISTS
├── CollectionInUseError                COLLECTION_IN_USE
├── NearDuplicateError                  NEAR_DUPLICATE
├── EmbeddingSpaceMismatchError         EMBEDDING_SPACE_MISMATCH
├── RankingUnavailableError             RANKING_UNAVAILABLE
├── WordsUnavailableError               WORDS_UNAVAILABLE
├── ModelNotFoundError                  MODEL_NOT_FOUND
├── ModelRefusedError                   MODEL_REFUSED
├── UnauthenticatedError                UNAUTHENTICATED
├── PermissionDeniedError               PERMISSION_DENIED
├── RateLimitedError                    RATE_LIMITED
├── QueueFullError                      QUEUE_FULL
├── DeadlineUnreachableError            DEADLINE_UNREACHABLE
├── StorageFullError                    STORAGE_FULL
├── ReadOnlyError                       INDEX_READ_ONLY
├── NotSupportedError                   NOT_SUPPORTED
├── IndexRecoveringError                INDEX_RECOVERING
├── UpstreamUnavailableError            UPSTREAM_UNAVAILABLE
├── DrainingError                       DRAINING
├── StoreCorruptedError                 STORE_CORRUPTED
├── DeadlineExceededError               DEADLINE_EXCEEDED
├── ForeignError                        FOREIGN: a status that is not ours, code kept
└── InternalError                       INTERNAL

Domain code raises these without knowing gRPC; `lookalike.status` converts them to
`google.rpc.Status` and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from grpc import StatusCode


class LookalikeError(Exception):
    """Base of all errors with a reason.

    Args:
        message: What is wrong, the limit and the value, and what to do.
        field: Path of the request field at fault, for example `image`.
        metadata: Machine-readable facts, for example both embedding spaces.
        resource: Type and name of the thing that is missing or taken.
        retry_after_ms: When a retry may succeed, in milliseconds.
    """

    code: StatusCode = StatusCode.UNKNOWN
    reason: ClassVar[str] = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        metadata: Mapping[str, str] | None = None,
        resource: tuple[str, str] | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.metadata = dict(metadata or {})
        self.resource = resource
        self.retry_after_ms = retry_after_ms


class InvalidArgumentError(LookalikeError):
    """A request field breaks its documented limits."""

    code = StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"


class InvalidImageError(InvalidArgumentError):
    """The bytes are not a photo that can be decoded."""

    reason = "INVALID_IMAGE"


class ImageTooLargeError(InvalidArgumentError):
    """The photo has too many bytes or pixels."""

    reason = "IMAGE_TOO_LARGE"


class UnknownOutputError(InvalidArgumentError):
    """The model has no output of that name."""

    reason = "UNKNOWN_OUTPUT"


class DimensionMismatchError(InvalidArgumentError):
    """The vector's length is not the collection's dimension."""

    reason = "DIMENSION_MISMATCH"


class NonFiniteVectorError(InvalidArgumentError):
    """The vector holds NaN or infinity."""

    reason = "NON_FINITE_VECTOR"


class UnknownFilterFieldError(InvalidArgumentError):
    """A filter names an attribute that the collection does not index."""

    reason = "UNKNOWN_FILTER_FIELD"


class InvalidPageTokenError(InvalidArgumentError):
    """The page token is invalid, or belongs to another request."""

    reason = "INVALID_PAGE_TOKEN"


class RequestIdReusedError(InvalidArgumentError):
    """The request id was used before, with other content."""

    reason = "REQUEST_ID_REUSED"


class ItemNotFoundError(LookalikeError):
    """The collection has no item of that id."""

    code = StatusCode.NOT_FOUND
    reason = "ITEM_NOT_FOUND"


class CollectionNotFoundError(LookalikeError):
    """There is no collection of that name."""

    code = StatusCode.NOT_FOUND
    reason = "COLLECTION_NOT_FOUND"


class AliasNotFoundError(LookalikeError):
    """There is no alias of that name."""

    code = StatusCode.NOT_FOUND
    reason = "ALIAS_NOT_FOUND"


class CollectionExistsError(LookalikeError):
    """The name of a new collection is taken."""

    code = StatusCode.ALREADY_EXISTS
    reason = "COLLECTION_EXISTS"


class CollectionInUseError(LookalikeError):
    """A collection cannot be deleted while an alias leads to it."""

    code = StatusCode.FAILED_PRECONDITION
    reason = "COLLECTION_IN_USE"


class NearDuplicateError(LookalikeError):
    """The photo looks like another listing's, and the gateway's policy is to refuse those."""

    code = StatusCode.ALREADY_EXISTS
    reason = "NEAR_DUPLICATE"


class EmbeddingSpaceMismatchError(LookalikeError):
    """A vector comes from another embedding space than the collection's."""

    code = StatusCode.FAILED_PRECONDITION
    reason = "EMBEDDING_SPACE_MISMATCH"


class RankingUnavailableError(LookalikeError):
    """Model or catalogue lack what the requested ranking or likeness needs."""

    code = StatusCode.FAILED_PRECONDITION
    reason = "RANKING_UNAVAILABLE"


class WordsUnavailableError(LookalikeError):
    """The model reads no words, or the collection finds none."""

    code = StatusCode.FAILED_PRECONDITION
    reason = "WORDS_UNAVAILABLE"


class ModelNotFoundError(LookalikeError):
    """No model of that name and version is served."""

    code = StatusCode.NOT_FOUND
    reason = "MODEL_NOT_FOUND"


class ModelRefusedError(LookalikeError):
    """A model bundle cannot be served; the previous one still is."""

    code = StatusCode.FAILED_PRECONDITION
    reason = "MODEL_REFUSED"


class UnauthenticatedError(LookalikeError):
    """The call has no token, or one that is not known."""

    code = StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class PermissionDeniedError(LookalikeError):
    """The call's token has not the scope that it needs, or another port answers it."""

    code = StatusCode.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class RateLimitedError(LookalikeError):
    """The client sends more requests than one may."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "RATE_LIMITED"


class QueueFullError(LookalikeError):
    """The service's queue is full."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "QUEUE_FULL"


class DeadlineUnreachableError(LookalikeError):
    """The request cannot be answered within its deadline."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "DEADLINE_UNREACHABLE"


class StorageFullError(LookalikeError):
    """The disk has no room for the write, which was rolled back."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "STORAGE_FULL"


class ReadOnlyError(LookalikeError):
    """The index serves a snapshot and accepts no writes."""

    code = StatusCode.FAILED_PRECONDITION
    reason = "INDEX_READ_ONLY"


class NotSupportedError(LookalikeError):
    """The index's backend cannot do this."""

    code = StatusCode.UNIMPLEMENTED
    reason = "NOT_SUPPORTED"


class IndexRecoveringError(LookalikeError):
    """The index has not yet reached the write that the read waits for."""

    code = StatusCode.UNAVAILABLE
    reason = "INDEX_RECOVERING"


class UpstreamUnavailableError(LookalikeError):
    """A service that this one needs cannot be reached."""

    code = StatusCode.UNAVAILABLE
    reason = "UPSTREAM_UNAVAILABLE"


class DrainingError(LookalikeError):
    """The service is shutting down."""

    code = StatusCode.UNAVAILABLE
    reason = "DRAINING"


class StoreCorruptedError(LookalikeError):
    """The store of record is damaged."""

    code = StatusCode.DATA_LOSS
    reason = "STORE_CORRUPTED"


class InternalError(LookalikeError):
    """A fault of the service; the log has the details, the caller gets none."""

    code = StatusCode.INTERNAL
    reason = "INTERNAL"


class DeadlineExceededError(LookalikeError):
    """There was no answer within the deadline."""

    code = StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class ForeignError(LookalikeError):
    """A status that is not ours, for example gRPC's own DEADLINE_EXCEEDED. Keeps its code."""

    reason = "FOREIGN"

    def __init__(self, message: str, *, code: StatusCode) -> None:
        super().__init__(message)
        self.code = code


class StartupError(Exception):
    """A process cannot start: a bad setting, a bad bundle, a port in use. Printed as one line."""
