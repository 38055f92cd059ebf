"""Which way a search ranks: the best that model, catalogue and query allow, or the caller's.

Models are remembered, so that what is asked about the catalogue needs no embedder.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gateway import lacking
from gateway.budget import Budget
from gateway.embedder import EmbedderUpstream
from gateway.index import IndexUpstream
from gateway.listings import Neighbors, PhotoVector, RankingMethod, Rerank, Wanted
from gateway.models import Model
from gateway.queries import INDEX_OF_BEFORE
from lookalike.errors import DimensionMismatchError, LookalikeError, RankingUnavailableError
from lookalike.likeness import CROWD, Likeness
from lookalike.pricing import PriceRange

_MOST_CANDIDATES = 10_000
# What a search waits at most to learn what there is to rank by.
_LOOK_S = 2.0


@dataclass(frozen=True)
class Way:
    """One way to rank.

    Attributes:
        method: By what.
        wanted: What is wanted of the search.
        rerank: What the index is asked; None for the order by vector.
        curve: Likeness by what is ranked by; None if it was not calibrated.
    """

    method: RankingMethod
    wanted: Wanted
    rerank: Rerank | None = None
    curve: Likeness | None = None

    @property
    def asked(self) -> Wanted:
        """What the index is asked for: more than is wanted, if likeness needs a crowd around it."""
        if self.curve is None:
            return self.wanted
        # Photos one by one: most listings have two.
        crowd = 2 * CROWD.stop if self.wanted.every_photo else CROWD.stop
        return replace(self.wanted, k=max(self.wanted.k, crowd))

    def judged(self, found: Neighbors) -> Neighbors:
        """Returns the hits that are wanted, with their likeness."""
        if self.curve is None:
            return found
        k, least = self.wanted.k, self.wanted.min_likeness or 0.0
        distances = [hit.ranked_by for hit in found.hits]
        likeness = self.curve.of(distances, [hit.photo.product_id for hit in found.hits])
        hits = [hit._replace(likeness=p) for hit, p in zip(found.hits, likeness, strict=True)][:k]
        likely = [hit for hit in hits if hit.likeness is None or hit.likeness >= least]
        shortfall = found.shortfall if len(hits) < k else ""
        if len(likely) < len(hits):
            shortfall = (
                f"{len(likely)} of the {len(hits)} nearest are at least {least:.0%} likely the "
                "same item"
            )
        return replace(found, hits=likely, shortfall=shortfall)


class Ranker:
    """Decides how listings are ranked.

    Args:
        embedder: Whose models say how it is done.
        index: Whose collection says whether it keeps features.
    """

    def __init__(self, embedder: EmbedderUpstream, index: IndexUpstream) -> None:
        self._embedder = embedder
        self._index = index

    async def learn(self, budget: Budget) -> None:
        """Asks for what was never told yet; afterwards costs nothing."""
        if self._index.serving is None and self._index.ready:
            with contextlib.suppress(LookalikeError), budget.hop("search"):
                await self._index.look(min(_LOOK_S, budget.remaining_s / 2))
        if not self._embedder.embedding_space and self._embedder.ready:
            with contextlib.suppress(LookalikeError), budget.hop("embed"):
                await self._embedder.model(min(_LOOK_S, budget.remaining_s / 2))

    @property
    def default(self) -> RankingMethod:
        """By what listings are ranked where a caller does not say."""
        lacks = self._lack(RankingMethod.BLEND, self._model(), None)
        return RankingMethod.CATEGORY if lacks else RankingMethod.BLEND

    def check(self, vector: PhotoVector) -> None:
        """Raises DimensionMismatchError where a caller's features are not as long as those kept."""
        kept = self._index.serving.features_dimension if self._index.serving else 0
        sent = len(vector.features)
        if kept and sent and sent != kept:
            raise DimensionMismatchError(
                f"vector.features has {sent} values; the features_dimension of the catalogue is "
                f"{kept}",
                field="vector.features",
            )

    def way(self, wanted: Wanted, vector: PhotoVector | None) -> Way:
        """Returns how a search is ranked.

        Args:
            wanted: What is wanted of it.
            vector: What is looked for; None for an item of the catalogue, whose features only the
                index knows.

        Raises:
            RankingUnavailableError: Something lacks for what the caller wants; says what.
        """
        model = self._model(vector)
        method = wanted.ranking
        if method is None:
            lacks = self._lack(RankingMethod.BLEND, model, vector)
            method = RankingMethod.CATEGORY if lacks else RankingMethod.BLEND
        elif lacks := self._lack(method, model, vector):
            raise RankingUnavailableError(
                f"listings cannot be ranked by '{method.value}': {lacks}", field="ranking"
            )
        return _way(method, wanted, model)

    def by_category(self, wanted: Wanted, vector: PhotoVector | None) -> Way:
        """Returns how a search is ranked that the index cannot rank otherwise."""
        return _way(RankingMethod.CATEGORY, wanted, self._model(vector))

    def blend(self, vector: PhotoVector) -> Way | None:
        """Returns how photos near a vector are ranked by both; None if likeness is not known so."""
        model = self._model(vector)
        if self._lack(RankingMethod.BLEND, model, vector):
            return None
        way = _way(RankingMethod.BLEND, Wanted(1), model)
        return way if way.curve else None

    def price_range(self, vector: PhotoVector | None) -> PriceRange | None:
        """Returns how prices become a range, by the model of a vector or of the catalogue."""
        model = self._model(vector)
        return model.price_range if model else None

    def _model(self, vector: PhotoVector | None = None) -> Model | None:
        if vector is not None:
            return self._embedder.seen(vector.embedding_space)
        serving = self._index.serving
        return self._embedder.seen(serving.embedding_space) if serving else None

    def _lack(self, method: RankingMethod, model: Model | None, vector: PhotoVector | None) -> str:
        """Returns why it cannot be ranked so; empty if it can, as far as that is known."""
        return next(filter(None, self._lacks(method, model, vector)), "")

    def _lacks(
        self, method: RankingMethod, model: Model | None, vector: PhotoVector | None
    ) -> Iterator[str]:
        if method is RankingMethod.CATEGORY:
            return
        serving = self._index.serving
        if serving is None:
            yield f"there is no collection '{self._index.collection}' yet, or it is not known"
            return
        blend = method is RankingMethod.BLEND
        if model:
            yield lacking.features_of_model(model)
            yield lacking.ranking_of_model(model) if blend else ""
        elif blend:
            yield (
                f"the model of embedding space '{serving.embedding_space}' was not seen since the "
                "gateway started: start an embedder of it"
            )
        features = model.features if model else None
        yield lacking.features_of_collection(serving, features.dimension if features else 0)
        if not self._index.ranks:
            yield INDEX_OF_BEFORE
        if vector is not None and not vector.features:
            yield "vector.features is empty: send the features of the same photo"


def _way(method: RankingMethod, wanted: Wanted, model: Model | None) -> Way:
    ranking = model.ranking if model else None
    curve = ranking.curve(method) if ranking else None
    if wanted.min_likeness is not None and curve is None:
        raise RankingUnavailableError(
            f"min_likeness is {wanted.min_likeness}, but no likeness was calibrated for listings "
            f"ranked by '{method.value}': export the model's bundle again (python -m training "
            "export)",
            field="min_likeness",
        )
    if method is RankingMethod.CATEGORY:
        return Way(method, wanted, None, curve)
    candidates = max(min(ranking.candidates, _MOST_CANDIDATES), wanted.k) if ranking else 0
    weight = ranking.vector_weight if ranking and method is RankingMethod.BLEND else 0.0
    return Way(method, wanted, Rerank(candidates, weight), curve)
