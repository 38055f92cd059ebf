// The search view: what is looked for, filters, what was found.

import { findSimilar, getListing } from "./api.js";
import { bars, card, href, price, skeleton, thumbnail, title } from "./cards.js";
import { $, el, notice, number, plural, showNotices, showProblem, size } from "./dom.js";

const FILTERS = ["category", "min_price", "max_price", "k"];
const DEFAULT_K = "12";
const KEPT_PHOTOS = 20;

const photos = new Map(); // number in the address → {file, url}; gone with the page
const known = new Map(); // item id → listing, as seen in answers
let nextPhoto = 1;
let limits = null;
let running = null; // AbortController of the search under way
let shownQuery = ""; // what the answer on the screen belongs to
let wantedQuery = ""; // what the address asks for

export function start() {
  const form = $("#filters");
  form.addEventListener("submit", (event) => { event.preventDefault(); applyFilters(); });
  form.addEventListener("change", applyFilters);
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    for (const name of FILTERS) form.elements[name].value = name === "k" ? DEFAULT_K : "";
    applyFilters();
  });
  for (const input of [$("#pick"), $("#camera")]) {
    input.addEventListener("change", () => {
      if (input.files.length) searchByFile(input.files[0]);
      input.value = ""; // so that the same file can be chosen again
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && running) cancel();
  });
}

export function learn(status) {
  limits = status.limits;
  const select = $("#filters").elements.category;
  const chosen = select.value || wish().get("category") || "";
  const labels = new Set(status.embedder.labels);
  if (chosen) labels.add(chosen);
  select.replaceChildren(el("option", { value: "" }, "Any"), ...[...labels].map((l) => el("option", {}, l)));
  select.value = chosen;
}

export function searchByFile(file) {
  if (limits && file.size > limits.max_image_bytes) {
    showNotices(notice("bad", "That photo is too large.",
      `${file.name || "It"} has ${size(file.size)}; the limit is ${size(limits.max_image_bytes)}.`));
    return;
  }
  const id = String(nextPhoto++);
  photos.set(id, { file, url: URL.createObjectURL(file) });
  for (const old of [...photos.keys()].slice(0, -KEPT_PHOTOS)) {
    URL.revokeObjectURL(photos.get(old).url);
    photos.delete(old);
  }
  const query = new URLSearchParams({ photo: id, ...chosenFilters() });
  location.hash = `#/similar?${query}`;
}

// Shows what the address asks for.
export async function show(params) {
  cancel();
  setFilters(params);
  const photo = photos.get(params.get("photo"));
  const item = params.get("item");
  if (!photo && !item) {
    showStart(params.has("photo"));
    return;
  }
  const query = photo ? { photo: photo.file } : { item };
  const subject = photo ? `photo ${params.get("photo")}` : `item ${item}`;
  const fresh = subject !== shownQuery;
  wantedQuery = subject;
  if (fresh) showQuery(photo, item, params.get("listing"));
  await search(query, subject, fresh);
}

function showStart(lostPhoto) {
  shownQuery = wantedQuery = "";
  showNotices(...(lostPhoto ? [notice("info", "That photo is gone.", "Photos are kept only while the page is open; show it again.")] : []));
  $("#query-title").textContent = "Search by a photo";
  $("#query-title").className = "sr";
  for (const id of ["#shown", "#bars", "#filters"]) $(id).hidden = true;
  $("#intro").hidden = false;
  $(".split").classList.add("start");
  $("#drop").classList.remove("small");
  $("#results").replaceChildren();
  $("#summary").textContent = "";
}

function showQuery(photo, item, productId) {
  $("#intro").hidden = true;
  $("#filters").hidden = false;
  $(".split").classList.remove("start");
  $("#drop").classList.add("small");
  $("#bars").hidden = true;
  const heading = $("#query-title");
  heading.className = "";
  heading.textContent = photo ? "Your photo" : "Listings like this one";
  const shown = $("#shown");
  shown.hidden = false;
  if (photo) {
    const image = el("img", { src: photo.url, alt: "The photo you are searching by" });
    image.addEventListener("error", () => image.replaceWith(el("p.none", {}, "This browser cannot show this file.")), { once: true });
    shown.replaceChildren(el("div.picture.whole", {}, image), el("p.faint", {}, `${photo.file.name || "photo"}, ${size(photo.file.size)}`));
    return;
  }
  const listing = known.get(item);
  shown.replaceChildren(...(listing ? facts(listing) : [el("div.picture", {}, el("span.none"))]));
  const product = productId || listing?.product_id;
  if (product) showListing(product, item);
}

function facts(listing) {
  return [
    el("div.picture", {}, thumbnail(listing)),
    el("p.name", {}, title(listing)),
    el("p", {}, el("b", {}, price(listing)), listing.location ? `, ${listing.location}` : ""),
    el("p.faint", {}, listing.category),
  ];
}

// The whole listing: after a reload nothing is known of it, and it may have other photos.
async function showListing(productId, item) {
  let photosOfListing;
  try {
    photosOfListing = (await getListing(productId)).photos;
  } catch {
    return; // the search itself tells what is wrong
  }
  remember(photosOfListing);
  const here = photosOfListing.find((photo) => photo.item_id === item);
  if (!here || wantedQuery !== `item ${item}`) return;
  const shown = facts(here);
  if (photosOfListing.length > 1) {
    const others = photosOfListing.filter((photo) => photo !== here).slice(0, 8);
    shown.push(
      el("p.faint", {}, "Its other photos:"),
      el("div.strip", {}, ...others.map((photo) => el("a", { href: href(photo, chosenFilters()), "aria-label": `search by another photo of ${title(photo)}` }, thumbnail(photo)))),
    );
  }
  $("#shown").replaceChildren(...shown);
}

async function search(query, subject, fresh) {
  const mine = new AbortController();
  running = mine;
  showNotices();
  const results = $("#results");
  results.setAttribute("aria-busy", "true");
  results.classList.toggle("waiting", !fresh);
  if (fresh) results.replaceChildren(...Array.from({ length: 8 }, skeleton));
  $("#summary").textContent = "Looking…";
  if (fresh) { $("#query-title").focus({ preventScroll: true }); scrollTo({ top: 0 }); }
  try {
    const answer = await findSimilar(query, chosenFilters(), mine.signal);
    if (running !== mine) return;
    shownQuery = subject;
    showAnswer(answer, query);
  } catch (error) {
    if (running !== mine) return;
    shownQuery = "";
    results.replaceChildren();
    $("#summary").textContent = error.name === "AbortError" ? "Stopped." : "";
    if (error.name !== "AbortError") showProblem(error);
  } finally {
    if (running === mine || running === null) {
      running = null;
      results.removeAttribute("aria-busy");
      results.classList.remove("waiting");
    }
  }
}

function showAnswer(answer, query) {
  remember(answer.listings);
  const filters = chosenFilters();
  $("#results").replaceChildren(...answer.listings.map((listing) => card(listing, filters)));
  if (answer.classification) {
    $("#bars").replaceChildren(...bars(answer.classification));
    $("#bars").hidden = false;
    const best = answer.classification.scores[0];
    $("#query-title").textContent = best.category;
  }
  const took = `${number(answer.timings_ms.total, 0)} ms${answer.cached && query.photo ? ", photo seen before" : ""}`;
  const found = plural(answer.listings.length, "listing");
  $("#summary").replaceChildren(
    el("strong", {}, answer.listings.length ? `${found}, nearest first` : "No listings"),
    answer.shortfall ? ` — ${answer.shortfall}` : "",
    el("span.took", {}, took),
  );
  if (answer.degraded) showNotices(notice("warn", "Not everything worked.", answer.degraded));
}

function cancel() {
  const stopped = running;
  running = null;
  stopped?.abort();
  if (stopped) {
    $("#results").replaceChildren();
    $("#results").removeAttribute("aria-busy");
    $("#summary").textContent = "Stopped.";
    shownQuery = "";
  }
}

function remember(listings) {
  for (const listing of listings) known.set(listing.item_id, listing);
}

const wish = () => new URLSearchParams(location.hash.split("?")[1] ?? "");

function chosenFilters() {
  const form = $("#filters");
  const values = FILTERS.map((name) => [name, form.elements[name].value.trim().replace(",", ".")]);
  return Object.fromEntries(values.filter(([, value]) => value));
}

function setFilters(params) {
  const form = $("#filters");
  const category = params.get("category") ?? "";
  const select = form.elements.category;
  if (category && ![...select.options].some((option) => option.value === category)) select.append(el("option", {}, category));
  for (const name of FILTERS) form.elements[name].value = params.get(name) ?? (name === "k" ? DEFAULT_K : "");
  $("button[type=reset]", form).hidden = !["category", "min_price", "max_price"].some((name) => params.get(name));
}

// Filters are part of the address, but no step of the history of their own.
function applyFilters() {
  const params = wish();
  for (const name of FILTERS) params.delete(name);
  for (const [name, value] of Object.entries(chosenFilters())) params.set(name, value);
  const address = `#/similar?${params}`;
  if (address === location.hash) return;
  history.replaceState(null, "", address);
  show(params);
}
