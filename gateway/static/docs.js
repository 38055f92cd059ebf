// Shows /openapi.json to people, without a script of anybody else's.

import { $, el, notice } from "./dom.js";

const main = $("#main");

function typeOf(schema, all) {
  if (!schema) return "";
  if (schema.$ref) return typeOf(lookUp(schema, all), all);
  if (schema.anyOf) return schema.anyOf.map((one) => typeOf(one, all)).filter((name) => name !== "null").join(" or ");
  if (schema.type === "array") return `list of ${typeOf(schema.items, all) || "values"}`;
  if (schema.format === "binary") return "file";
  return schema.type ?? schema.title ?? "";
}

const lookUp = (schema, all) => all.components.schemas[schema.$ref.split("/").pop()];

// `so` in a description is code.
const prose = (text) => text.split("`").map((part, place) => (place % 2 ? el("code", {}, part) : part));

function table(rows) {
  return el("table", {}, el("tbody", {}, ...rows.map(([name, type, text]) =>
    el("tr", {}, el("td", {}, el("code", {}, name)), el("td", {}, type), el("td", {}, ...prose(text))))));
}

function properties(schema, all) {
  const found = schema.$ref ? lookUp(schema, all) : schema;
  const required = new Set(found.required ?? []);
  return Object.entries(found.properties ?? {}).map(([name, property]) => {
    const said = property.default === undefined || property.default === null || property.default.length === 0;
    const kept = said ? "" : ` Default \`${JSON.stringify(property.default)}\`.`;
    return [name, typeOf(property, all), (required.has(name) ? "Required. " : "") + (property.description ?? "") + kept];
  });
}

function curl(path, method, operation) {
  const start = `curl -s${method === "get" ? "" : ` -X ${method.toUpperCase()}`} ${location.origin}${path}`;
  const form = operation.requestBody?.content["multipart/form-data"];
  if (!form) return start;
  const fields = (form.schema.required ?? []).filter((name) => name !== "image").map((name) => ` -F ${name}=…`);
  const photo = form.schema.properties.image ? " -F image=@photo.jpg" : "";
  return `curl -s ${location.origin}${path}${photo}${fields.join("")}`;
}

function section(path, method, operation, all) {
  const inside = el("div.inside", {}, el("p", {}, ...prose(operation.description ?? "")), el("pre", {}, el("code", {}, curl(path, method, operation))));
  const form = operation.requestBody?.content["multipart/form-data"];
  const takes = form
    ? properties(form.schema, all)
    : (operation.parameters ?? []).map((one) => [one.name, typeOf(one.schema, all), one.description ?? ""]);
  if (takes.length) inside.append(el("h3", {}, form ? `Takes ${Object.keys(operation.requestBody.content).join(", ")}` : "Takes"), table(takes));
  const inJson = form ? Object.entries(operation.requestBody.content["application/json"].schema.properties) : [];
  const only = inJson.filter(([name]) => !(name in form.schema.properties) && name !== "images");
  if (only.length) inside.append(el("h3", {}, "In JSON also"), table(properties({ properties: Object.fromEntries(only) }, all)));
  const answer = operation.responses["200"]?.content?.["application/json"]?.schema;
  if (answer) inside.append(el("h3", {}, "Answers"), table(properties(answer, all)));
  return el("details", {},
    el("summary", {}, el(`span.method.${method}`, {}, method.toUpperCase()), el("code", {}, path), el("span.faint", {}, operation.summary ?? "")),
    inside);
}

function described(all) {
  const groups = new Map();
  for (const [path, methods] of Object.entries(all.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const name = operation.tags?.[0] ?? "Other";
      groups.set(name, [...(groups.get(name) ?? []), section(path, method, operation, all)]);
    }
  }
  return [
    el("h1", {}, `${all.info.title} over HTTP`),
    el("p", {}, ...prose(all.info.description), " The same description for programs: ", el("a", { href: "/openapi.json" }, "openapi.json"), "."),
    ...[...groups].flatMap(([name, sections]) => [el("h2", {}, name), ...sections]),
    el("h2", {}, "Problems"),
    table(properties({ $ref: "#/components/schemas/Problem" }, all)),
  ];
}

try {
  const answer = await fetch("/openapi.json");
  main.replaceChildren(...described(await answer.json()));
} catch (error) {
  main.replaceChildren(notice("bad", "The description cannot be read.", String(error)));
}
