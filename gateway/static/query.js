// What is looked for: one's own photos, words, or a photo of the catalogue with its listing.

import { getItem, getListing } from "./api.js";
import { description, href, noPicture, price, thumbnail, title } from "./cards.js";
import { $, el, plural, size } from "./dom.js";
import { chosen } from "./filters.js";
import { total } from "./photos.js";

const SHORT = 200; // characters

export const known = new Map(); // photo's id → listing, as seen in answers

export function remember(listings) {
  for (const listing of listings) known.set(listing.item_id, listing);
}

function begin(heading) {
  $("#intro").hidden = true;
  $("#filters").hidden = false;
  $(".split").classList.remove("start");
  $("#drop").classList.add("small");
  $("#bars").hidden = true;
  $("#price").hidden = true;
  $("#query-title").className = "";
  $("#query-title").textContent = heading;
  $("#shown").hidden = false;
}

export function showText(text) {
  begin(`“${text}”`);
  $("#shown").replaceChildren();
  $("#shown").hidden = true;
}

export function showPhotos({ photos }) {
  begin(photos.length === 1 ? "Your photo" : "Your photos");
  const files = photos.map(({ file }) => file);
  const pictures = photos.map(({ file, url }, place) => {
    const alt = photos.length === 1 ? "The photo you are searching by" : `Photo ${place + 1} of ${photos.length}: ${file.name}`;
    const image = el("img", { src: url, alt });
    const words = photos.length === 1 ? "This browser cannot show this file." : file.name;
    image.addEventListener("error", () => image.replaceWith(noPicture(words)), { once: true });
    return el("div.picture", { title: file.name }, image);
  });
  const facts = photos.length === 1 ? files[0].name || "photo" : `${plural(photos.length, "photo")} of one thing`;
  if (photos.length === 1) pictures[0].classList.add("whole");
  $("#shown").replaceChildren(
    photos.length === 1 ? pictures[0] : el("div.pile", {}, ...pictures),
    el("p.faint", {}, `${facts}, ${size(total(files))}`),
  );
}

// Marks photos that were of no use, and returns a sentence for each.
export function markFailures(group, failures) {
  const { photos } = group;
  group.failed ??= new Set();
  for (const { photo } of failures) group.failed.add(photo);
  const pictures = [...$("#shown").querySelectorAll(".picture")];
  return failures.map(({ photo, detail }) => {
    const picture = pictures[photo];
    if (picture && !picture.classList.contains("failed")) {
      picture.classList.add("failed");
      picture.append(el("span.tag", {}, "not used"));
    }
    return `${photos[photo]?.file.name || `Photo ${photo + 1}`}: ${detail}`;
  });
}

// Whoever comes by a link knows nothing but the id; `isWanted` tells whether it is still looked for.
export async function showItem(item, isWanted) {
  begin("Listings like this one");
  const shown = $("#shown");
  const draw = (...parts) => { if (isWanted()) shown.replaceChildren(...parts.filter(Boolean)); };
  if (!known.has(item)) {
    draw(el("div.picture.ghost", { role: "img", "aria-label": "loading" }));
    try {
      remember((await getItem(item)).photos);
    } catch (error) {
      const words = error.reason === "ITEM_NOT_FOUND" ? "There is no such photo in the catalogue." : "This photo could not be looked up.";
      draw(el("div.picture", {}, noPicture(words)), el("p.faint", {}, item));
      return;
    }
  }
  const here = known.get(item);
  draw(...facts(here));
  let photos;
  try {
    photos = (await getListing(here.product_id)).photos;
  } catch {
    return; // without its other photos, then
  }
  remember(photos);
  draw(...facts(known.get(item)), ...strip(photos.filter((photo) => photo.item_id !== item)));
}

function facts(listing) {
  const picture = thumbnail(listing);
  if (picture.tagName === "IMG") picture.alt = title(listing);
  return [
    el("div.picture", {}, picture),
    el("p.name", { dir: "auto" }, title(listing)),
    el("p", {}, el("b", {}, price(listing)), listing.location ? `, ${listing.location}` : ""),
    el("p.faint", {}, listing.category || "no category"),
    said(listing),
  ];
}

// The seller's words, of which some are pages long.
function said(listing) {
  if (!listing.description) return null;
  if (listing.description.length <= SHORT) return description(listing, "p.said");
  return el("details.said", {}, el("summary", {}, "Description"), description(listing, "p"));
}

function strip(others) {
  if (!others.length) return [];
  const links = others.slice(0, 8).map((photo) =>
    el("a", { href: href(photo, chosen()), "aria-label": `search by another photo of ${title(photo)}` }, thumbnail(photo)));
  return [el("p.faint", {}, "Its other photos:"), el("div.strip", {}, ...links)];
}
