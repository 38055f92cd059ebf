// Makes elements and shows notices. Knows nothing of listings.

export const $ = (selector, root = document) => root.querySelector(selector);

// el("p.note", {title: "…"}, "text", child): text is never parsed as HTML.
export function el(kind, properties = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && !name.startsWith("aria")) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// A style sheet that only some views need; resolves when it is there.
export function sheet(name) {
  const href = `/static/${name}`;
  if ($(`link[href="${href}"]`)) return Promise.resolve();
  return new Promise((resolve) => {
    const link = el("link", { rel: "stylesheet", href });
    // Without it the view is plain, and still better than none.
    link.onload = link.onerror = resolve;
    document.head.append(link);
  });
}

// `details` are sentences: one goes on in the line, several are a list.
export function notice(kind, title, ...details) {
  const box = el(`div.notice.${kind}`, { role: kind === "bad" ? "alert" : "status" });
  box.append(el("strong", {}, title));
  const said = details.filter(Boolean);
  if (said.length > 1) box.append(el("ul", {}, ...said.map((detail) => el("li", {}, detail))));
  else if (said.length) box.append(" ", el("span", {}, said[0]));
  return box;
}

export function showNotices(...notices) {
  $("#notices").replaceChildren(...notices);
}

// What a person would call it; the server's own words follow.
const TITLES = {
  INVALID_IMAGE: "That is no photo we can read",
  IMAGE_TOO_LARGE: "That photo is too large",
  REQUEST_TOO_LARGE: "That is too much at once",
  ITEM_NOT_FOUND: "That photo is not in the catalogue",
  COLLECTION_NOT_FOUND: "The catalogue is empty",
  EMBEDDING_SPACE_MISMATCH: "Model and catalogue do not belong together",
  RANKING_UNAVAILABLE: "Listings cannot be ranked that way here",
  WORDS_UNAVAILABLE: "Words are not read here",
  UPSTREAM_UNAVAILABLE: "A service is away",
  QUEUE_FULL: "Too much is going on",
  RATE_LIMITED: "That was too much at a time",
  UNAUTHENTICATED: "You are not signed in",
  PERMISSION_DENIED: "Your token is not good for that",
  INVALID_ARGUMENT: "That cannot be searched for",
};

export function problem(error) {
  return notice("bad", `${TITLES[error.reason] ?? error.title ?? "Something went wrong"}.`, error.message);
}

export function showProblem(error) {
  showNotices(problem(error));
}

export const number = (value, digits = 0) =>
  value.toLocaleString(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits });

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

export const percent = (share) =>
  share < 0.001 ? "<0.1 %" : `${number(100 * share, share < 0.1 ? 1 : 0)} %`;

export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const [value, unit] = bytes < 1 << 20 ? [bytes / 1024, "KiB"] : [bytes / (1 << 20), "MiB"];
  return `${number(value, value < 10 ? 1 : 0)} ${unit}`;
}
