// What a listing and a classification look like.

import { el, number, percent } from "./dom.js";

export function href(listing, keep = {}) {
  const query = new URLSearchParams({ item: listing.item_id, listing: listing.product_id, ...keep });
  return `#/similar?${query}`;
}

export function thumbnail(listing) {
  const none = () => el("span.none", {}, el("span.sr", {}, "no thumbnail"));
  if (!listing.thumbnail) return none();
  const image = el("img", {
    src: listing.thumbnail, alt: "", loading: "lazy", decoding: "async", width: 256, height: 256,
  });
  image.addEventListener("error", () => image.replaceWith(none()), { once: true });
  return image;
}

export const title = (listing) => listing.title || listing.item_id;

export const price = (listing) => (listing.price === null ? "no price" : number(listing.price, 2));

export function card(listing, keep) {
  const link = el(
    "a.card",
    { href: href(listing, keep), title: title(listing) },
    el("span.picture", {}, thumbnail(listing), el("span.distance", {}, `distance ${number(listing.distance, 2)}`)),
    el("span.name", {}, title(listing)),
    el("b", {}, price(listing)),
    el("span.faint", {}, listing.category || "no category"),
    el("span.faint", {}, listing.location || "\u00a0"),
  );
  if (listing.near_duplicate) link.append(el("span.tag", {}, "near duplicate"));
  return el("li", {}, link);
}

export const skeleton = () =>
  el("li", { "aria-hidden": "true" }, el("div.card.ghost", {}, el("span.picture"), el("span.name"), el("span.faint")));

export function bars(classification) {
  const rows = classification.scores.map((score, place) => {
    const fill = el("span.fill");
    fill.style.inlineSize = `${100 * score.probability}%`;
    const row = el(
      "li",
      {},
      el("span.label", {}, score.category),
      el("span.value", {}, percent(score.probability)),
      el("span.bar", { "aria-hidden": "true" }, fill),
    );
    if (place === 0) row.className = "best";
    return row;
  });
  const list = el("ol.bars", {}, ...rows);
  const all = el("button.button.plain.more", { type: "button" }, `All ${rows.length} categories`);
  all.addEventListener("click", () => { list.classList.add("all"); all.remove(); });
  return [el("h2", {}, "Category"), list, all];
}
