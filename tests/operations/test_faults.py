"""Networks, clocks, disks, names and secrets change while services are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchmarks.operations.clocks import find_library, jumped
from benchmarks.operations.cuts import DEADLINE_S, cut
from benchmarks.operations.disks import filled, small_disk
from benchmarks.operations.fleet import Fleet
from benchmarks.operations.networks import Networks, NotPossibleError
from benchmarks.operations.overload import overloaded
from benchmarks.operations.pods import joined
from benchmarks.operations.rotation import rotated
from benchmarks.operations.soak import soaked
from benchmarks.report import Figure

pytestmark = pytest.mark.long

Counted = Callable[[Sequence[Figure]], dict[str, float]]


def test_cut_network_costs_only_calls_that_end_at_their_deadline(
    fleet: Fleet, photos: Sequence[bytes], counted: Counted
) -> None:
    try:
        with Networks(["embedder", "index", "gateway"]) as networks:
            figures = cut(fleet, photos, networks, seconds=2 * DEADLINE_S)
    except NotPossibleError as error:
        pytest.skip(str(error))
    counts = counted(figures)
    assert counts.pop("lost writes") == 0
    assert len(counts) == 2
    assert min(counts.values()) > 0, "the cut was none"


def test_no_namespace_stays_when_something_fails() -> None:
    try:
        with Networks(["embedder"]) as networks:
            name = networks.within("embedder")[-1]
            assert Path("/run/netns", name).exists()
            raise ZeroDivisionError
    except NotPossibleError as error:
        pytest.skip(str(error))
    except ZeroDivisionError:
        assert not Path("/run/netns", name).exists()


def test_no_call_fails_when_the_clock_jumps(
    fleet: Fleet, photos: Sequence[bytes], counted: Counted
) -> None:
    if (library := find_library()) is None:
        pytest.skip("libfaketime is not installed")
    figures = jumped(fleet, photos, library, seconds=2)
    assert set(counted(figures).values()) == {0}, figures


def test_full_disk_refuses_writes_alone_and_loses_none(
    fleet: Fleet, photos: Sequence[bytes], counted: Counted
) -> None:
    try:
        with small_disk(fleet.folder / "disk") as disk:
            figures = filled(fleet, photos, disk, seconds=2)
    except NotPossibleError as error:
        pytest.skip(str(error))
    assert counted(figures) == {"other failures": 0, "lost writes": 0}, figures
    refusals = next(figure for figure in figures if figure.unit == "refusals")
    assert refusals.value > 0, "the disk was not full"


def test_new_embedder_behind_a_name_gets_calls_and_takes_the_place_of_the_old_one(
    fleet: Fleet, photos: Sequence[bytes], counted: Counted
) -> None:
    figures = joined(fleet, photos, age_s=3)
    assert set(counted(figures).values()) == {0}, figures
    before, after = (figure.value for figure in figures if "share of calls" in figure.name)
    assert before == 0
    assert 0.25 < after < 0.75


def test_no_call_fails_while_certificates_and_tokens_are_replaced(
    fleet: Fleet, photos: Sequence[bytes], counted: Counted
) -> None:
    figures = rotated(fleet, photos, rounds=1)
    assert set(counted(figures).values()) == {0}, figures
    taken = next(figure for figure in figures if figure.unit == "tokens")
    assert taken.value == 0, "a former token is still taken"


def test_overload_refuses_with_reasons_and_goes_on(
    fleet: Fleet, photos: Sequence[bytes], counted: Counted
) -> None:
    embedder = fleet.embedder()
    figures = overloaded(embedder.address, photos, seconds=10)
    assert set(counted(figures).values()) == {0}, figures
    goodput = next(figure for figure in figures if figure.name.startswith("goodput"))
    assert goodput.value > 0.5, figures


def test_file_descriptors_and_memory_stay_while_calls_go_on(
    fleet: Fleet, photos: Sequence[bytes], counted: Counted
) -> None:
    figures = soaked(fleet, photos, seconds=60, rate=100)
    assert set(counted(figures).values()) == {0}, figures
    for figure in figures:
        if figure.unit == "descriptors":
            assert figure.value < 3, figures
        if figure.unit == "%":
            assert figure.value < 10, "a leak would be more, in so many calls"
