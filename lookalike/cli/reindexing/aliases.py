"""The names that lead to collections: what is served, and what was served before."""

from __future__ import annotations

from dataclasses import dataclass

from lookalike.cli.console import CommandError
from lookalike.client import IndexClient

_PREVIOUS = "-previous"
WITH_FEATURES = "-features"
WITH_WORDS = "-words"
_MOST_CHARACTERS = 64


@dataclass(frozen=True)
class Served:
    """An alias, and what it leads to.

    Attributes:
        alias: The gateway's name for the catalogue.
        collection: What it leads to.
        previous: What it led to before the last switch; empty if there was none.
    """

    alias: str
    collection: str
    previous: str


def previous_name(alias: str) -> str:
    """Returns the alias of what was served before."""
    return alias + _PREVIOUS


def beside(collection: str, suffix: str) -> str:
    """Returns the name of a collection that has more, beside one of the same space.

    Args:
        collection: The name of that one.
        suffix: `WITH_FEATURES`, say; empty for the same name.
    """
    return collection[: _MOST_CHARACTERS - len(suffix)] + suffix


def served(index: IndexClient, alias: str) -> Served:
    """Returns where an alias leads.

    Raises:
        CommandError: There is no such alias, or it is a collection's name.
    """
    if len(alias) > _MOST_CHARACTERS - 13:
        raise CommandError(f"--collection is {alias}; an alias here has at most 51 characters")
    aliases = index.aliases()
    if alias in aliases:
        return Served(alias, aliases[alias], aliases.get(previous_name(alias), ""))
    if any(collection.name == alias for collection in index.collections()):
        raise CommandError(
            f"'{alias}' is a collection, not an alias, so it cannot be switched; let an alias "
            f"lead to it (IndexService.SetAlias), give that to the gateway "
            f"(LOOKALIKE_GATEWAY_COLLECTION) and here (--collection)"
        )
    known = ", ".join(sorted(name for name in aliases if not name.endswith(_PREVIOUS)))
    raise CommandError(f"the index has no alias '{alias}'; it has {known or 'none'}")


def switch(index: IndexClient, now: Served, collection: str) -> None:
    """Lets an alias lead to another collection, and remembers the one before."""
    # In this order: interrupted in between, the way back is known already.
    index.set_alias(previous_name(now.alias), now.collection)
    index.set_alias(now.alias, collection)


def roll_back(index: IndexClient, now: Served) -> None:
    """Swaps what is served with what was served before.

    Raises:
        CommandError: Nothing was served before.
    """
    if not now.previous or now.previous == now.collection:
        raise CommandError(
            f"nothing to roll back to: '{previous_name(now.alias)}' leads "
            + (f"to {now.previous}, which is served" if now.previous else "nowhere")
        )
    index.set_alias(now.alias, now.previous)
    index.set_alias(previous_name(now.alias), now.collection)
