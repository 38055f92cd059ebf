"""Which likeness goes with which way to rank."""

from __future__ import annotations

from gateway.calibration import Ranking
from gateway.listings import RankingMethod
from lookalike.likeness import Likeness


def test_every_way_to_rank_has_its_own_curve() -> None:
    blend, features, category = (Likeness(float(number), 1.0, 1.0, 1.0) for number in range(3))
    ranking = Ranking("features", 0.1, 200, blend, features, category)
    assert [ranking.curve(method) for method in RankingMethod] == [
        blend,
        features,
        category,
        None,
        None,
    ]
    assert Ranking("features", 0.1, 200).curve(RankingMethod.BLEND) is None
