// Calls the gateway. The only module that fetches.

export class Problem extends Error {
  constructor({ title = "Request failed", detail = "", reason = "", status = 0, field = "" } = {}) {
    super(detail);
    Object.assign(this, { title, reason, status, field });
  }
}

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
    if (response.status === 401) {
      const { signIn } = await import("./sign_in.js");
      if (await signIn()) response = await fetch(path, options);
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({
      title: "The server cannot be reached",
      detail: "Check that the gateway is running, then try again.",
      reason: "UNREACHABLE",
    });
  }
  let body;
  try {
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ title: `Status ${response.status}`, detail: "The answer is not JSON." });
  }
  if (!response.ok) throw new Problem(body);
  return body;
}

export const getStatus = (signal) => call("/v1/status", { signal });
export const getMap = (signal) => call("/v1/map", { signal });
export const getListing = (id, signal) => call(`/v1/listings/${encodeURIComponent(id)}`, { signal });
export const getItem = (id, signal) => call(`/v1/items/${encodeURIComponent(id)}`, { signal });

function formOf(photos = []) {
  const form = new FormData();
  for (const photo of photos) form.append("image", photo, photo.name || "photo");
  form.append("allow_partial", "true");
  return form;
}

// `query` is {photos: [File]}, all of one thing, {item: id} or {text: words}, and {like, unlike} beside the
// first two; `filters` are fields of the form.
export function findSimilar(query, filters, signal) {
  const form = formOf(query.photos);
  const named = { item_id: query.item, text: query.text, like: query.like, unlike: query.unlike };
  for (const [name, value] of Object.entries(named)) if (value) form.append(name, value);
  for (const [name, value] of Object.entries(filters)) if (value) form.append(name, value);
  form.append("include_price", "true");
  return call("/v1/similar", { method: "POST", body: form, signal });
}

export function classify(photos, words, signal) {
  const form = formOf(photos);
  if (words) form.append("title", words);
  return call("/v1/classify", { method: "POST", body: form, signal });
}
