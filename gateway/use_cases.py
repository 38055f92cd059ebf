"""The gateway's use cases, shared by the gRPC and HTTP front ends."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.catalogue import Catalogue
from gateway.classify import Classifier
from gateway.ingest import Ingester
from gateway.search import SimilarListingFinder
from gateway.status import StatusReporter


@dataclass(frozen=True)
class UseCases:
    """Built by `__main__`; each use case validates its arguments (`gateway.validation`)."""

    classifier: Classifier
    finder: SimilarListingFinder
    ingester: Ingester
    catalogue: Catalogue
    status: StatusReporter
