// The status view: upstreams, model, counts, cache; asked for again while it is looked at.

import { getStatus } from "./api.js";
import { signOut, signedIn } from "./sign_in.js";
import { el, notice, number, percent, problem, size } from "./dom.js";

const EVERY_MS = 5000;
const RANKINGS = { blend: "item and category", features: "item", category: "category", hybrid: "words and meaning", words: "words" };

export function show(section) {
  if (!section.firstChild) {
    section.append(el("h1", { id: "status-title" }, "Status"), el("div", { className: "body" }, el("p.faint", {}, "Asking…")));
  }
  const body = section.lastChild;
  const left = new AbortController();
  const ask = async () => {
    try {
      body.replaceChildren(...described(await getStatus(left.signal)));
    } catch (error) {
      if (error.name !== "AbortError") body.replaceChildren(problem(error));
    }
  };
  ask();
  const timer = setInterval(ask, EVERY_MS);
  return () => { clearInterval(timer); left.abort(); };
}

function described(status) {
  const { embedder, index, cache } = status;
  const asked = cache.hits + cache.misses;
  const parts = [];
  if (status.mismatch) parts.push(notice("warn", "Model and catalogue do not belong together.", status.mismatch));
  if (status.lacking?.length) parts.push(notice("warn", "Answers could be better.", ...status.lacking.map(sentence)));
  parts.push(el("div.panels", {},
    panel("Embedder", state(embedder.ready, "ready", "not reachable"), {
      Address: embedder.target,
      Model: [embedder.model_name, embedder.model_version].filter(Boolean).join(" "),
      Engine: [embedder.engine, embedder.precision].filter(Boolean).join(", "),
      Categories: embedder.labels.length || "",
      Features: embedder.features_dimension || "",
      "Reads words": embedder.ready ? embedder.text_encoder || "no" : "",
      "Embedding space": code(embedder.embedding_space),
    }),
    panel("Index", state(index.ready, index.read_only ? "ready, read-only" : "ready", "not reachable"), {
      Address: index.target,
      Photos: number(index.photos),
      Listings: number(index.listings),
      "Photos with features": index.photos_with_features === undefined ? "" : number(index.photos_with_features),
      "Finds words": index.ready ? (index.finds_words ? "in titles and descriptions" : "no") : "",
      Collection: collection(index),
      Backend: index.backend,
      "Newest write": number(index.applied_seq),
      "Embedding space": code(index.embedding_space),
    }),
    panel("Gateway", state(true, "ready"), {
      Version: status.version,
      "Ranks by": RANKINGS[status.ranking] ?? "",
      Thumbnails: status.thumbnails ? "kept" : "not kept",
      "Largest photo": size(status.limits.max_image_bytes),
      "Vectors kept": `${number(cache.entries)} (${size(cache.bytes)} of ${size(cache.max_bytes)})`,
      "Photos known": asked ? `${percent(cache.hits / asked)} of ${number(asked)}` : "none asked yet",
      "Shared while under way": number(cache.coalesced),
    }),
  ));
  if (signedIn()) parts.push(el("p", {}, el("button.button", { type: "button", onclick: signOut }, "Sign out")));
  return parts;
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;

const state = (good, yes, no) => el(`span.state.${good ? "good" : "bad"}`, {}, good ? yes : no);

const code = (text) => (text ? el("code", {}, text) : "");

const collection = (index) =>
  index.serving_collection && index.serving_collection !== index.collection
    ? `${index.collection} → ${index.serving_collection}`
    : index.serving_collection || `${index.collection} (none yet)`;

function panel(name, badge, facts) {
  const rows = Object.entries(facts).flatMap(([term, fact]) =>
    fact === "" ? [] : [el("dt", {}, term), el("dd", {}, fact)]);
  return el("section.panel", {}, el("h2", {}, name, badge), el("dl", {}, ...rows));
}
