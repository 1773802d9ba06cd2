// Zoom, pan and fit; and the layers' names, which keep their size at the left edge.
import { drawn } from "./data.js";
import { change, now } from "./state.js";

const [LEAST, MOST] = [0.05, 8];
const FREE = 70; // at the left edge, for the layers' names
const RESTS = 180; // milliseconds after which a wheel is at rest
let shown = { x: 0, y: 0, scale: 1 }; // where the graph's origin is, in pixels
let moved = false; // since the button went down
let surface = null;
let pageData = null;
let written = null; // the view as it was last told
let settling = null; // until the wheel has come to rest

/** Let the pointer move the graph. */
export function startZoom(data, svg) {
  [surface, pageData] = [svg, data];
  const held = new Map(); // pointers that are down, and where
  svg.addEventListener("pointerdown", (event) => {
    held.set(event.pointerId, [event.clientX, event.clientY]);
    if (held.size === 1) moved = false;
  });
  svg.addEventListener("pointermove", (event) => {
    if (!held.has(event.pointerId)) return;
    const before = [...held.values()];
    const [x, y] = held.get(event.pointerId);
    if (!moved && Math.hypot(event.clientX - x, event.clientY - y) < 4) return;
    if (!moved) svg.setPointerCapture(event.pointerId); // not before: a click would lose its target
    moved = true;
    svg.classList.add("panning");
    held.set(event.pointerId, [event.clientX, event.clientY]);
    drag(before, [...held.values()]);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    svg.addEventListener(name, (event) => {
      held.delete(event.pointerId);
      svg.classList.toggle("panning", held.size > 0 && moved);
    });
  }
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { left, top } = svg.getBoundingClientRect();
    const step = event.deltaMode === 1 ? event.deltaY * 20 : event.deltaY;
    zooming();
    zoomBy(Math.exp(-step * (event.ctrlKey ? 0.01 : 0.0015)), event.clientX - left, event.clientY - top);
  }, { passive: false });
  new ResizeObserver(() => (now().view === "" ? fit() : apply())).observe(svg);
}

/** Whether the pointer dragged the graph, so that what follows is no click. */
export function wasDragged() {
  return moved;
}

/** Make it larger or smaller around a point of the picture, or around its middle. */
export function zoomBy(factor, x = surface.clientWidth / 2, y = surface.clientHeight / 2) {
  const scale = Math.min(MOST, Math.max(LEAST, shown.scale * factor));
  const by = scale / shown.scale;
  move({ x: x - (x - shown.x) * by, y: y - (y - shown.y) * by, scale });
}

/** Show all of it. */
export function fit() {
  written = "";
  change({ view: "" });
  fitted();
}

/** Take what the address says. */
export function view(state) {
  if (state.view === written) return undefined;
  const [x, y, scale] = state.view.split(",").map(Number);
  if (!(scale >= LEAST && scale <= MOST && Number.isFinite(x) && Number.isFinite(y))) return fitted();
  shown = { x, y, scale };
  return apply();
}

/** Move a node to where it can be seen, and to a size at which it can be read. */
export function bring(node, closely = false) {
  const [width, height] = [surface.clientWidth, surface.clientHeight];
  const scale = closely ? Math.max(shown.scale, 0.8) : shown.scale;
  const [x, y] = [node.x * scale + shown.x, node.y * scale + shown.y];
  const inside = x > FREE + 40 && x < width - 40 && y > 40 && y < height - 40;
  if (inside && scale === shown.scale) return;
  move({ x: width / 2 - node.x * scale, y: height / 2 - node.y * scale, scale });
}

/** Where a point of the graph is in the window. */
export function inWindow(x, y) {
  const { left, top } = surface.getBoundingClientRect();
  return [left + x * shown.scale + shown.x, top + y * shown.scale + shown.y];
}

/** Change a style that all lines look at, which takes time, only where it must be. */
function setStyle(name, value) {
  if (surface.style.getPropertyValue(name) !== value) surface.style.setProperty(name, value);
}

/** How far the heads' columns are apart. */
function columnStep() {
  const places = [...new Set(pageData.graph.nodes.filter((node) => node.kind === "head").map((node) => node.x))];
  places.sort((one, other) => one - other);
  return Math.min(...places.slice(1).map((x, i) => x - places[i]), 1000);
}

function fitted() {
  const [width, height] = [surface.clientWidth || 800, surface.clientHeight || 600];
  const [w, h] = pageData.graph.size;
  const scale = Math.min((width - FREE) / w, height / h, 1.5);
  shown = { x: FREE + (width - FREE - w * scale) / 2, y: (height - h * scale) / 2, scale };
  apply();
}

function drag(before, after) {
  const middle = (points) => [0, 1].map((i) => points.reduce((sum, point) => sum + point[i], 0) / points.length);
  const spread = (points) => Math.hypot(points[0][0] - points[1][0], points[0][1] - points[1][1]);
  const [from, to] = [middle(before), middle(after)];
  const { left, top } = surface.getBoundingClientRect();
  move({ ...shown, x: shown.x + to[0] - from[0], y: shown.y + to[1] - from[1] });
  if (after.length < 2) return;
  zooming();
  zoomBy(spread(after) / (spread(before) || 1), to[0] - left, to[1] - top);
}

/** Lines are drawn thin, which is several times as fast, until nothing moved for a while. */
function zooming() {
  clearTimeout(settling);
  surface.classList.add("zooming");
  settling = setTimeout(() => {
    surface.classList.remove("zooming");
    apply();
  }, RESTS);
}

function move(to) {
  shown = to;
  apply();
  written = `${to.x.toFixed(0)},${to.y.toFixed(0)},${to.scale.toFixed(3)}`;
  change({ view: written });
}

function apply() {
  const { x, y, scale } = shown;
  surface.querySelector("#world").setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${scale})`);
  const isFar = scale < 0.4;
  const isRoomy = isFar && columnStep() * scale > 52; // names stand beside the boxes
  surface.classList.toggle("far", isFar);
  surface.classList.toggle("roomy", isRoomy);
  if (isRoomy) setStyle("--far-size", `${(9.5 / scale).toFixed(0)}px`);
  if (!surface.classList.contains("zooming")) { // which has a width of its own
    setStyle("--thicker", (Math.round(Math.max(1, Math.min(2.5, 0.6 / scale)) * 4) / 4).toString()); // seen from afar
  }
  nameLayers();
}

/** Write the layers' names, as far as there is room. */
function nameLayers() {
  const { y, scale } = shown;
  const names = [];
  let last = Infinity;
  for (const row of pageData.graph.rows) { // bottom to top
    const at = row.y * scale + y;
    if (last - at < 13) continue;
    last = at;
    names.push(drawn("text", { x: 10, y: (at + 4).toFixed(1) }, row.label));
  }
  surface.querySelector("#axis").replaceChildren(...names);
}
