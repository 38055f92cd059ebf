// What a listing looks like.

import { el, number } from "./dom.js";
import { money } from "./money.js";

export function href(listing, keep = {}) {
  const query = new URLSearchParams({ item: listing.item_id, ...keep });
  return `#/similar?${query}`;
}

export const noPicture = (words = "no picture") => el("span.none", {}, words);

export function thumbnail(listing) {
  if (!listing.thumbnail) return noPicture();
  const image = el("img", {
    src: listing.thumbnail, alt: "", loading: "lazy", decoding: "async", width: 256, height: 256,
  });
  image.addEventListener("error", () => image.replaceWith(noPicture()), { once: true });
  return image;
}

export const title = (listing) => listing.title || listing.item_id;

export const price = (listing) => (listing.price === null ? "no price" : money(listing.price, listing.currency));

// As the seller wrote it, in whichever script: a line break is a space.
export const description = (listing, kind) => el(kind, { dir: "auto" }, listing.description.replace(/\s+/gu, " "));

// How likely a listing is the same item; never 0 or 100, since nobody knows that from photos.
// The thresholds are the command line's.
function chance(likeness) {
  if (likeness > 0.99) return "> 99 %";
  if (likeness < 0.01) return "< 1 %";
  return `${number(100 * likeness)} %`;
}

export function card(listing, keep) {
  const calibrated = listing.likeness !== null && listing.likeness !== undefined;
  const strong = calibrated && listing.likeness >= 0.5 ? ".strong" : "";
  const link = el(
    "a.card",
    { href: href(listing, keep), title: title(listing) },
    el("span.picture", {}, thumbnail(listing),
      calibrated ? el(`span.chance${strong}`, {}, chance(listing.likeness)) : null),
    calibrated && listing.likeness_words ? el(`span.words${strong}`, {}, listing.likeness_words) : null,
    el("span.name", { dir: "auto" }, title(listing)),
    listing.description ? description(listing, "span.about") : null,
    el("b", {}, price(listing)),
    el("span.faint", {}, listing.category || "no category"),
    el("span.faint", {}, listing.location || "\u00a0"),
  );
  if (listing.near_duplicate) link.append(el("span.tag", {}, "near duplicate"));
  return el("li", {}, link);
}

export const skeleton = () =>
  el("li", { "aria-hidden": "true" }, el("div.card.ghost", {}, el("span.picture"), el("span.name"), el("span.faint")));
