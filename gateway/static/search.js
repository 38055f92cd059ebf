// The search view: asks, and shows what was found. What is looked for is in query.js.

import { classify, findSimilar } from "./api.js";
import { card, skeleton } from "./cards.js";
import { categories } from "./categories.js";
import { $, el, notice, number, plural, showNotices, showProblem } from "./dom.js";
import * as filters from "./filters.js";
import { photosOf, sendable } from "./photos.js";
import { showPrice } from "./price.js";
import { known, markFailures, remember, showItem, showPhotos, showText } from "./query.js";
import * as refine from "./refine.js";

// By the answer's `ranking`.
const ORDERS = {
  blend: "best match first",
  features: "ranked by the item alone",
  category: "ranked by category",
  hybrid: "best match of words and meaning first",
  words: "ranked by the words in titles and descriptions",
};
const ORDERS_OF_WORDS = { ...ORDERS, features: "ranked by what your words mean" };

let running = null; // AbortController of the search under way
let shownQuery = ""; // what the answer on the screen belongs to
let wantedQuery = ""; // what the address asks for
let status = null; // resolves to the server's status, or null

filters.start(applyForms);
refine.start(applyForms);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running) cancel();
});

// Shows what the address asks for; returns what to do when it is left.
export function show(section, params, learnt) {
  if (!status) {
    status = learnt;
    status.then((answer) => {
      if (!answer) return;
      filters.learnCategories(answer.embedder.labels);
      if (answer.embedder.ready) refine.learnWords(Boolean(answer.embedder.text_encoder));
    });
  }
  cancel();
  const group = photosOf(params.get("photo"));
  const item = params.get("item");
  const text = !group && !item ? params.get("text") : null;
  filters.set(params, text !== null);
  refine.set(params, text !== null);
  let subject = text === null ? `item ${item}` : `text ${text}`;
  if (group) subject = `photo ${params.get("photo")}`;
  const fresh = subject !== shownQuery;
  wantedQuery = subject;
  if (fresh) {
    if (group) showPhotos(group);
    else if (text !== null) showText(text);
    else showItem(item, () => wantedQuery === subject);
  }
  search({ group, item, text }, subject, fresh);
  return () => { cancel(); wantedQuery = shownQuery = ""; };
}

async function search({ group, item, text }, subject, fresh) {
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
    const beside = refine.chosen();
    const mixed = Object.keys(beside).length > 0;
    const query = group ? { photos: await sendable(group) } : { item, text };
    // A mix needs all of its photos: those that were of no use before are left out.
    if (group && mixed) query.photos = query.photos.filter((_, place) => !group.failed?.has(place));
    mine.signal.throwIfAborted();
    // A mix has no category of its own: that of the photos and of the words that they should have.
    const [answer, classified] = await Promise.all([
      findSimilar({ ...query, ...beside }, filters.chosen(), mine.signal),
      group && mixed ? classify(query.photos, refine.wordsOf("like"), mine.signal).catch(() => null) : null,
    ]);
    if (running !== mine) return;
    shownQuery = subject;
    showAnswer(answer, { group, text, mixed, classification: classified ?? answer.classification });
  } catch (error) {
    if (running !== mine) return;
    shownQuery = "";
    results.replaceChildren();
    $("#price").hidden = true;
    $("#summary").textContent = error.name === "AbortError" ? "Stopped." : "";
    if (error.name === "AbortError") return;
    error.message = refine.explained(error);
    showProblem(error);
  } finally {
    if (running === mine || running === null) {
      running = null;
      results.removeAttribute("aria-busy");
      results.classList.remove("waiting");
    }
  }
}

function showAnswer(answer, { group, text, mixed, classification }) {
  remember(answer.listings);
  const keep = filters.chosen();
  $("#results").replaceChildren(...answer.listings.map((listing) => card(listing, keep)));
  $("#bars").hidden = !classification;
  if (classification) {
    $("#bars").replaceChildren(...categories(classification, text ? "Category of your words" : "Category"));
    if (group) $("#query-title").textContent = classification.scores[0].category;
  }
  showPrice(answer.price, known, keep);
  const took = `${number(answer.timings_ms.total, 0)} ms${answer.cached && group ? ", seen before" : ""}`;
  $("#summary").replaceChildren(
    answer.listings.length
      ? el("strong", {}, `${plural(answer.listings.length, "listing")}, ${(text ? ORDERS_OF_WORDS : ORDERS)[answer.ranking] ?? "nearest first"}${mixed ? ", with your words" : ""}`)
      : el("strong", {}, "No listings"),
    answer.shortfall ? ` — ${answer.shortfall}` : "",
    el("span.took", {}, took),
  );
  const notices = [];
  const unused = [...(group?.leftOut ?? []), ...(group ? markFailures(group, answer.failures ?? []) : [])];
  if (unused.length) {
    notices.push(notice("warn", `${plural(unused.length, "photo")} could not be used; the answer is by the ${rest(group, answer)}.`, ...unused));
  }
  if (answer.degraded) notices.push(notice("warn", "Not everything worked.", answer.degraded));
  showNotices(...notices);
}

function rest({ photos }, { failures }) {
  const used = photos.length - (failures?.length ?? 0);
  return used === 1 ? "other one" : `other ${number(used)}`;
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

// Filters and words beside a photo are part of the address, but no step of the history of their own.
function applyForms() {
  const params = new URLSearchParams(location.hash.split("?")[1] ?? "");
  filters.putInto(params);
  refine.putInto(params);
  const address = `#/similar?${params}`;
  if (address === location.hash) return;
  history.replaceState(null, "", address);
  show($("#search"), params, status);
}
