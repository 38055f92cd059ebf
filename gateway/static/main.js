// Which view is shown: by the address after #. Photos may be dropped or pasted anywhere.

import { getStatus } from "./api.js";
import { $, showNotices, showProblem } from "./dom.js";
import * as search from "./search.js";

const VIEWS = ["search", "map", "status"];
let leave = () => {};
let looks = 0;

function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const view = VIEWS.includes(path) ? path : "search";
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
  if (view === "search") {
    search.show(new URLSearchParams(query));
    return;
  }
  showNotices();
  // Loaded when first looked at: the first view should be small.
  import(`./${view}.js`).then((module) => {
    // Whoever went on meanwhile would have nothing to stop it with.
    if (look === looks) leave = module.show($(`#${view}`));
  }).catch((error) => { if (look === looks) showProblem(error); });
}

async function learnStatus() {
  const dot = $("#health");
  try {
    const status = await getStatus();
    search.learn(status);
    const good = status.embedder.ready && status.index.ready && !status.mismatch;
    dot.className = `dot ${good ? "good" : "warn"}`;
    dot.setAttribute("aria-label", good ? "all is well" : "something is wrong");
  } catch {
    dot.className = "dot bad";
    dot.setAttribute("aria-label", "the server does not answer");
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
    const file = event.dataTransfer?.files[0];
    if (file) { event.preventDefault(); search.searchByFile(file); }
  });
  addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (file) { event.preventDefault(); search.searchByFile(file); }
  });
}

$(".skip").addEventListener("click", (event) => { event.preventDefault(); $("#main").focus(); });
addEventListener("hashchange", route);
takeDroppedAndPasted();
search.start();
route();
learnStatus();
