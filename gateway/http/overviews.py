"""JSON of the status and of the map."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from gateway import listings as domain
from gateway.cache import CacheStatus
from gateway.http.models import PhotoFacts, Timings, photo_fields
from gateway.map import CatalogueMap
from gateway.status import EmbedderStatus, IndexStatus


class Limits(BaseModel):
    """Limits that a page should know before it sends anything."""

    max_image_bytes: int
    max_request_bytes: int


class StatusReply(BaseModel):
    """The gateway, its upstreams, and whether model and catalogue match."""

    version: str
    embedder: EmbedderStatus
    index: IndexStatus
    cache: CacheStatus
    mismatch: str = Field(description="Why model and catalogue do not belong together, if so.")
    ranking: domain.RankingMethod = Field(
        description="By what listings are ranked where a search does not say."
    )
    lacking: list[str] = Field(
        description="What model or catalogue lack for the best answers, and what adds it."
    )
    thumbnails: bool = Field(description="Whether thumbnails are kept.")
    limits: Limits
    timings_ms: Timings


# Without descriptions, which would make thousands of points megabytes.
class MapPoint(PhotoFacts):
    """A photo and its place on the map."""

    x: Annotated[float, Field(description="0 to 1.")]
    y: Annotated[float, Field(description="0 to 1.")]


class MapReply(BaseModel):
    """A sample of the catalogue on a plane, photos that look alike beside each other."""

    points: list[MapPoint]
    explained: float | None = Field(
        description="Share of the vectors' variance that the plane shows, if it is laid out by "
        "their principal components: the catalogue has no features."
    )
    neighbors_kept: float | None = Field(
        description="Of each photo's 10 nearest, the share that is among its 10 nearest on the "
        "plane, if it is laid out by features."
    )
    left_out: int = Field(description="Photos of the sample that have no features.")

    @classmethod
    def of(cls, drawn: CatalogueMap) -> MapReply:
        """Converts a map; coordinates have four digits, a tenth of a pixel in a thousand."""
        return cls(
            points=[
                MapPoint(**photo_fields(p.photo), x=round(p.x, 4), y=round(p.y, 4))
                for p in drawn.points
            ],
            explained=drawn.explained,
            neighbors_kept=drawn.neighbors_kept,
            left_out=drawn.left_out,
        )
