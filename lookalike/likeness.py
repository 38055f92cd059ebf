"""A likeness in words. One place, so that gateway, client and command line say the same."""

from __future__ import annotations


def likeness_words(likeness: float | None) -> str:
    """Returns what a likeness of 0 to 1 means to people; nothing where none was calibrated."""
    if likeness is None:
        return ""
    if likeness >= 0.9:
        return "almost certainly the same item"
    if likeness >= 0.5:
        return "probably the same item"
    if likeness >= 0.1:
        return "possibly the same item"
    return "another item"
