// The search view: asks, and shows what was found. What is looked for is in query.js.

import { findSimilar } from "./api.js";
import { bars, card, skeleton } from "./cards.js";
import { $, el, notice, number, plural, showNotices, showProblem } from "./dom.js";
import * as filters from "./filters.js";
import { photosOf, sendable } from "./photos.js";
import { showPrice } from "./price.js";
import { known, markFailures, remember, showItem, showPhotos } from "./query.js";

// By the answer's `ranking`.
const ORDERS = {
  blend: "best match first",
  features: "ranked by the item alone",
  category: "ranked by category",
};

let running = null; // AbortController of the search under way
let shownQuery = ""; // what the answer on the screen belongs to
let wantedQuery = ""; // what the address asks for
let status = null; // resolves to the server's status, or null

filters.start(applyFilters);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running) cancel();
});

// Shows what the address asks for; returns what to do when it is left.
export function show(section, params, learnt) {
  if (!status) {
    status = learnt;
    status.then((answer) => { if (answer) filters.learnCategories(answer.embedder.labels); });
  }
  cancel();
  filters.set(params);
  const group = photosOf(params.get("photo"));
  const item = params.get("item");
  const subject = group ? `photo ${params.get("photo")}` : `item ${item}`;
  const fresh = subject !== shownQuery;
  wantedQuery = subject;
  if (fresh) {
    if (group) showPhotos(group);
    else showItem(item, () => wantedQuery === subject);
  }
  search({ group, item }, subject, fresh);
  return () => { cancel(); wantedQuery = shownQuery = ""; };
}

async function search({ group, item }, subject, fresh) {
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
    const query = group ? { photos: await sendable(group) } : { item };
    mine.signal.throwIfAborted();
    const answer = await findSimilar(query, filters.chosen(), mine.signal);
    if (running !== mine) return;
    shownQuery = subject;
    showAnswer(answer, group);
  } catch (error) {
    if (running !== mine) return;
    shownQuery = "";
    results.replaceChildren();
    $("#price").hidden = true;
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

function showAnswer(answer, group) {
  remember(answer.listings);
  const keep = filters.chosen();
  $("#results").replaceChildren(...answer.listings.map((listing) => card(listing, keep)));
  if (answer.classification) {
    $("#bars").replaceChildren(...bars(answer.classification));
    $("#bars").hidden = false;
    $("#query-title").textContent = answer.classification.scores[0].category;
  }
  showPrice(answer.price, known, keep);
  const took = `${number(answer.timings_ms.total, 0)} ms${answer.cached && group ? ", seen before" : ""}`;
  $("#summary").replaceChildren(
    answer.listings.length
      ? el("strong", {}, `${plural(answer.listings.length, "listing")}, ${ORDERS[answer.ranking] ?? "nearest first"}`)
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

// Filters are part of the address, but no step of the history of their own.
function applyFilters() {
  const params = new URLSearchParams(location.hash.split("?")[1] ?? "");
  filters.putInto(params);
  const address = `#/similar?${params}`;
  if (address === location.hash) return;
  history.replaceState(null, "", address);
  show($("#search"), params, status);
}
