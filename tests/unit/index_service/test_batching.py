"""Small searches of one turn of the event loop, answered as one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from index_service.native import batching
from index_service.native.batching import SearchBatcher
from index_service.records import Answer, Neighbors, Query, QueryAnswer, Search
from lookalike.errors import InvalidArgumentError
from tests.indexes import LISTINGS, vector

Asked = tuple[str, list[str], Search, int]


class Finding:
    """Answers each query with its number; keeps what it was asked together."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.knows = True

    def __call__(
        self, name: str, queries: Sequence[Query], wanted: Search, min_seq: int
    ) -> Answer | None:
        targets = [str(query.target) for query in queries]
        self.asked.append((name, targets, wanted, min_seq))
        if "bad" in targets:
            raise InvalidArgumentError(f"queries[{targets.index('bad')}]")
        results = [QueryAnswer(Neighbors([], []), 0, target) for target in targets]
        return Answer(results, 1, LISTINGS) if self.knows else None


def said(answer: Answer | None) -> list[str]:
    assert answer is not None
    return [result.shortfall for result in answer.results]


@pytest.fixture
def finding() -> Finding:
    return Finding()


async def test_searches_of_one_turn_are_answered_together_each_with_its_own(
    finding: Finding,
) -> None:
    gathered = SearchBatcher(finding)
    sent = [[Query("a")], [Query("b"), Query("c")], [Query("d")]]
    answers = await asyncio.gather(*[gathered.find("x", each, Search(1), 0) for each in sent])
    assert [said(answer) for answer in answers] == [["a"], ["b", "c"], ["d"]]
    assert finding.asked == [("x", ["a", "b", "c", "d"], Search(1), 0)]
    assert said(await gathered.find("x", sent[0], Search(1), 0)) == ["a"]
    assert len(finding.asked) == 2


async def test_searches_that_differ_in_what_they_want_are_answered_apart(finding: Finding) -> None:
    gathered = SearchBatcher(finding)
    differing: list[tuple[str, Search, int]] = [
        ("x", Search(1), 0),
        ("x", Search(2), 0),
        ("y", Search(1), 0),
        ("x", Search(1), 1),
        ("x", Search(1, max_distance=1), 0),
    ]
    await asyncio.gather(*[gathered.find(n, [Query("a")], w, s) for n, w, s in differing])
    assert [(name, wanted, seq) for name, _, wanted, seq in finding.asked] == differing


async def test_bad_search_fails_alone_and_its_error_counts_its_own_queries(
    finding: Finding,
) -> None:
    gathered = SearchBatcher(finding)
    good, bad, last = await asyncio.gather(
        gathered.find("x", [Query("a")], Search(1), 0),
        gathered.find("x", [Query("bad")], Search(1), 0),
        gathered.find("x", [Query("c")], Search(1), 0),
        return_exceptions=True,
    )
    assert isinstance(bad, InvalidArgumentError)
    assert str(bad) == "queries[0]"
    assert not isinstance(good, BaseException)
    assert not isinstance(last, BaseException)
    assert (said(good), said(last)) == (["a"], ["c"])


async def test_what_memory_lacks_is_none_for_each_of_them(finding: Finding) -> None:
    finding.knows = False
    gathered = SearchBatcher(finding)
    sent = [gathered.find("x", [Query(vector(0, 0))], Search(1), 0) for _ in range(3)]
    assert await asyncio.gather(*sent) == [None] * 3


async def test_caller_that_left_is_not_answered_and_the_others_are(finding: Finding) -> None:
    gathered = SearchBatcher(finding)
    tasks = [
        asyncio.ensure_future(gathered.find("x", [Query(each)], Search(1), 0)) for each in "abc"
    ]
    await asyncio.sleep(0)  # lets all of them be gathered
    tasks[1].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[1], asyncio.CancelledError)
    assert all(isinstance(answers[i], Answer) for i in (0, 2))


async def test_no_more_than_so_many_are_answered_together(
    finding: Finding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "_MOST_TOGETHER", 2)
    gathered = SearchBatcher(finding)
    answers = await asyncio.gather(
        *[gathered.find("x", [Query(each)], Search(1), 0) for each in "abcde"]
    )
    assert [said(answer) for answer in answers] == [[each] for each in "abcde"]
    assert [targets for _, targets, *_ in finding.asked] == [["a", "b"], ["c", "d"], ["e"]]
