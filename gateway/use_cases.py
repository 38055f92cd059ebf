"""All that the gateway can do, in one value: what its servicer and its HTTP face call."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.catalogue import Catalogue
from gateway.classify import Classifier
from gateway.ingest import Ingester
from gateway.search import SimilarListingFinder
from gateway.status import StatusReporter


@dataclass(frozen=True)
class UseCases:
    """Made by `__main__`; each checks what it is given (`gateway.validation`)."""

    classifier: Classifier
    finder: SimilarListingFinder
    ingester: Ingester
    catalogue: Catalogue
    status: StatusReporter
