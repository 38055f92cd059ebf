"""Plans how a search ranks: the best way that model, catalogue and query allow, or the caller's.

Models are remembered, so that a search by a photo of the catalogue needs no embedder.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gateway import lacking
from gateway.deadline import Deadline
from gateway.embedder import EmbedderUpstream
from gateway.index import IndexUpstream
from gateway.listings import Neighbors, PhotoVector, RankingMethod, Rerank, SearchOptions
from gateway.models import Model
from gateway.queries import INDEX_TOO_OLD
from lookalike import limits
from lookalike.errors import (
    DimensionMismatchError,
    InvalidArgumentError,
    LookalikeError,
    RankingUnavailableError,
)
from lookalike.likeness import CROWD, Likeness
from lookalike.pricing import PriceRange

# Longest wait of a search for model and collection to become known.
_LEARN_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class RankingPlan:
    """How one search is ranked.

    Attributes:
        method: By which outputs.
        options: The caller's.
        rerank: How the index ranks by features too; None for the order by vector.
        curve: Likeness by the distance that ranks; None if it was not calibrated.
    """

    method: RankingMethod
    options: SearchOptions
    rerank: Rerank | None = None
    curve: Likeness | None = None

    @property
    def index_options(self) -> SearchOptions:
        """The options to search with: a larger `k` where likeness needs a crowd around the hits."""
        if self.curve is None:
            return self.options
        # Single photos: most listings have two.
        crowd = 2 * CROWD.stop if self.options.every_photo else CROWD.stop
        return replace(self.options, k=max(self.options.k, crowd))

    def widened(self) -> RankingPlan:
        """Returns the plan with as many candidates as can be, and without likeness.

        What words mean is farther from photos by category than photos are from one another.
        """
        rerank = self.rerank and replace(self.rerank, candidates=limits.MAX_CANDIDATES)
        return replace(self, rerank=rerank, curve=None)

    def with_likeness(self, found: Neighbors) -> Neighbors:
        """Returns the hits that the caller asked for, with their likeness."""
        if self.curve is None:
            return found
        k, least = self.options.k, self.options.min_likeness or 0.0
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
        embedder: Its models say how.
        index: Its collection says whether it keeps features.
    """

    def __init__(self, embedder: EmbedderUpstream, index: IndexUpstream) -> None:
        self._embedder = embedder
        self._index = index

    async def learn(self, deadline: Deadline) -> None:
        """Asks for the model and the collection unless they are known already."""
        if self._index.serving is None and self._index.ready:
            with contextlib.suppress(LookalikeError), deadline.hop("search"):
                await self._index.refresh(min(_LEARN_TIMEOUT_S, deadline.remaining_s / 2))
        if not self._embedder.embedding_space and self._embedder.ready:
            with contextlib.suppress(LookalikeError), deadline.hop("embed"):
                await self._embedder.model(min(_LEARN_TIMEOUT_S, deadline.remaining_s / 2))

    @property
    def default(self) -> RankingMethod:
        """The method where a caller does not name one."""
        lacks = self._lack(RankingMethod.BLEND, self._model(), None)
        return RankingMethod.CATEGORY if lacks else RankingMethod.BLEND

    def check(self, vector: PhotoVector) -> None:
        """Raises DimensionMismatchError if features are not as long as the collection's."""
        kept = self._index.serving.features_dimension if self._index.serving else 0
        sent = len(vector.features)
        if kept and sent and sent != kept:
            raise DimensionMismatchError(
                f"vector.features has {sent} values; the features_dimension of the catalogue is "
                f"{kept}",
                field="vector.features",
            )

    def plan(self, options: SearchOptions, vector: PhotoVector | None) -> RankingPlan:
        """Returns how to rank a search.

        Args:
            options: The caller's.
            vector: The query; None for a photo of the catalogue, whose features only the index
                knows.

        Raises:
            RankingUnavailableError: The caller's method needs something that is lacking; names it.
        """
        model = self._model(vector)
        method = options.ranking
        _check_not_by_words(method, "there are no words to look for")
        if method is None:
            lacks = self._lack(RankingMethod.BLEND, model, vector)
            method = RankingMethod.CATEGORY if lacks else RankingMethod.BLEND
        elif lacks := self._lack(method, model, vector):
            raise RankingUnavailableError(
                f"listings cannot be ranked by '{method.value}': {lacks}", field="ranking"
            )
        return _plan(method, options, model)

    def plan_words(self, options: SearchOptions, vector: PhotoVector | None) -> RankingPlan:
        """Returns how to rank a search for words.

        Args:
            options: The caller's.
            vector: The words' vectors; None if the model reads no words.

        Raises:
            RankingUnavailableError: The caller's method needs something that is lacking; names it.
        """
        _check_no_likeness(options, "words")
        method = options.ranking
        if vector is None or method is RankingMethod.WORDS:
            if options.max_distance is not None:
                raise InvalidArgumentError(
                    f"max_distance is {options.max_distance}, and listings ranked by the words of "
                    "titles and descriptions alone are at no distance: leave it out",
                    field="max_distance",
                )
            return RankingPlan(RankingMethod.WORDS, options)
        model = self._model(vector)
        by_features = method or RankingMethod.FEATURES
        if by_features is RankingMethod.HYBRID:
            by_features = RankingMethod.FEATURES
        if lacks := self._lack(by_features, model, vector):
            if method in (RankingMethod.BLEND, RankingMethod.FEATURES):
                raise RankingUnavailableError(
                    f"listings cannot be ranked by '{method.value}': {lacks}", field="ranking"
                )
            by_features = RankingMethod.CATEGORY
        plan = _plan(by_features, options, model).widened()
        return RankingPlan(method or RankingMethod.HYBRID, options, plan.rerank)

    def plan_mix(self, options: SearchOptions, vector: PhotoVector) -> RankingPlan:
        """Returns how to rank a search for a mix.

        By features where there are any, fitted to be ranked by or not: in them things lead towards
        what is looked for and away from it.

        Args:
            options: The caller's.
            vector: One of the mix; without features if any of it has none.

        Raises:
            RankingUnavailableError: The caller's method needs something that is lacking, or the
                caller asks for a likeness.
        """
        _check_no_likeness(options, "a mix")
        _check_not_by_words(options.ranking, "a mix is ranked by vectors, its words among them")
        plan = self.plan(options, vector)
        model = self._model(vector)
        by_features = RankingMethod.FEATURES
        default = options.ranking is None and plan.method is RankingMethod.CATEGORY
        if default and not self._lack(by_features, model, vector):
            plan = _plan(by_features, options, model)
        return plan.widened()

    def by_category(self, options: SearchOptions, vector: PhotoVector | None) -> RankingPlan:
        """Returns the plan for a search that the index cannot rank otherwise."""
        return _plan(RankingMethod.CATEGORY, options, self._model(vector))

    def blend(self, vector: PhotoVector) -> RankingPlan | None:
        """Returns how to rank photos by both outputs; None without a calibrated likeness."""
        model = self._model(vector)
        if self._lack(RankingMethod.BLEND, model, vector):
            return None
        plan = _plan(RankingMethod.BLEND, SearchOptions(1), model)
        return plan if plan.curve else None

    def price_range(self, vector: PhotoVector | None) -> PriceRange | None:
        """Returns how to make a range of prices, from the model of a vector or of the catalogue."""
        model = self._model(vector)
        return model.price_range if model else None

    def _model(self, vector: PhotoVector | None = None) -> Model | None:
        if vector is not None:
            return self._embedder.known_model(vector.embedding_space)
        serving = self._index.serving
        return self._embedder.known_model(serving.embedding_space) if serving else None

    def _lack(self, method: RankingMethod, model: Model | None, vector: PhotoVector | None) -> str:
        """Returns why a method is unavailable; empty if nothing is known against it."""
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
        if not self._index.can_rank:
            yield INDEX_TOO_OLD
        if vector is not None and not vector.features:
            yield "vector.features is empty: send the features of the same photo"


def _check_no_likeness(options: SearchOptions, what: str) -> None:
    if options.min_likeness is not None:
        raise RankingUnavailableError(
            f"min_likeness is {options.min_likeness}, but likeness is of two photos: none is known "
            f"for {what}",
            field="min_likeness",
        )


def _check_not_by_words(method: RankingMethod | None, why: str) -> None:
    if method in (RankingMethod.HYBRID, RankingMethod.WORDS):
        raise RankingUnavailableError(
            f"ranking is '{method.value}', which is for words alone: {why}", field="ranking"
        )


def _plan(method: RankingMethod, options: SearchOptions, model: Model | None) -> RankingPlan:
    ranking = model.ranking if model else None
    curve = ranking.curve(method) if ranking else None
    if options.min_likeness is not None and curve is None:
        raise RankingUnavailableError(
            f"min_likeness is {options.min_likeness}, but no likeness was calibrated for listings "
            f"ranked by '{method.value}': export the model's bundle again (python -m training "
            "export)",
            field="min_likeness",
        )
    if method is RankingMethod.CATEGORY:
        return RankingPlan(method, options, None, curve)
    candidates = max(min(ranking.candidates, limits.MAX_CANDIDATES), options.k) if ranking else 0
    weight = ranking.vector_weight if ranking and method is RankingMethod.BLEND else 0.0
    return RankingPlan(method, options, Rerank(candidates, weight), curve)
