// The threshold slider: the edges of the largest scores, and beside it what a circuit of that size is worth.
import { frameOf, mostOf, sizeOf } from "./chosen.js";
import { element } from "./data.js";
import { counted, figure, whole } from "./numbers.js";
import { smallPlot } from "./plot.js";
import { change } from "./state.js";

const STEPS = 400;
const FIGURES = { kl: "KL", faithfulness: "faithfulness" };

/** The slider's part of the page; gives a function that shows a state. */
export function makeSlider(data, place) {
  const most = mostOf(data);
  const range = element("input", { type: "range", id: "size", min: 0, max: STEPS, "aria-label": "Edges of the largest scores" });
  const number = element("input", { type: "number", id: "size-number", min: 1, max: most, "aria-label": "Edges asked for" });
  const found = element("button", { type: "button", id: "as-found" }, "As found");
  const table = element("table", { class: `figures ${data.runs.length > 1 ? "of-two" : ""}`, id: "figures" });
  const plots = curvePlots(data);
  const words = element("p", { class: "quiet", id: "size-words", "aria-live": "polite" });
  const box = element("section", { id: "threshold" }, element("h2", {}, "Size"), element("div", { class: "row" }, range, number, found));
  box.append(words, table, ...plots.map((plot) => plot.svg));
  place.append(box);
  const ask = (n) => change({ shown: String(Math.min(most, Math.max(1, Math.round(n)))), film: "" });
  range.addEventListener("input", () => ask(sizeAt(Number(range.value), most)));
  number.addEventListener("change", () => (Number(number.value) >= 1 ? ask(Number(number.value)) : change({ shown: "" })));
  found.addEventListener("click", () => change({ shown: "", film: "" }));
  return (state, sizes) => {
    const [asked, isFilm] = [sizeOf(data, state), frameOf(data, state) !== null];
    const n = asked ?? Math.max(...sizes, 1);
    range.value = stepAt(n, most);
    range.setAttribute("aria-valuetext", counted(n, "edge"));
    if (document.activeElement !== number) number.value = n;
    found.setAttribute("aria-pressed", asked === null && !isFilm);
    words.textContent = isFilm ? "The film is on." : wordsOf(data, asked, sizes);
    const figures = (name) => data.runs.map((run, r) => (isFilm ? null : figureAt(run, name, asked, sizes[r])));
    table.replaceChildren(...rowsOf(data, figures, sizes));
    for (const plot of plots) plot.svg.mark(isFilm ? null : n, figures(plot.name).map((figure) => figure?.value ?? null));
  };
}

/** A figure of a run of so many edges asked for, `null` for as found: its `value`, and whether that is `stored` or `interpolated`. */
function figureAt(run, name, asked, size) {
  const stored = asked === null ? run.found?.[name] : undefined;
  if (stored !== null && stored !== undefined) return { value: stored, how: "stored" };
  const at = asked ?? size;
  const points = pointsOf(run, name);
  const same = points.find(([x]) => x === at);
  if (same) return { value: same[1], how: "stored" };
  const above = points.findIndex(([x]) => x > at);
  if (above < 1) return null; // beyond what was run
  const [[x0, y0], [x1, y1]] = [points[above - 1], points[above]];
  const share = Math.log(at / x0) / Math.log(x1 / x0);
  return { value: y0 + share * (y1 - y0), how: "interpolated" };
}

function pointsOf(run, name) {
  const points = (run.curve ?? []).map((point) => [point.asked, point.figures[name]]);
  return points.filter(([asked, value]) => asked >= 1 && value !== null && value !== undefined).sort(([one], [other]) => one - other);
}

function curvePlots(data) {
  return Object.entries(FIGURES).flatMap(([name, label]) => {
    const series = data.runs.map((run) => ({ points: pointsOf(run, name), dots: true }));
    const sizes = series.flatMap((one) => one.points.map(([x]) => x));
    if (new Set(sizes).size < 2) return [];
    const ends = [whole(Math.min(...sizes)), `${whole(Math.max(...sizes))} edges`];
    return [{ name, svg: smallPlot({ series, title: label, label: `${label} over the number of edges`, log: true, ends }) }];
  });
}

function rowsOf(data, figuresOf, sizes) {
  const cells = (make) => data.runs.map((run, r) => element("td", {}, ...make(run, r)));
  const sides = data.runs.length > 1 ? [element("tr", {}, element("th", {}), ...data.runs.map((_, r) => element("th", { scope: "col" }, "AB"[r])))] : [];
  const rows = [["edges", cells((_, r) => [whole(sizes[r])])]];
  for (const [name, label] of Object.entries(FIGURES)) {
    const figures = figuresOf(name);
    if (figures.every((figure) => figure === null)) continue;
    const shown = (_, r) => (figures[r] ? [figure(figures[r].value), " ", element("small", { class: "how" }, figures[r].how)] : ["\u2013"]);
    rows.push([label, cells(shown)]);
  }
  return [...sides, ...rows.map(([label, made]) => element("tr", {}, element("th", { scope: "row" }, label), ...made))];
}

function wordsOf(data, asked, sizes) {
  if (asked === null) return "The circuit as it was found.";
  const off = data.runs.map((run, r) => Math.min(asked, run.order.length) - sizes[r]);
  const dropped = off.some((n) => n > 0) ? `; ${off.map(whole).join(" and ")} of them on no path` : "";
  return `The ${whole(asked)} edges of the largest ${data.graph.by.includes("value") ? "scores" : "|scores|"}${dropped}.`;
}

function sizeAt(step, most) {
  return Math.round(Math.exp((step / STEPS) * Math.log(most)));
}

function stepAt(size, most) {
  return most > 1 ? Math.round((Math.log(Math.max(1, size)) / Math.log(most)) * STEPS) : 0;
}
