// What a page does by itself: curves that can be asked, tables that sort and filter.
// All that is chosen stands in the address, behind its #, so that a link keeps it.
"use strict";

// ---------------------------------------------------------------- what is chosen

const asked = new URLSearchParams(location.hash.slice(1));

function keep(name, values) {
  asked.delete(name);
  for (const value of [values].flat()) if (value !== "") asked.append(name, value);
  const text = asked.toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

// ---------------------------------------------------------------- elements

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// ---------------------------------------------------------------- tables

const MANY = 6; // rows, from which on a table has a filter

// What is moved as one: a row, or the rows of one head.
function units(table) {
  const bodies = [...table.tBodies];
  return bodies[0].classList.contains("pairs") ? bodies : [...bodies[0].rows];
}

function first(unit) {
  return unit.rows ? unit.rows[0] : unit;
}

function numberOf(text) {
  const plain = text.replaceAll("\u2212", "-").replaceAll(",", "").replace("∞", "Infinity");
  const found = plain.match(/^[-+]?(Infinity|\d[\d.]*(e[-+]?\d+)?)/);
  return found ? Number(found[0]) : NaN;
}

function sort(table, column, descending) {
  const place = units(table)[0].parentNode === table ? table : table.tBodies[0];
  const all = units(table).map((unit) => {
    const text = first(unit).cells[column]?.textContent.trim() ?? "";
    return { unit, text, number: numberOf(text) };
  });
  const numeric = all.some((one) => !isNaN(one.number));
  const sign = descending ? -1 : 1;
  all.sort((a, b) => {
    if (!numeric) return sign * a.text.localeCompare(b.text, undefined, { numeric: true });
    if (isNaN(a.number) || isNaN(b.number)) return isNaN(a.number) - isNaN(b.number);
    return sign * (a.number - b.number || 0);
  });
  place.append(...all.map((one) => one.unit));
  const heads = table.tHead.rows[0].cells;
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
}

function filter(table, words, said) {
  const parts = words.toLowerCase().split(/\s+/).filter(Boolean);
  const all = units(table);
  let shown = 0;
  for (const unit of all) {
    const text = unit.textContent.toLowerCase();
    unit.hidden = !parts.every((part) => text.includes(part));
    shown += !unit.hidden;
  }
  said.textContent = parts.length ? `${shown} of ${all.length}` : "";
}

function equip(table, number) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (!head.textContent.trim()) return;
    const button = element("button", { type: "button", title: "sort" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      sort(table, column, descending);
      keep(`sort${number}`, `${column}${descending ? "d" : "a"}`);
    });
  });
  const sorted = (asked.get(`sort${number}`) ?? "").match(/^(\d+)([ad])$/);
  if (sorted && heads[sorted[1]]) sort(table, Number(sorted[1]), sorted[2] === "d");
  if (units(table).length < MANY) return;
  const said = element("output");
  const field = element("input", { type: "search", value: asked.get(`filter${number}`) ?? "" });
  const act = () => filter(table, field.value, said);
  field.addEventListener("input", () => {
    act();
    keep(`filter${number}`, field.value.trim());
  });
  const label = element("label", {}, "Rows with ", field);
  table.parentNode.before(element("div", { className: "filter" }, label, said));
  act();
}

document.querySelectorAll("table.numbers").forEach(equip);

// ---------------------------------------------------------------- curves: the choice

const place = document.getElementById("series");
const series = place && JSON.parse(place.textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const paper = matchMedia("print");
const TOGGLES = "toggle", TASKS = "task", LINEAR = "linear", SYMLOG = "symlog";
const EACH = 260; // pixels, the height of a panel

function isDark() {
  return dark.matches && !paper.matches;
}

function inkOf(variant) {
  return isDark() ? variant.dark : variant.light;
}

// Of names in the address those that there are; all where none is.
function chosenOf(name, there) {
  const known = asked.getAll(name).map((each) => there.indexOf(each)).filter((i) => i >= 0);
  return new Set(known.length ? known : there.keys());
}

const choice = series && {
  tasks: chosenOf("on", series.tasks),
  variants: chosenOf("of", series.variants.map((each) => each.name)),
  metric: Math.max(series.metrics.findIndex((each) => each.name === asked.get("metric")), 0),
  scale: asked.get("scale") === SYMLOG ? SYMLOG : LINEAR,
  seeds: asked.get("seeds") === "1",
  panels: series.pairs.length && asked.get("panels") !== TASKS ? TOGGLES : TASKS,
};

function keepChoice() {
  const some = (set, names) => (set.size === names.length ? [] : [...set].map((i) => names[i]));
  keep("on", some(choice.tasks, series.tasks));
  keep("of", some(choice.variants, series.variants.map((each) => each.name)));
  keep("metric", choice.metric ? series.metrics[choice.metric].name : "");
  keep("scale", choice.scale === LINEAR ? "" : choice.scale);
  keep("seeds", choice.seeds ? "1" : "");
  keep("panels", series.pairs.length && choice.panels === TASKS ? TASKS : "");
}

function selectOf(title, options, value, act) {
  const field = element("select", { onchange: () => act(field.value) });
  for (const [name, text] of options) field.append(new Option(text, name, false, name === value));
  return element("label", {}, title, field);
}

function switchOf(title, value, act) {
  const field = element("input", { type: "checkbox", checked: value });
  field.addEventListener("change", () => act(field.checked));
  return element("label", { className: "switch" }, field, title);
}

const SVG = "http://www.w3.org/2000/svg";

function lineOf(variant) {
  const svg = document.createElementNS(SVG, "svg");
  const line = document.createElementNS(SVG, "line");
  const values = { x1: 1, y1: 4, x2: 27, y2: 4, class: "look", "stroke-dasharray": variant.dash };
  for (const [name, value] of Object.entries(values)) line.setAttribute(name, value);
  line.style.setProperty("--light", variant.light);
  line.style.setProperty("--dark", variant.dark);
  for (const [name, value] of [["width", 28], ["height", 8], ["aria-hidden", true]])
    svg.setAttribute(name, value);
  svg.append(line);
  return svg;
}

// Boxes to check, with a search among them where there are many.
function boxes(title, names, set, looks) {
  const found = names.map((name, i) => {
    const box = element("input", { type: "checkbox", checked: set.has(i) });
    box.addEventListener("change", () => {
      box.checked ? set.add(i) : set.delete(i);
      draw();
    });
    const label = element("label", {}, box, ...(looks ? [lineOf(looks[i])] : []), name);
    if (looks && looks[i].whole !== name) label.title = looks[i].whole;
    return { label, box, i };
  });
  const setAll = (value) => {
    for (const { label, box, i } of found.filter((one) => !one.label.hidden)) {
      box.checked = value;
      value ? set.add(i) : set.delete(i);
    }
    draw();
  };
  const button = (text, value) =>
    element("button", { type: "button", onclick: () => setAll(value) }, text);
  const tools = element("div", { className: "few" }, button("all", true), button("none", false));
  if (names.length > MANY) {
    const field = element("input", { type: "search", placeholder: "find" });
    field.setAttribute("aria-label", `find among ${title.toLowerCase()}`);
    field.addEventListener("input", () => {
      const word = field.value.toLowerCase();
      for (const { label } of found)
        label.hidden = !label.textContent.toLowerCase().includes(word);
    });
    tools.append(field);
  }
  const list = element("div", {}, ...found.map((one) => one.label));
  const many = names.length > 1 ? [tools] : [];
  return element("fieldset", {}, element("legend", {}, title), ...many, list);
}

// ---------------------------------------------------------------- curves: panels

let panels = [];
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) show(entry.target.panel);
}, { rootMargin: "400px" });
const sized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const { plot } = target.panel;
    if (plot && target.clientWidth) plot.setSize({ width: target.clientWidth, height: EACH });
  }
});

function draw() {
  keepChoice();
  for (const panel of panels) {
    seen.unobserve(panel.plotted);
    sized.unobserve(panel.plotted);
    panel.plot?.destroy();
  }
  panels = asPanels().map(makePanel);
  const home = document.getElementById("panels");
  home.replaceChildren(...panels.map((panel) => panel.home));
  if (!panels.length) home.append("No curve is chosen.");
  for (const panel of panels) {
    seen.observe(panel.plotted);
    sized.observe(panel.plotted);
  }
}

function asPanels() {
  const made = [];
  const pairs = choice.panels === TOGGLES
    ? series.pairs : [{ title: "", variants: [...series.variants.keys()] }];
  for (const pair of pairs)
    for (const task of [...choice.tasks].sort((a, b) => a - b)) {
      const lines = series.lines.filter((line) =>
        line.t === task && line.m === choice.metric &&
        pair.variants.includes(line.v) && choice.variants.has(line.v));
      lines.sort((a, b) => a.v - b.v);
      const title = [pair.title, series.tasks[task]].filter(Boolean).join(", on ");
      if (lines.length) made.push({ title, lines });
    }
  return made;
}

function makePanel(panel) {
  panel.at = null; // index of the evaluation that is asked of
  panel.line = 0; // of the lines, that which is nearest or was chosen by keys
  panel.plotted = element("div", { className: "plot" });
  panel.plotted.panel = panel;
  panel.read = element("p", { className: "read" });
  panel.read.setAttribute("aria-live", "polite");
  const button = (text, title, act) =>
    element("button", { type: "button", title, "aria-label": title, onclick: act }, text);
  const header = element("header", {}, element("h3", {}, panel.title),
    button("+", "zoom in", () => zoom(panel, 0.5)),
    button("\u2212", "zoom out", () => zoom(panel, 2)),
    button("0", "zoom back to all", () => whole(panel)));
  panel.out = element("p", { className: "read" });
  panel.home = element("div", { className: "panel", tabIndex: 0 },
    header, panel.plotted, panel.read, panel.out);
  read(panel);
  panel.home.setAttribute("role", "group");
  panel.home.setAttribute("aria-label",
    `${series.metrics[choice.metric].name}: ${panel.title}. ` +
    "Arrow keys read values; plus, minus and 0 zoom.");
  panel.home.addEventListener("keydown", (event) => press(panel, event));
  return panel;
}

// The lines on one axis of env steps: uPlot's columns, and what each of them is. What
// comes last is drawn on top.
function columns(panel) {
  const tables = [], kinds = [];
  const add = (i, grid, ...columns) => {
    tables.push([series.grids[grid], ...columns.map(([, values]) => values)]);
    kinds.push(...columns.map(([kind]) => ({ i, kind })));
  };
  panel.lines.forEach((line, i) => {
    if (line.low) add(i, line.g, ["low", line.low], ["high", line.high]);
  });
  panel.lines.forEach((line, i) => {
    if (choice.seeds && line.seeds) add(i, line.sg, ...line.seeds.map((each) => ["seed", each]));
  });
  panel.lines.forEach((line, i) => add(i, line.g, ["mean", line.y]));
  return { data: uPlot.join(tables), kinds };
}

function styles(panel, kinds) {
  const few = panel.lines.every((line) => line.y.length < 2);
  return kinds.map(({ i, kind }) => {
    const variant = series.variants[panel.lines[i].v], color = inkOf(variant);
    if (kind === "mean")
      return { stroke: color, width: 2, dash: variant.dash, points: { show: few, size: 6 } };
    if (kind === "seed")
      return { stroke: `${color}66`, width: 0.75, dash: variant.dash, points: { show: false } };
    return { stroke: "transparent", width: 0, points: { show: false } };
  });
}

function shades(panel, kinds) {
  const found = [];
  kinds.forEach(({ i, kind }, at) => {
    if (kind !== "high") return;
    const color = inkOf(series.variants[panel.lines[i].v]);
    found.push({ series: [at + 1, at], fill: `${color}26` });
  });
  return found;
}

function engineering(value) {
  const size = Math.abs(value);
  const [scale, letter] = size >= 1e15 || size === 0 ? [0, ""]
    : size >= 1e12 ? [1e12, "T"] : size >= 1e9 ? [1e9, "G"]
    : size >= 1e6 ? [1e6, "M"] : size >= 1e4 ? [1e3, "k"] : [1, ""];
  return scale ? `${Number((value / scale).toPrecision(6))}${letter}` : String(value);
}

// Below which values a symmetric logarithm is linear.
function threshold(panel) {
  const sizes = panel.lines.flatMap((line) => line.y).filter(Boolean).map(Math.abs);
  sizes.sort((a, b) => a - b);
  const middle = sizes[Math.floor(sizes.length / 2)] || 1;
  return 10 ** Math.floor(Math.log10(middle) - 1);
}

// The ends of the axis where values of these lines ran away, and who they are.
function cutting(panel) {
  const cut = panel.lines.find((line) => line.cut)?.cut;
  if (!cut || choice.scale !== LINEAR) return {};
  const inside = (x) => x !== null && x >= cut[0] && x <= cut[1];
  const away = panel.lines.filter((line) => line.y.some((x) => x !== null && !inside(x)));
  const values = panel.lines.flatMap((line) => [line.y, line.low ?? [], line.high ?? []])
    .flat().filter((x) => x !== null);
  if (values.every(inside)) return {};
  const kept = values.filter(inside);
  if (!kept.length) return {};
  const low = kept.reduce((a, b) => Math.min(a, b)), high = kept.reduce((a, b) => Math.max(a, b));
  const room = 0.05 * (high - low || 1);
  return { range: () => [low - room, high + room], away };
}

function axes() {
  const css = getComputedStyle(document.documentElement);
  const color = (name, light) => (isDark() ? css.getPropertyValue(name).trim() : light);
  const stroke = color("--ink", "#1a1a1a"), grid = { stroke: color("--hair", "#d9d9d9"), width: 1 };
  const common = { stroke, grid, ticks: grid, font: "12px system-ui, sans-serif" };
  const values = (_, all) => all.map((x) => (x === null ? "" : engineering(x)));
  return [{ ...common, values, size: 34 }, { ...common, values, size: 62 }];
}

function show(panel) {
  if (panel.plot || !panel.plotted.clientWidth) return;
  const { data, kinds } = columns(panel);
  const { range, away = [] } = cutting(panel);
  const scale = choice.scale === SYMLOG ? { distr: 4, asinh: threshold(panel) } : { range };
  const names = away.map((line) => series.variants[line.v].name).join(", ");
  panel.out.textContent = names && `Outside of the picture: ${names}.`;
  panel.data = data;
  panel.means = kinds.flatMap(({ kind }, at) => (kind === "mean" ? [at + 1] : []));
  panel.plot = new uPlot({
    width: panel.plotted.clientWidth,
    height: EACH,
    series: [{}, ...styles(panel, kinds)],
    bands: shades(panel, kinds),
    scales: { x: { time: false }, y: scale },
    axes: axes(),
    legend: { show: false },
    cursor: { drag: { x: true, y: true, uni: 20 }, points: { show: false } },
    hooks: { draw: [(plot) => crosses(panel, plot)], setCursor: [() => point(panel)] },
  }, data, panel.plotted);
}

// Where seeds failed.
function crosses(panel, plot) {
  const context = plot.ctx, size = 3.5 * devicePixelRatio;
  context.save();
  context.lineWidth = 1.5 * devicePixelRatio;
  context.setLineDash([]);
  const { left, top, width, height } = plot.bbox;
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  for (const line of panel.lines)
    for (const [x, y] of line.ends ?? []) {
      if (y === null) continue;
      const [a, b] = [plot.valToPos(x, "x", true), plot.valToPos(y, "y", true)];
      context.strokeStyle = inkOf(series.variants[line.v]);
      context.beginPath();
      context.moveTo(a - size, b - size);
      context.lineTo(a + size, b + size);
      context.moveTo(a - size, b + size);
      context.lineTo(a + size, b - size);
      context.stroke();
    }
  context.restore();
}

// ---------------------------------------------------------------- curves: reading

const FEW = 4; // lines of which all values are told at once
const MOST = 8; // lines that are named below a panel

// As the tables have numbers.
function words(value) {
  const size = Math.abs(value);
  if (size >= 1e7) return value.toExponential(1).replace("e+", "e");
  if (size && size < 0.01) return String(Number(value.toPrecision(3)));
  const digits = size >= 1000 ? 0 : size >= 10 ? 1 : 2;
  return value.toLocaleString("en", {
    minimumFractionDigits: digits, maximumFractionDigits: digits });
}

// Value, interval and seeds of a line at an evaluation; null where it has none.
function told(line, steps) {
  const at = series.grids[line.g].indexOf(steps);
  if (at < 0 || line.y[at] === null) return null;
  const n = Array.isArray(line.n) ? line.n[at] : line.n;
  const low = line.low?.[at], high = line.high?.[at];
  const ends = low === undefined || low === null ? "" : ` [${words(low)}, ${words(high)}]`;
  return `${words(line.y[at])}${ends}, n = ${n}`;
}

// What the lines are and, of an evaluation that is asked of, their values.
function read(panel) {
  const steps = panel.at === null ? null : panel.data[0][panel.at];
  const many = panel.lines.length > (steps === null ? MOST : FEW);
  const lines = !many ? panel.lines : steps === null ? [] : [panel.lines[panel.line]];
  panel.read.replaceChildren();
  if (steps !== null) panel.read.append(`At ${steps.toLocaleString("en")} steps: `);
  for (const line of lines) {
    const variant = series.variants[line.v];
    const text = steps === null ? "" : ` ${told(line, steps) ?? "no value"}`;
    const name = element("b", {}, variant.name);
    panel.read.append(element("span", {}, lineOf(variant), " ", name, text), " ");
  }
}

// The mouse: the evaluation below it, and the line that is nearest to it.
function point(panel) {
  const { plot } = panel, { idx, top } = plot?.cursor ?? {};
  if (idx === null || idx === undefined || panel.byKey) return;
  panel.at = idx;
  let least = Infinity;
  panel.means.forEach((at, i) => {
    const value = panel.data[at][idx];
    if (value === null || value === undefined) return;
    const far = Math.abs(plot.valToPos(value, "y") - top);
    if (far < least) [least, panel.line] = [far, i];
  });
  read(panel);
}

function zoom(panel, factor) {
  const { plot } = panel;
  const { min, max } = plot.scales.x;
  const middle = panel.at === null ? (min + max) / 2 : panel.data[0][panel.at];
  const inside = Math.min(Math.max(middle, min), max);
  const ends = panel.data[0];
  plot.setScale("x", {
    min: Math.max(inside - (inside - min) * factor, ends[0]),
    max: Math.min(inside + (max - inside) * factor, ends[ends.length - 1]),
  });
}

function whole(panel) {
  panel.plot.setData(panel.data, true);
}

function step(panel, by) {
  const last = panel.data[0].length - 1;
  const from = panel.at ?? (by > 0 ? -1 : last + 1);
  panel.at = Math.min(Math.max(from + by, 0), last);
}

function press(panel, event) {
  if (event.target !== panel.home || event.ctrlKey || event.metaKey || event.altKey) return;
  show(panel);
  const lines = panel.lines.length;
  const acts = {
    ArrowRight: () => step(panel, 1),
    ArrowLeft: () => step(panel, -1),
    Home: () => step(panel, -Infinity),
    End: () => step(panel, Infinity),
    ArrowDown: () => { panel.line = (panel.line + 1) % lines; },
    ArrowUp: () => { panel.line = (panel.line + lines - 1) % lines; },
    "+": () => zoom(panel, 0.5),
    "-": () => zoom(panel, 2),
    0: () => whole(panel),
  };
  if (!(event.key in acts)) return;
  event.preventDefault();
  acts[event.key]();
  if (panel.at === null) step(panel, 1);
  read(panel);
  const x = panel.plot.valToPos(panel.data[0][panel.at], "x");
  const value = panel.data[panel.means[panel.line]][panel.at];
  panel.byKey = true;
  panel.plot.setCursor({ left: x, top: panel.plot.valToPos(value ?? 0, "y") });
  panel.byKey = false;
}

// ---------------------------------------------------------------- curves: begin

function repaint() {
  for (const panel of panels) {
    panel.plot?.destroy();
    panel.plot = null;
    if (paper.matches || panel.home.getBoundingClientRect().top < innerHeight + 400) show(panel);
  }
}

function begin() {
  const home = document.getElementById("ask");
  const names = series.variants.map((each) => each.name);
  const about = element("p", { className: "notes" });
  const tell = () => { about.textContent = series.metrics[choice.metric].about; };
  const act = (name) => (value) => {
    choice[name] = value;
    tell();
    draw();
  };
  const metrics = series.metrics.map((each, i) => [String(i), each.name.replaceAll("_", " ")]);
  const fields = [
    selectOf("Metric", metrics, String(choice.metric), (value) => act("metric")(Number(value))),
    selectOf("Axis", [[LINEAR, LINEAR], [SYMLOG, SYMLOG]], choice.scale, act("scale")),
    switchOf("each seed", choice.seeds, act("seeds")),
  ];
  if (series.pairs.length) {
    const options = [[TOGGLES, "a toggle, its variants alone"], [TASKS, "a task, all variants"]];
    fields.unshift(selectOf("A panel is", options, choice.panels, act("panels")));
  }
  home.append(
    element("div", { className: "choose" }, ...fields), about,
    boxes("Tasks", series.tasks, choice.tasks),
    boxes("Variants", names, choice.variants, series.variants),
    element("p", { className: "notes" },
      "Drag over a part to see it alone, double-click for all; keys: arrows, +, \u2212, 0."),
    element("div", { id: "panels", className: "panels" }));
  home.hidden = false;
  tell();
  draw();
  dark.addEventListener("change", repaint);
  paper.addEventListener("change", repaint);
}

if (series) begin();

// ---------------------------------------------------------------- while it runs

const every = Number(document.documentElement.dataset.every ?? 0);
if (every) {
  const field = switchOf("look for a newer page", asked.get("stay") !== "1",
    (value) => keep("stay", value ? "" : "1"));
  document.querySelector("body > header").append(field);
  setInterval(() => {
    if (asked.get("stay") !== "1") location.reload();
  }, 1000 * every);
}
