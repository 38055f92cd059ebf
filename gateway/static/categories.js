// The categories: by photos, by words, or by both, of which each can be looked at.

import { el, number, percent } from "./dom.js";

function rows(classification) {
  return classification.scores.map((score, place) => {
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
}

// Returns the panel; `answer` is a classification, of /v1/classify with `photos` and `words` too.
export function categories(answer, heading = "Category") {
  const list = el("ol.bars", {}, ...rows(answer));
  const all = el("button.button.plain.more", { type: "button" }, `All ${answer.scores.length} categories`);
  all.addEventListener("click", () => { list.classList.add("all"); all.remove(); });
  const parts = [el("h2", {}, heading), list, all];
  if (answer.words && answer.photos) parts.splice(1, 0, choice(answer, list));
  if (answer.words?.truncated) {
    parts.push(el("p.faint", {}, `Only the first ${number(answer.words.tokens)} tokens of the words were read.`));
  }
  return parts;
}

// What each says alone in a line of its own, and its bars at a click.
function choice(answer, list) {
  const photos = answer.photos.filter(Boolean);
  const ways = [["Photo and words", answer]];
  if (photos.length === 1) ways.push(["Photo alone", photos[0]]);
  else photos.forEach((photo, place) => ways.push([`Photo ${place + 1} alone`, photo]));
  ways.push(["Words alone", answer.words]);
  const buttons = ways.map(([name, classification], place) => {
    const best = classification.scores[0];
    const button = el("button.way", { type: "button", "aria-pressed": String(place === 0) },
      el("span.faint", {}, name), el("span", {}, best.category), el("span.value", {}, percent(best.probability)));
    button.addEventListener("click", () => {
      list.replaceChildren(...rows(classification));
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    });
    return button;
  });
  return el("div.ways", { role: "group", "aria-label": "Category by" }, ...buttons);
}
