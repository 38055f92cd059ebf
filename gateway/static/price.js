// What such a thing costs, by the listings that look like it.

import { getItem } from "./api.js";
import { href, title } from "./cards.js";
import { $, el, percent, plural } from "./dom.js";
import { money } from "./money.js";

// `known` has listings by the id of their photo, to name those that were left out.
export function showPrice(estimate, known, keep) {
  const section = $("#price");
  section.hidden = !estimate;
  if (!estimate) return;
  section.replaceChildren(el("h2", {}, "Price"), said(estimate), basis(estimate));
  if (estimate.outliers.length) section.append(leftOut(estimate, known, keep));
}

function said({ median, low, high, coverage, currency }) {
  const rough = (amount) => money(amount, currency, { rough: true });
  const sentence = el("p", {}, "Such things cost about ", el("strong", {}, rough(median)));
  const range = [rough(low), rough(high)];
  if (range[0] !== range[1]) sentence.append(`; ${howMany(coverage)} cost ${range[0]} to ${range[1]}`);
  sentence.append(".");
  return sentence;
}

// A range that nobody fitted is still where most of these prices are.
function howMany(coverage) {
  const tenths = 10 * coverage;
  if (!coverage) return "most";
  return Math.abs(tenths - Math.round(tenths)) < 0.05 ? `${Math.round(tenths)} in 10` : percent(coverage);
}

const basis = ({ listings }) =>
  el("p.faint", {}, `By the ${listings === 1 ? "price of one similar listing" : `prices of ${plural(listings, "similar listing")}`}.`);

function leftOut({ outliers, currency }, known, keep) {
  const list = el("ul");
  const details = el("details.outliers", {},
    el("summary", {}, `${plural(outliers.length, "listing")} left out, with ${outliers.length === 1 ? "a price" : "prices"} far from these`), list);
  const rows = () => outliers.map((outlier) => el("li", {},
    el("a", { href: href(outlier, keep) }, title(known.get(outlier.item_id) ?? outlier)), " ",
    el("span", {}, money(outlier.price, currency))));
  details.addEventListener("toggle", async () => {
    list.replaceChildren(...rows());
    const strangers = outliers.filter(({ item_id }) => !known.has(item_id));
    const answers = await Promise.allSettled(strangers.map(({ item_id }) => getItem(item_id)));
    for (const { value } of answers) for (const photo of value?.photos ?? []) known.set(photo.item_id, photo);
    list.replaceChildren(...rows()); // who could not be asked for keeps its id
  }, { once: true });
  return details;
}
