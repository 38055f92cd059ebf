// "Like this, but …": words beside a photo, and how much they count.

import { $, el } from "./dom.js";

const WEIGHTS = { 0.5: "a little", 1: "clearly", 2: "above all" };
const FIELDS = {
  like: ["Like this, but", "blue"],
  unlike: ["and less", "damaged"],
};
const NAMES = Object.keys(FIELDS);

const form = $("#refine");

export function start(apply) {
  form.append(
    ...NAMES.flatMap((name) => row(name, ...FIELDS[name])),
    el("p.faint", { id: "refine-note", hidden: true }),
    el("div.buttons", {},
      el("button.button", { type: "submit" }, "Apply words"),
      el("button.button.plain", { type: "reset", hidden: true }, "Clear words")),
  );
  form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  form.addEventListener("change", (event) => {
    // How much nothing counts makes no difference.
    if (event.target.tagName === "SELECT" && NAMES.some(wordsOf)) apply();
  });
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    for (const name of NAMES) form.elements[name].value = "";
    apply();
    form.elements.like.focus();
  });
}

function row(name, label, example) {
  const many = Object.entries(WEIGHTS).map(([value, words]) => el("option", { value }, words));
  const weight = el("select", { name: `${name}_weight`, "aria-label": `How much “${label} …” counts` }, ...many);
  const words = el("input", {
    name, id: `refine-${name}`, type: "text", maxLength: 1000, autocomplete: "off", dir: "auto", placeholder: example,
    enterKeyHint: "search", "aria-describedby": "refine-note",
  });
  return [el("label", { htmlFor: words.id }, label), words, weight];
}

// A model without a text tower cannot do this, which is said where somebody would try.
export function learnWords(readsWords) {
  const note = $("#refine-note");
  if (!readsWords) {
    note.replaceChildren("The model here reads no words, so none can be added to a photo. ",
      el("a", { href: "#/status" }, "What is lacking?"));
  }
  for (const part of form.children) part.hidden = (part === note) === readsWords;
}

// Shows what the address asks for; words alone are changed in the search box instead.
export function set(params, ofWords) {
  form.hidden = ofWords;
  for (const name of NAMES) {
    const [words, weight] = ofWords ? ["", "1"] : split(params.get(name) ?? "");
    form.elements[name].value = words;
    form.elements[`${name}_weight`].value = weight in WEIGHTS ? weight : "1";
  }
  $("button[type=reset]", form).hidden = !NAMES.some(wordsOf);
}

// As the server writes weights; always with one, so that words may end in ^2 themselves.
function split(text) {
  const [, words, weight] = /^(.+)\^([0-9.]+)$/su.exec(text) ?? [null, text, "1"];
  return [words, weight];
}

// Who sees the page knows the parts of a mix by where they stand, not by their number.
export function explained({ message, field }) {
  const [start, number] = /^part ([0-9]+) of the mix: /.exec(message) ?? [];
  if (!start) return message;
  const names = { image: `photo ${number}`, item_id: "this listing's photo" };
  return `${FIELDS[field] ? `“${FIELDS[field][0]} …”` : names[field] ?? `part ${number}`}: ${message.slice(start.length)}`;
}

export const wordsOf = (name) => form.elements[name].value.trim();

export function chosen() {
  return Object.fromEntries(NAMES.filter(wordsOf)
    .map((name) => [name, `${wordsOf(name)}^${form.elements[`${name}_weight`].value}`]));
}

export function putInto(params) {
  for (const name of NAMES) params.delete(name);
  for (const [name, value] of Object.entries(chosen())) params.set(name, value);
}
