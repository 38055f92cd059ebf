"""A real marketplace beside the repository, where there is one: what its raw tables must give."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from lookalike.catalogue.categories import CATEGORIES
from lookalike.catalogue.photo_files import photo_path
from lookalike.model.preprocessing import preprocess
from training.images import LIMITS
from training.tabular import Listings, read_images, read_listings

MARKETPLACE = Path(__file__).resolve().parents[3] / "shared/data/marketplace"

pytestmark = pytest.mark.skipif(
    not MARKETPLACE.is_dir(), reason="no ../shared/data/marketplace beside the repository"
)


@pytest.fixture(scope="module")
def listings() -> Listings:
    return read_listings(MARKETPLACE / "Products.csv", CATEGORIES)


@pytest.fixture(scope="module")
def images() -> pd.DataFrame:
    return read_images(MARKETPLACE / "Images.csv")


def test_every_listing_is_complete_and_none_is_lost_to_the_parser(listings: Listings) -> None:
    assert (len(listings.table), listings.dropped) == (6439, {})
    assert listings.table["product_id"].is_unique
    assert not listings.table.isna().to_numpy().any()


def test_all_categories_are_there_and_numbered_in_their_order(listings: Listings) -> None:
    labels = dict(zip(listings.table["root"], listings.table["label"], strict=True))

    assert labels == {category: number for number, category in enumerate(CATEGORIES)}


def test_prices_are_pounds_and_some_things_are_for_free(listings: Listings) -> None:
    prices = listings.table["price"]

    assert (prices >= 0).all()
    assert (prices == 0).sum() == 85
    assert 10 < prices.median() < 100


def test_titles_are_rid_of_the_sites_name_and_descriptions_of_carriage_returns(
    listings: Listings,
) -> None:
    assert not listings.table["title"].str.contains("Gumtree").any()
    assert not listings.table["description"].str.contains("\r").any()


def test_every_photo_is_of_a_listing_that_is_there(
    listings: Listings, images: pd.DataFrame
) -> None:
    assert len(images) == 11_340
    assert images["image_id"].is_unique
    assert images["product_id"].isin(listings.table["product_id"]).all()
    assert images["product_id"].nunique() == 6348


def test_photos_decode(images: pd.DataFrame) -> None:
    chosen = images["image_id"].sample(20, random_state=7)
    for image_id in chosen:
        photo = photo_path(MARKETPLACE / "images", image_id).read_bytes()
        pixels = preprocess(photo, 64, LIMITS)
        assert pixels.shape == (64, 64, 3)
        assert pixels.std() > 0, image_id
