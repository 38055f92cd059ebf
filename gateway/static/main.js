// Which view is shown: by the address after #. Photos may be dropped, pasted and chosen anywhere;
// words are typed above.

import { getStatus } from "./api.js";
import { $, el, notice, sheet, showNotices, showProblem } from "./dom.js";
import { learnLimits, photosOf, take } from "./photos.js";

const VIEWS = ["search", "map", "status"];
let leave = () => {};
let looks = 0;

function address() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return [VIEWS.includes(path) ? path : "search", new URLSearchParams(query)];
}

function route() {
  const [view, params] = address();
  leave();
  leave = () => {};
  const look = ++looks;
  for (const name of VIEWS) {
    $(`#${name}`).hidden = name !== view;
    const link = $(`nav [data-view=${name}]`);
    if (name === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = view === "search" ? "Lookalike" : `${view[0].toUpperCase()}${view.slice(1)} · Lookalike`;
  showNotices();
  $("#text").value = params.get("text") ?? "";
  if (view === "search" && !photosOf(params.get("photo")) && !params.get("item") && !params.get("text")) {
    showStart(params.has("photo"));
    return;
  }
  // Loaded when first looked at: the first view should be small.
  Promise.all([import(`./${view}.js`), sheet(`${view}.css`)]).then(([module]) => {
    // Whoever went on meanwhile would have nothing to stop it with.
    if (look === looks) leave = module.show($(`#${view}`), params, status);
  }).catch((error) => { if (look === looks) showProblem(error); });
}

function showStart(lostPhoto) {
  if (lostPhoto) {
    showNotices(notice("info", "That photo is gone.", "Photos are kept only while the page is open; show it again."));
  }
  $("#query-title").textContent = "Search by photos or words";
  $("#query-title").className = "sr";
  for (const id of ["#shown", "#bars", "#price", "#filters", "#refine"]) $(id).hidden = true;
  $("#intro").hidden = false;
  $(".split").classList.add("start");
  $("#drop").classList.remove("small");
  $("#results").replaceChildren();
  $("#summary").textContent = "";
}

function searchBy(files) {
  const id = take([...files]);
  if (id) lookFor("photo", id);
}

// What was narrowed down to stays, as when a result is followed; `listing` is of older links.
function lookFor(name, value) {
  const [, params] = address();
  for (const old of ["photo", "item", "text", "like", "unlike", "listing"]) params.delete(old);
  location.hash = `#/similar?${new URLSearchParams([[name, value], ...params])}`;
}

function takeWords() {
  $("#words").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("#text").value.trim();
    if (text) lookFor("text", text);
    else $("#text").focus();
  });
}

// Says what words cannot do here, where somebody would type them.
function tellOfWords({ embedder, index }) {
  if (!embedder.ready || !index.ready) return; // nothing is known of one that is away
  const reads = Boolean(embedder.text_encoder);
  const note = $("#text-note");
  note.hidden = reads && index.finds_words;
  if (note.hidden) return;
  let said = "Found by what your words mean; this catalogue does not look them up in titles and descriptions. ";
  if (!reads) said = "Found where titles and descriptions have your words; the model here does not read what they mean. ";
  if (!reads && !index.finds_words) {
    said = "Words cannot be searched here: the model does not read them, and the catalogue does not look them up. ";
    for (const field of $("#words").elements) field.disabled = true;
  }
  note.replaceChildren(said, el("a", { href: "#/status" }, "What is lacking?"));
}

async function learnStatus() {
  const dot = $("#health");
  try {
    const known = await getStatus();
    learnLimits(known.limits);
    tellOfWords(known);
    const good = known.embedder.ready && known.index.ready && !known.mismatch;
    dot.className = `dot ${good ? "good" : "warn"}`;
    dot.setAttribute("aria-label", good ? "all is well" : "something is wrong");
    return known;
  } catch {
    dot.className = "dot bad";
    dot.setAttribute("aria-label", "the server does not answer");
    return null;
  }
}

function takeDroppedAndPasted() {
  const veil = $("#veil");
  let depth = 0; // dragenter and dragleave come for every element on the way
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => {
    if (carriesFiles(event)) { depth += 1; veil.hidden = false; event.preventDefault(); }
  });
  addEventListener("dragleave", (event) => {
    if (carriesFiles(event)) { depth = Math.max(0, depth - 1); veil.hidden = depth === 0; }
  });
  addEventListener("dragover", (event) => { if (carriesFiles(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    depth = 0;
    veil.hidden = true;
    const files = event.dataTransfer?.files;
    if (files?.length) { event.preventDefault(); searchBy(files); }
  });
  addEventListener("paste", (event) => {
    const files = event.clipboardData?.files;
    if (files?.length) { event.preventDefault(); searchBy(files); }
  });
}

for (const input of [$("#pick"), $("#camera")]) {
  input.addEventListener("change", () => {
    if (input.files.length) searchBy(input.files);
    input.value = ""; // so that the same file can be chosen again
  });
}
$(".skip").addEventListener("click", (event) => { event.preventDefault(); $("#main").focus(); });
addEventListener("hashchange", route);
takeDroppedAndPasted();
takeWords();
const status = learnStatus();
route();
