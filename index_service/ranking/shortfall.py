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
    noun = "product" if search.distinct_products else "item"
    other = "other " if by_items else ""
    reasons = ""
    if replace(search.filter, exclude_product_ids=()) != NO_FILTER:
        reasons += " that the filter lets through"
    if search.max_distance is not None:
        reasons += " within max_distance"
    if ranked and search.rerank and search.rerank.max_distance is not None:
        reasons += " within rerank.max_distance"
    if ranked and not complete:
        reasons += f" among the {ranked} candidates ranked"
    if search.filter.exclude_product_ids or search.exclude_same_product:
        reasons += " besides those left out"
    return f"the collection has {found or 'no'} {other}{noun}{'s' * (found != 1)}{reasons}"
