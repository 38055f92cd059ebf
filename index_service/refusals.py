"""Errors that every backend raises alike."""

from __future__ import annotations

from index_service.records import Collection
from lookalike.errors import (
    AliasNotFoundError,
    CollectionExistsError,
    CollectionInUseError,
    CollectionNotFoundError,
    InvalidArgumentError,
    ItemNotFoundError,
    UnknownFilterFieldError,
    WordsUnavailableError,
)


def collection_not_found(name: str) -> CollectionNotFoundError:
    """Returns the error for a name that neither a collection nor an alias has."""
    return CollectionNotFoundError(
        f"there is no collection or alias '{name}'", resource=("collection", name)
    )


def not_a_collection(name: str, *, is_alias: bool) -> CollectionNotFoundError:
    """Returns the error for deleting a collection by a name that is not its own."""
    kind = "an alias" if is_alias else "no collection"
    return CollectionNotFoundError(
        f"'{name}' is {kind}; name the collection itself", resource=("collection", name)
    )


def collection_in_use(name: str, alias: str) -> CollectionInUseError:
    """Returns the error for deleting a collection that an alias points at."""
    return CollectionInUseError(
        f"alias '{alias}' leads to collection '{name}'; set or delete it first",
        metadata={"alias": alias},
    )


def name_taken(name: str, *, by_alias: bool) -> CollectionExistsError:
    """Returns the error for a new name that a collection or an alias has already."""
    kind = "an alias" if by_alias else "a collection"
    return CollectionExistsError(
        f"there is {kind} '{name}' already", resource=(kind.split()[1], name)
    )


def alias_not_found(name: str) -> AliasNotFoundError:
    """Returns the error for a name that no alias has."""
    return AliasNotFoundError(f"there is no alias '{name}'", resource=("alias", name))


def item_not_found(collection: Collection, item_id: str, field: str) -> ItemNotFoundError:
    """Returns the error for an id that no item has."""
    return ItemNotFoundError(
        f"collection '{collection.name}' has no item '{item_id}'",
        field=field,
        resource=("item", item_id),
    )


def attribute_not_indexed(number: int, key: str, collection: Collection) -> UnknownFilterFieldError:
    """Returns the error for the filter's n-th attribute, which is not indexed."""
    known = ", ".join(collection.indexed_attributes) or "none"
    return UnknownFilterFieldError(
        f"filter.attributes[{number}].key is '{key}', which collection '{collection.name}' does "
        f"not index; it indexes {known} (Collection.indexed_attributes)",
        field=f"filter.attributes[{number}].key",
    )


def no_words(number: int, collection: Collection) -> WordsUnavailableError:
    """Returns the error for the n-th query, whose words no attribute is searched for."""
    return WordsUnavailableError(
        f"queries[{number}].words are set, and collection '{collection.name}' finds no words: it "
        "was made without text_attributes (Collection.text_attributes); make one with them and "
        "write the items to it, or leave words out",
        field=f"queries[{number}].words",
    )


def words_without_distance(number: int, field: str) -> InvalidArgumentError:
    """Returns the error for an option that needs a target, which the n-th query lacks."""
    return InvalidArgumentError(
        f"{field} is set, and queries[{number}] has words alone, which have no distance: send a "
        f"vector, an item_id or examples with them, or leave {field} out",
        field=field,
    )
