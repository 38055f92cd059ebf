// The form of filters and the ranking, and how they stand in the address.

import { $, el } from "./dom.js";

const DEFAULTS = { category: "", min_price: "", max_price: "", k: "12", ranking: "" };
const NAMES = Object.keys(DEFAULTS);
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

export function set(params) {
  const category = params.get("category") ?? "";
  const select = form.elements.category;
  if (category && !has(select, category)) select.append(el("option", {}, category));
  for (const name of NAMES) {
    const field = form.elements[name];
    field.value = params.get(name) ?? DEFAULTS[name];
    // Of an address that was written by hand.
    if (field.options && !has(field, field.value)) field.value = DEFAULTS[name];
  }
  $("button[type=reset]", form).hidden = !NARROWING.some((name) => params.get(name));
}

// Puts what is chosen in the place of what an address has.
export function putInto(params) {
  for (const name of NAMES) params.delete(name);
  for (const [name, value] of Object.entries(chosen())) params.set(name, value);
}

const has = (select, value) => [...select.options].some((option) => option.value === value);
