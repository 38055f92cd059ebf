// The map view: a sample of the catalogue on a canvas, for mouse, finger and keyboard alike.

import { getMap } from "./api.js";
import { href, price, thumbnail, title } from "./cards.js";
import { $, el, notice, number, percent, plural, problem } from "./dom.js";

const COLOURS = ["#e4572e", "#3aa6dd", "#2e933c", "#f2a541", "#7b5ea7", "#c45ba3", "#17a398", "#8d6b4f", "#d1495b", "#3d5a99", "#8fb339", "#7a8288", "#b8a100"];
const MARGIN = 18;
const MAX_ZOOM = 12;

export function show(section) {
  if (!section.firstChild) section.append(...frame());
  const left = new AbortController();
  const body = $(".body", section);
  body.replaceChildren(el("p.faint", {}, "Drawing…"));
  getMap(left.signal).then((map) => {
    if (!map.points.length) {
      body.replaceChildren(notice("info", "The catalogue is empty.", "Ingest listings, and they will be here."));
      return;
    }
    body.replaceChildren(...new Chart(map, left.signal).elements);
    body.dispatchEvent(new Event("ready"));
  }).catch((error) => {
    if (error.name !== "AbortError") body.replaceChildren(problem(error));
  });
  return () => left.abort();
}

function frame() {
  return [
    el("h1", { id: "map-title" }, "Map of the catalogue"),
    el("p.faint", {}, "Photos that look alike to the model stand together. Point at one to see it, choose it to search by it. With the keyboard: arrow keys go from photo to photo, Enter searches, + and − zoom."),
    el("div", { className: "body" }),
  ];
}

// No plane shows all: what it keeps of how near photos really are.
function howGood({ points, explained, neighbors_kept: kept, left_out: leftOut }) {
  const kind = kept === null || kept === undefined
    ? `by category: this plane shows ${percent(explained)} of what tells their vectors apart`
    : `by what is on them: of the 10 most like a photo, ${number(10 * kept, 1)} are among the 10 beside it`;
  const left = leftOut ? ` ${plural(leftOut, "photo")} without features ${leftOut === 1 ? "is" : "are"} left out.` : "";
  return `${plural(points.length, "photo")}, laid out ${kind}.${left}`;
}

class Chart {
  constructor(map, signal) {
    this.points = map.points;
    this.view = { x: 0.5, y: 0.5, zoom: 1 };
    this.current = -1;
    this.hidden = new Set();
    this.colours = colours(map.points);
    this.canvas = el("canvas", { tabIndex: 0, role: "application" });
    this.canvas.setAttribute("aria-label", `Map of ${plural(map.points.length, "photo")}; arrow keys move between them, Enter searches`);
    this.tip = el("div.tip", { hidden: true });
    this.spoken = el("p.sr", { "aria-live": "polite" });
    this.elements = [
      el("div.chart", {}, this.canvas, this.tip, this.zoomButtons()),
      this.spoken,
      this.legend(),
      el("p.faint", {}, howGood(map)),
    ];
    this.listen(signal);
  }

  listen(signal) {
    const on = (target, name, handler, options = {}) => target.addEventListener(name, handler, { signal, ...options });
    new ResizeObserver(() => this.canvas.isConnected && this.draw()).observe(this.canvas);
    on(matchMedia("(prefers-color-scheme: dark)"), "change", () => this.draw());
    on(this.canvas, "keydown", (event) => this.key(event));
    on(this.canvas, "focus", () => { if (this.current < 0) this.choose(this.nearestTo(0.5, 0.5)); });
    on(this.canvas, "blur", () => this.choose(-1));
    on(this.canvas, "wheel", (event) => this.wheel(event), { passive: false });
    on(this.canvas, "pointerdown", (event) => this.press(event));
    on(this.canvas, "pointermove", (event) => this.move(event));
    on(this.canvas, "pointerup", (event) => this.release(event));
    on(this.canvas, "pointercancel", () => { this.pressed = null; });
    on(this.canvas, "pointerleave", () => { if (document.activeElement !== this.canvas) this.choose(-1); });
  }

  zoomButtons() {
    const button = (sign, label, work) => {
      const made = el("button.button", { type: "button" }, sign);
      made.setAttribute("aria-label", label);
      made.addEventListener("click", work);
      return made;
    };
    return el("div.zoom", {},
      button("+", "zoom in", () => this.zoom(1.5)),
      button("−", "zoom out", () => this.zoom(1 / 1.5)),
      button("⤢", "show all", () => { this.view = { x: 0.5, y: 0.5, zoom: 1 }; this.draw(); }));
  }

  legend() {
    const counts = new Map();
    for (const point of this.points) counts.set(point.category, (counts.get(point.category) ?? 0) + 1);
    const entries = [...this.colours.keys()].map((category) => {
      const swatch = el("span.swatch");
      swatch.style.backgroundColor = this.colours.get(category);
      const button = el("button", { type: "button" }, swatch, category || "no category", el("span.faint", {}, number(counts.get(category))));
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        if (!this.hidden.delete(category)) this.hidden.add(category);
        button.setAttribute("aria-pressed", String(!this.hidden.has(category)));
        this.choose(-1);
      });
      return el("li", {}, button);
    });
    return el("ul.legend", { "aria-label": "Categories; press to hide or show" }, ...entries);
  }

  // From the plane's 0 to 1 to the canvas's CSS pixels; y grows upwards on the plane.
  place(point) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = (Math.min(width, height * 1.5) - 2 * MARGIN) * this.view.zoom;
    const flat = scale * Math.min(1, (height - 2 * MARGIN) * this.view.zoom / scale);
    return [width / 2 + (point.x - this.view.x) * scale, height / 2 - (point.y - this.view.y) * flat];
  }

  shown(point) { return !this.hidden.has(point.category); }

  draw() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.touchAction = this.view.zoom > 1 ? "none" : "pan-y";
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const crowded = this.points.length > 800 && width < 600;
    const radius = Math.min(7, (crowded ? 1.5 : 3) + Math.sqrt(this.view.zoom) + (this.points.length < 400 ? 1 : 0));
    pen.globalAlpha = 0.8;
    for (const point of this.points) {
      if (!this.shown(point)) continue;
      const [x, y] = this.place(point);
      pen.fillStyle = this.colours.get(point.category);
      pen.beginPath();
      pen.arc(x, y, radius, 0, 2 * Math.PI);
      pen.fill();
    }
    if (this.current >= 0) {
      const [x, y] = this.place(this.points[this.current]);
      pen.globalAlpha = 1;
      pen.lineWidth = 3;
      pen.strokeStyle = getComputedStyle(canvas).color;
      pen.fillStyle = this.colours.get(this.points[this.current].category);
      pen.beginPath();
      pen.arc(x, y, radius + 3, 0, 2 * Math.PI);
      pen.fill();
      pen.stroke();
    }
  }

  choose(number_, { speak = false } = {}) {
    this.current = number_;
    this.draw();
    this.tip.hidden = number_ < 0;
    if (number_ < 0) return;
    const point = this.points[number_];
    this.tip.replaceChildren(
      el("span.picture", {}, thumbnail(point)),
      el("span.name", {}, title(point)),
      el("span.faint", {}, `${price(point)}, ${point.category || "no category"}`),
    );
    const [x, y] = this.place(point);
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const [tipWidth, tipHeight] = [this.tip.offsetWidth, this.tip.offsetHeight];
    const beside = x + 16 + tipWidth > width ? x - 16 - tipWidth : x + 16;
    this.tip.style.left = `${Math.max(4, Math.min(beside, width - tipWidth - 4))}px`;
    this.tip.style.top = `${Math.max(4, Math.min(y - tipHeight / 2, height - tipHeight - 4))}px`;
    if (speak) this.spoken.textContent = `${title(point)}, ${point.category}, ${price(point)}`;
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  hit(event, reach = event.pointerType === "touch" ? 24 : 12) {
    const [x, y] = this.at(event);
    let best = -1;
    let least = reach * reach;
    this.points.forEach((point, number_) => {
      if (!this.shown(point)) return;
      const [px, py] = this.place(point);
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) [best, least] = [number_, distance];
    });
    return best;
  }

  nearestTo(x, y) {
    let best = -1;
    let least = Infinity;
    this.points.forEach((point, number_) => {
      const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
      if (this.shown(point) && distance < least) [best, least] = [number_, distance];
    });
    return best;
  }

  // The nearest photo within 45 degrees of a direction; sideways counts double.
  neighbour([dx, dy]) {
    const here = this.points[this.current];
    let best = this.current;
    let least = Infinity;
    this.points.forEach((point, number_) => {
      const along = (point.x - here.x) * dx + (point.y - here.y) * dy;
      const aside = Math.abs((point.x - here.x) * dy - (point.y - here.y) * dx);
      if (!this.shown(point) || along <= 1e-6 || aside > along) return;
      const cost = along + 2 * aside;
      if (cost < least) [best, least] = [number_, cost];
    });
    return best;
  }

  key(event) {
    const ways = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const way = ways[event.key];
    if (way) {
      const next = this.current < 0 ? this.nearestTo(this.view.x, this.view.y) : this.neighbour(way);
      if (next >= 0) { this.bringIntoView(this.points[next]); this.choose(next, { speak: true }); }
    } else if (event.key === "Enter" && this.current >= 0) this.open();
    else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "Escape") this.choose(-1);
    else return;
    event.preventDefault();
  }

  bringIntoView(point) {
    const [x, y] = this.place(point);
    const outside = x < 0 || y < 0 || x > this.canvas.clientWidth || y > this.canvas.clientHeight;
    if (outside) Object.assign(this.view, { x: point.x, y: point.y });
  }

  open() { location.hash = href(this.points[this.current]); }

  zoom(factor) {
    const zoom = Math.max(1, Math.min(MAX_ZOOM, this.view.zoom * factor));
    const middle = this.current >= 0 ? this.points[this.current] : this.view;
    this.view = zoom === 1 ? { x: 0.5, y: 0.5, zoom } : { x: middle.x, y: middle.y, zoom };
    this.choose(this.current);
  }

  wheel(event) {
    if (!event.ctrlKey && this.view.zoom === 1 && event.deltaY > 0) return; // the page scrolls on
    event.preventDefault();
    this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2);
  }

  press(event) {
    this.pressed = { x: event.clientX, y: event.clientY, view: { ...this.view }, moved: false };
    if (this.view.zoom > 1) this.canvas.setPointerCapture(event.pointerId);
  }

  move(event) {
    if (!this.pressed) {
      if (event.pointerType !== "touch") this.choose(this.hit(event));
      this.canvas.classList.toggle("over", this.current >= 0);
      return;
    }
    const [dx, dy] = [event.clientX - this.pressed.x, event.clientY - this.pressed.y];
    if (Math.hypot(dx, dy) > 5) this.pressed.moved = true;
    if (!this.pressed.moved || this.view.zoom === 1) return;
    const [x0, y0] = this.place({ x: 0, y: 0 });
    const [x1, y1] = this.place({ x: 1, y: 1 });
    this.view.x = clamp(this.pressed.view.x - dx / (x1 - x0));
    this.view.y = clamp(this.pressed.view.y - dy / (y1 - y0));
    this.choose(-1);
  }

  release(event) {
    const pressed = this.pressed;
    this.pressed = null;
    if (!pressed || pressed.moved) return;
    const found = this.hit(event);
    // A finger cannot hover: its first touch shows the photo, its second searches.
    const seen = found === this.current && !this.tip.hidden;
    this.choose(found);
    if (found >= 0 && (event.pointerType !== "touch" || seen)) this.open();
  }
}

const clamp = (value) => Math.max(0, Math.min(1, value));

function colours(points) {
  const names = [...new Set(points.map((point) => point.category))].sort();
  return new Map(names.map((name, place) => [name, COLOURS[place % COLOURS.length]]));
}
