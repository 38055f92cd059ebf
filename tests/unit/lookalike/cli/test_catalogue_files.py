"""The raw tables: what is read of them is what `training` reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.catalogue.categories import CATEGORIES
from lookalike.cli.catalogue_files import read_catalogue
from training.embed import catalogue_photos
from training.tabular import read_listings

HEADER = ",id,product_name,category,product_description,price,location\n"
HOSTILE = [
    '0,a,"Lamp | in Leeds, West Yorkshire | Gumtree",Home & Garden / Lamps,bare\rreturn\rs,£1,x',
    '1,b,"A ""quoted"" title",Appliances,19" TV,"£1,250.00",y',
    '2,c,T,Other Goods,"two\nlines, quoted",£0.99,"Perth, Perth"',
    "3,d,T,Appliances / x,text,free,z",
    "4,e,T,N/A,text,£5,z",
    "5,f,NaN,Appliances,text,£5,z",
    "6,g,T,Appliances,,£5,z",
    "7,h,T,Appliances,text,,z",
    "8,i,T,Appliances,text,£5,null",
    "9,a,again,Appliances,text,£5,z",
    "10,,no id,Appliances,text,£5,z",
    "11,j,T, Appliances / y ,text,1 234,z",
    "12,k,T,Appliances,text, £12345678.5 ,z",
    "13,short,T,Appliances",
    "",
    "14,l,é – ’,Appliances,text,£5,z",
    "15,m,T,Appliances,text,€ 5,z",
    "16,n,T,Appliances,text,5 CHF,z",
    "17,o,T,Appliances,text,5 ONO,z",
    "18,p,T,Appliances,text,12.5,z",
]
IMAGES = "id,product_id\n1,a\n2,a\n1,b\n3,c\n8,m\n9,n\n10,k\n11,p\n4,nobody\n5,\n,b\n6,l\n7,b\n"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_same_photos_listings_and_drops_as_training(
    tmp_path: Path, newline: str, mark: str
) -> None:
    text = mark + HEADER + "\n".join(HOSTILE) + "\n"
    products, images = tmp_path / "Products.csv", tmp_path / "Images.csv"
    products.write_bytes(text.replace("\n", newline).encode())
    images.write_bytes(IMAGES.replace("\n", newline).encode())

    ours = read_catalogue(products, images)
    theirs = catalogue_photos(tmp_path, CATEGORIES).to_dict("records")
    assert ours.dropped == read_listings(products, CATEGORIES).dropped
    assert [
        (p.item_id, p.product.product_id, p.product.category, p.product.price, p.product.currency)
        for p in ours.photos
    ] == [
        (row["image_id"], row["product_id"], row["category"], row["price"], row["currency"])
        for row in theirs
    ]
    for column in ("title", "location"):
        assert [getattr(p.product, column) for p in ours.photos] == [row[column] for row in theirs]
    assert {p.product.currency for p in ours.photos} == {"", "GBP", "EUR", "CHF"}


def test_a_title_with_a_bare_return_stays_one_record(tmp_path: Path) -> None:
    products = tmp_path / "Products.csv"
    products.write_bytes((HEADER + "0,a,La\rmp,Appliances,t,£1,x\n").encode())
    (photo,) = read_catalogue(products, None).photos
    assert (photo.item_id, photo.product.title) == ("a", "La mp")


def test_a_long_description_is_read(tmp_path: Path) -> None:
    table = tmp_path / "Products.csv"
    table.write_text(HEADER + f"0,a,Lamp,Home,{'x' * 200_000},£1,Leeds\n", encoding="utf-8")
    assert [photo.item_id for photo in read_catalogue(table, None).photos] == ["a"]
