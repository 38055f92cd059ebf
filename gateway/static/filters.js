// The form of filters and the ranking, and how they stand in the address.

import { $, el } from "./dom.js";

const DEFAULTS = { category: "", min_price: "", max_price: "", k: "12", ranking: "" };
const NAMES = Object.keys(DEFAULTS);
const RANKED_BY_WORDS = ["hybrid", "words"];
const NARROWING = ["category", "min_price", "max_price"];

const form = $("#filters");

export function start(apply) {
  form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  form.addEventListener("change", apply);
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    for (const name of NARROWING) form.elements[name].value = "";
    apply();
  });
}

export function learnCategories(labels) {
  const select = form.elements.category;
  const now = select.value;
  const names = new Set(now ? [...labels, now] : labels);
  select.replaceChildren(el("option", { value: "" }, "Any"), ...[...names].map((name) => el("option", {}, name)));
  select.value = now;
}

export function chosen() {
  const values = NAMES.map((name) => [name, form.elements[name].value.trim()]);
  return Object.fromEntries(values
    .map(([name, value]) => [name, name.endsWith("_price") ? value.replace(",", ".") : value])
    .filter(([, value]) => value));
}

// `ofWords`: whether words are looked for, which alone can be ranked by words.
export function set(params, ofWords) {
  for (const value of RANKED_BY_WORDS) {
    const option = [...form.elements.ranking.options].find((one) => one.value === value);
    option.hidden = option.disabled = !ofWords;
  }
  const category = params.get("category") ?? "";
  const select = form.elements.category;
  if (category && !has(select, category)) select.append(el("option", {}, category));
  for (const name of NAMES) {
    const field = form.elements[name];
    const wanted = params.get(name) ?? DEFAULTS[name];
    // An address that was written by hand may have others, and one of words rankings that photos lack.
    field.value = field.options && !has(field, wanted) ? DEFAULTS[name] : wanted;
  }
  $("button[type=reset]", form).hidden = !NARROWING.some((name) => params.get(name));
}

// Puts what is chosen in the place of what an address has.
export function putInto(params) {
  for (const name of NAMES) params.delete(name);
  for (const [name, value] of Object.entries(chosen())) params.set(name, value);
}

const has = (select, value) => [...select.options].some((option) => option.value === value && !option.disabled);
