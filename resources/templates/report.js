"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const PAGE = { cards: 30, table: 50, plants: 24 };
const count = data.rows.length;
const reasons = data.reasons, growth = data.growth;
const rank = new Map(data.first.map((place, at) => [place, at]));
const texts = data.rows.map((row, place) => [...row.filter(value => typeof value === "string"), data.notes[place] || "",
  ...(reasons[place] || [])].join(" ").toLowerCase());
const state = { view: "cards", text: "", only: "all", plant: null, column: -1, down: false, page: 0, plants: 0 };
const BARE = new Set(["Genotype", "Treatment", "Date"]);  // these values speak for themselves
let shown = [], open = -1, wanted = -1;

// -- small helpers ------------------------------------------------------------------------------------------------------

const byId = id => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter(child => child !== null && child !== undefined && child !== ""));
  return node;
}
const make = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);
const draw = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);
function put(node, ...children) {
  for (const image of node.querySelectorAll("img")) image.removeAttribute("src");  // its pixels are not kept
  node.textContent = "";
  node.append(...children);
}

// a name that may be broken between its parts
const broken = name => (name.match(/[^_\-.]+[_\-.]*|[_\-.]+/g) || [name]).flatMap((part, at) => at ? [make("wbr"), part] : [part]);

function number(value, decimals) {
  return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }).replace("-", "−");
}
function shownValue(value, column) {
  if (value === null || value === "") return "";
  if (column.kind === "percent") return `${number(100 * value, 0)} %`;
  return column.kind === "number" ? number(value, column.decimals) : value;
}
const counted = (many, noun, more) => `${number(many, 0)} ${many === 1 ? noun : more || noun + "s"}`;
const lookColumn = data.columns.length - 1;

function address(folder, name) {
  try { return `${folder}/${encodeURIComponent(name)}.jpg`; } catch (error) { return ""; }  // a name that is no text
}
const small = place => data.small[place] === 1 ? address(data.folder, data.names[place]) : data.small[place] || "";
const large = place => data.closer[place] === 1 ? address(`${data.folder}/closer`, data.names[place])
  : data.closer[place] || small(place);

function missing(event) {
  event.target.replaceWith(make("span", {}, `The image is in the folder “${data.folder}”, which belongs beside this file.`));
}

// -- which images, and in which order -----------------------------------------------------------------------------------

function choose() {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  const plant = state.plant === null ? null : new Set(growth.plants[state.plant].places);
  shown = [];
  for (let place = 0; place < count; place++) {
    if (state.only === "first" && !rank.has(place)) continue;
    if (plant && !plant.has(place)) continue;
    if (words.every(word => texts[place].includes(word))) shown.push(place);
  }
  if (state.column >= 0) sort();
  else if (state.only === "first") shown.sort((one, other) => rank.get(one) - rank.get(other));
  else if (plant) {
    const at = new Map(growth.plants[state.plant].places.map((place, order) => [place, order]));
    shown.sort((one, other) => at.get(one) - at.get(other));
  }
}
function sort() {
  const column = state.column, sign = state.down ? -1 : 1, text = data.columns[column].kind === "text";
  const compare = new Intl.Collator("en-US", { numeric: true }).compare;
  shown.sort((one, other) => {
    const a = data.rows[one][column], b = data.rows[other][column];
    const none = value => value === null || value === "";
    if (none(a) || none(b)) return none(a) - none(b) || one - other;  // what has no value is last, either way
    return sign * (text ? compare(a, b) : a - b) || one - other;
  });
}
function change(changes) {
  Object.assign(state, { page: 0 }, changes);
  choose();
  render();
}
function sortBy(column) {
  const first = data.columns[column].kind === "number";  // the largest first, but names from A on
  const down = state.column === column ? !state.down : first && data.columns[column].kind !== "percent";
  change({ column, down });
}

// -- the list -----------------------------------------------------------------------------------------------------------

const parts = {};
function build() {
  parts.search = make("input", { type: "search", placeholder: "Search names, plants, reasons …", "aria-label": "Search images",
    oninput: event => change({ text: event.target.value }) });
  parts.only = make("select", { "aria-label": "Which images", onchange: event => pick(event.target.value) },
    make("option", { value: "all" }, "All images"), data.first.length ? make("option", { value: "first" }, "To look at first") : null);
  parts.order = make("select", { "aria-label": "Sort by", onchange: event => {
    const [column, down] = event.target.value.split(",").map(Number);
    change({ column, down: Boolean(down) });
  } });
  parts.cards = make("button", { type: "button", onclick: () => change({ view: "cards" }) }, "Overlays");
  parts.table = make("button", { type: "button", onclick: () => change({ view: "table" }) }, "Table");
  parts.said = make("p", { class: "quiet", "aria-live": "polite" });
  parts.body = make("div");
  parts.pager = pager(by => { state.page += by; render(); byId("images").scrollIntoView(); });
  byId("browser").append(make("div", { class: "bar-of-tools" }, parts.search, parts.only, parts.order,
    make("div", { class: "views", role: "group", "aria-label": "Show as" }, parts.cards, parts.table)),
    parts.said, parts.body, parts.pager.node);
  const options = [make("option", { value: "-1,0" }, "In their order")];
  data.columns.forEach((column, at) => {
    const names = column.kind === "text" ? ["A to Z", "Z to A"] : ["least first", "most first"];
    names.forEach((name, down) => options.push(make("option", { value: `${at},${down}` }, `${column.title}: ${name}`)));
  });
  parts.order.append(...options);
}
function pick(value) {
  const plant = value.startsWith("plant-") ? Number(value.slice(6)) : null;
  change({ only: plant === null ? value : "all", plant });
}
function pager(turn) {
  const back = make("button", { type: "button", onclick: () => turn(-1) }, "Previous page");
  const on = make("button", { type: "button", onclick: () => turn(1) }, "Next page");
  const said = make("span", { class: "quiet" }), node = make("div", { class: "pager" }, back, said, on);
  const show = (page, pages) => {
    node.style.display = pages === 1 ? "none" : "";
    back.disabled = page === 0;
    on.disabled = page === pages - 1;
    said.textContent = `Page ${number(page + 1, 0)} of ${number(pages, 0)}`;
  };
  return { node, show };
}
function render() {
  const size = PAGE[state.view], pages = Math.max(1, Math.ceil(shown.length / size));
  state.page = Math.min(Math.max(0, state.page), pages - 1);
  const page = shown.slice(state.page * size, (state.page + 1) * size);
  parts.cards.setAttribute("aria-pressed", state.view === "cards");
  parts.table.setAttribute("aria-pressed", state.view === "table");
  parts.order.value = `${state.column},${Number(state.down)}`;
  parts.order.hidden = state.view === "table";
  if (parts.search.value !== state.text) parts.search.value = state.text;
  showChoice();
  parts.said.textContent = shown.length === count ? counted(count, "image") : `${number(shown.length, 0)} of ${counted(count, "image")}`;
  put(parts.body, shown.length ? state.view === "cards" ? cards(page) : table(page) : make("p", {}, "No image is like that."));
  parts.pager.show(state.page, pages);
}
function showChoice() {
  for (const option of [...parts.only.options]) if (option.value.startsWith("plant-")) option.remove();
  if (state.plant !== null) parts.only.append(make("option", { value: `plant-${state.plant}` }, `Plant ${growth.plants[state.plant].name}`));
  parts.only.value = state.plant === null ? state.only : `plant-${state.plant}`;
}
function thumb(place) {
  const source = small(place);
  return make("button", { class: "thumb", type: "button", "aria-label": `A closer view of ${data.names[place]}`, onclick: () => look(place) },
    source ? make("img", { src: source, alt: "", loading: "lazy", onerror: missing }) : make("span", {}, "no overlay"));
}
function facts(place) {
  const lines = [[], []];
  data.columns.forEach((column, at) => {
    const value = shownValue(data.rows[place][at], column);
    if (at === 0 || at === lookColumn || value === "") return;
    if (column.kind === "text") lines[0].push(BARE.has(column.title) ? value.replace("T", " ") : `${column.title} ${value}`);
    else if (column.title === "Leaves") lines[1].push(counted(data.rows[place][at], "leaf", "leaves"));
    else if (column.title === "Plants in it") lines[1].push(counted(data.rows[place][at], "plant"));
    else if (column.title.startsWith("Area (")) lines[1].push(`${value} ${column.title.slice(6, -1)}`);
    else lines[column.title === "Day" ? 0 : 1].push(`${column.title.toLowerCase()} ${value}`);
  });
  return lines.map(line => line.join(" · "));
}
function words(place, withCommand) {
  const [known, measured] = facts(place), found = [];
  if (known) found.push(make("div", { class: "quiet" }, known));
  found.push(make("div", {}, measured));
  if (reasons[place]) found.push(make("ul", { class: "plain reasons" }, reasons[place].map(text => make("li", {}, text))));
  if (data.notes[place]) found.push(make("div", { class: "note" }, data.notes[place]));
  const made = [make("div", {}, "Record: ", make("a", { href: data.records[place].split("/").map(encoded).join("/") }, data.records[place])),
    make("div", { class: "command" }, make("code", {}, data.commands[place]),
      make("button", { type: "button", onclick: event => copy(data.commands[place], event.target) }, "Copy"))];
  found.push(withCommand ? make("div", {}, made) : make("details", {}, make("summary", {}, "Record"), made));
  return found;
}
function encoded(part) {
  try { return encodeURIComponent(part); } catch (error) { return part; }  // a name that is no text
}
function cards(page) {
  return make("div", { class: "cards" }, page.map(place => make("article", { class: place === wanted ? "card found" : "card",
    id: `image-${place + 1}`, tabindex: "-1", "aria-label": data.names[place] },
    thumb(place), make("div", { class: "words" }, make("h3", {}, broken(data.names[place])), words(place, false)))));
}
function table(page) {
  const heads = data.columns.map((column, at) => make("th", { scope: "col", class: column.kind,
    "aria-sort": state.column === at ? state.down ? "descending" : "ascending" : "none" },
    make("button", { type: "button", onclick: () => { sortBy(at); parts.body.querySelectorAll("th button")[at].focus(); } },
      column.title, state.column === at ? make("span", { "aria-hidden": "true" }, state.down ? " ↓" : " ↑") : "")));
  const rows = page.map(place => make("tr", { id: `image-${place + 1}` }, data.columns.map((column, at) => {
    const value = shownValue(data.rows[place][at], column);
    if (at === 0) return make("td", {}, make("button", { type: "button", onclick: () => look(place) }, value));
    if (at === lookColumn) return make("td", { class: "number look", title: (reasons[place] || []).join("\n") }, value === "0" ? "" : value);
    return make("td", { class: column.kind }, value);
  })));
  return make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Table of the images" },
    make("table", { class: "rows" }, make("thead", {}, make("tr", {}, heads)), make("tbody", {}, rows)));
}
async function copy(text, button) {
  try { await navigator.clipboard.writeText(text); } catch (error) {
    const area = make("textarea", {}, text);
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

// -- the closer view ----------------------------------------------------------------------------------------------------

const dialog = byId("closer");
let beginning = null;
function look(place) {
  if (!dialog.open) {
    beginning = document.activeElement;
    if (!shown.includes(place)) change({ text: "", only: "all", plant: null });
  }
  open = place;
  const at = shown.indexOf(place), source = large(place), step = by => look(shown[at + by]);
  const button = (by, text) => make("button", { type: "button", class: by < 0 ? "back" : "on", disabled: shown[at + by] === undefined,
    title: by < 0 ? "Arrow left" : "Arrow right", onclick: () => step(by) }, text);
  const had = dialog.contains(document.activeElement) ? document.activeElement.className : "";
  put(dialog, make("div", { class: "top" }, make("h3", {}, broken(data.names[place])),
    make("span", { class: "quiet" }, `${number(at + 1, 0)} of ${number(shown.length, 0)}`), button(-1, "Previous"), button(1, "Next"),
    make("button", { type: "button", class: "close", title: "Esc", onclick: () => dialog.close() }, "Close")),
    source ? make("img", { class: "large", src: source, alt: `${data.names[place]}: the plants with each leaf outlined`,
      onerror: event => data.closer[place] && event.target.src !== small(place) && small(place).startsWith("data:")
        ? event.target.setAttribute("src", small(place)) : missing(event) })
      : make("p", { class: "words" }, "There is no overlay of this image."),
    make("div", { class: "words" }, words(place, true)));
  if (!dialog.open) dialog.showModal();
  const next = dialog.querySelector(`button.${["back", "on"].includes(had) ? had : "on"}`);
  (next.disabled ? dialog.querySelector(".close") : next).focus();
}
dialog.addEventListener("keydown", event => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by || event.altKey || event.ctrlKey || event.metaKey) return;
  const next = shown[shown.indexOf(open) + by];
  event.preventDefault();
  if (next !== undefined) look(next);
});
dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => { if (beginning && document.contains(beginning)) beginning.focus(); });

// -- a link to an image -------------------------------------------------------------------------------------------------

function go() {
  const match = /^#image-(\d+)$/.exec(location.hash);
  if (!match) return;
  const place = Number(match[1]) - 1;
  if (!(place >= 0 && place < count)) return;
  if (!shown.includes(place)) change({ text: "", only: "all", plant: null });
  wanted = place;
  state.page = Math.floor(shown.indexOf(place) / PAGE[state.view]);
  render();
  const node = byId(`image-${place + 1}`);
  node.scrollIntoView({ block: "center" });
  (node.querySelector("button") || node).focus({ preventScroll: true });
}

// -- curves of plants ---------------------------------------------------------------------------------------------------

function panels() {
  const place = byId("plants"), many = growth.plants.length;
  if (!place || !many) return;
  const times = growth.plants.flatMap(plant => [Math.min(...plant.times), Math.max(...plant.times)]);
  const left = Math.min(...times), right = Math.max(...times, left + 1e-9);
  const high = growth.plants.reduce((most, plant) => Math.max(most, ...plant.values), 0) || 1;
  const x = time => 8 + 144 * (time - left) / (right - left), y = value => 84 - 76 * value / high;
  const list = make("div", { class: "panels" });
  const decimals = high >= 100 ? 0 : high >= 10 ? 1 : 2;
  const panel = (plant, at) => make("div", { class: "panel" },
    make("button", { type: "button", title: `${plant.name}: show its images`, onclick: () => { change({ plant: at, only: "all", text: "", column: -1 }); byId("images").scrollIntoView(); } }, plant.name),
    draw("svg", { viewBox: "0 0 160 104", role: "img", "aria-label": `Leaf area of ${plant.name} over time` },
      draw("path", { class: "rule", d: "M8 84H152M8 8H152" }), draw("text", { x: 8, y: 98, style: "text-anchor:start" }, number(left, 0)),
      draw("text", { x: 152, y: 98, style: "text-anchor:end" }, `${growth.axis} ${number(right, 0)}`),
      draw("path", { class: `line g${plant.color}`, d: "M" + plant.times.map((time, i) => `${x(time).toFixed(1)} ${y(plant.values[i]).toFixed(1)}`).join("L") }),
      plant.places.map((image, i) => draw("circle", { class: rank.has(image) ? "flag" : `dot g${plant.color}`, cx: x(plant.times[i]).toFixed(1),
        cy: y(plant.values[i]).toFixed(1), r: rank.has(image) ? 3.5 : 2.5, onclick: () => look(image) },
        draw("title", {}, `${data.names[image]}, ${growth.axis} ${number(plant.times[i], growth.axis === "image" ? 0 : 1)}: ${number(plant.values[i], decimals)} ${growth.unit}`)))));
  const pages = Math.ceil(many / PAGE.plants);
  const showPage = by => {
    state.plants += by;
    const begin = state.plants * PAGE.plants;
    put(list, ...growth.plants.slice(begin, begin + PAGE.plants).map((plant, at) => panel(plant, begin + at)));
    control.show(state.plants, pages);
  };
  const control = pager(showPage);
  place.append(make("h3", {}, "Each plant"), make("p", { class: "quiet" },
    `Leaf area, all with the same axes, up to ${number(high, decimals)} ${growth.unit}. A circle is an image to look at first. A name shows its images, a point its image.`), list, control.node);
  showPage(0);
}

build();
choose();
render();
panels();
for (const button of document.querySelectorAll("[data-closer]")) button.addEventListener("click", () => look(Number(button.dataset.closer)));
const all = byId("all-first");
if (all) all.addEventListener("click", () => { change({ only: "first", text: "", plant: null, column: -1 }); byId("images").scrollIntoView(); });
for (const link of document.querySelectorAll("a[href^='#image-']")) {
  link.addEventListener("click", () => { if (location.hash === link.hash) go(); });  // a second time
}
window.addEventListener("hashchange", go);
go();
document.documentElement.dataset.ready = "yes";
})();
