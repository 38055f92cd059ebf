"""Explains why a query got fewer neighbours than it asked for."""

from __future__ import annotations

from dataclasses import replace

from index_service.records import NO_FILTER, Search


def shortfall(
    found: int, search: Search, *, by_items: bool, ranked: int = 0, complete: bool = True
) -> str:
    """Returns a sentence; empty if the query got `k` neighbours.

    Args:
        found: How many neighbours it got.
        search: What it asked for.
        by_items: Whether it names items, which its answer leaves out.
        ranked: How many candidates were ranked again; 0 if they are in the order of vectors.
        complete: Whether nothing nearer can be missing.
    """
    if found >= search.k:
        return ""
    other = "other " if by_items else ""
    reasons = _that_filter_lets_through(search)
    if search.max_distance is not None:
        reasons += " within max_distance"
    if ranked and search.rerank and search.rerank.max_distance is not None:
        reasons += " within rerank.max_distance"
    if ranked and not complete:
        reasons += f" among the {ranked} candidates ranked"
    if search.filter.exclude_product_ids or search.exclude_same_product:
        reasons += " besides those left out"
    return f"the collection has {found or 'no'} {other}{_noun(found, search)}{reasons}"


def words_shortfall(found: int, search: Search, *, is_empty: bool) -> str:
    """Returns a sentence for a query by words alone; empty if the query got `k` neighbours.

    Args:
        found: How many neighbours it got.
        search: What it asked for.
        is_empty: Whether its words have neither letters nor digits.
    """
    if found >= search.k:
        return ""
    if is_empty:
        return "words have neither letters nor digits, so there is nothing to look for"
    reasons = _that_filter_lets_through(search)
    if search.filter.exclude_product_ids:
        reasons += " besides those left out"
    noun = _noun(found, search)
    return f"the collection has {found or 'no'} {noun} with one of the words{reasons}"


def _noun(found: int, search: Search) -> str:
    noun = "product" if search.distinct_products else "item"
    return f"{noun}{'s' * (found != 1)}"


def _that_filter_lets_through(search: Search) -> str:
    filtered = replace(search.filter, exclude_product_ids=()) != NO_FILTER
    return " that the filter lets through" if filtered else ""
