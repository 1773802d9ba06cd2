// The trace as a film: the decisions one after the other, edges going as they are decided, the metric beside it.
import { frameOf } from "./chosen.js";
import { element } from "./data.js";
import { figure, whole } from "./numbers.js";
import { smallPlot } from "./plot.js";
import { change, now } from "./state.js";

const LASTS = 12000; // milliseconds at most
const SLOWEST = 400; // of one frame

/** The film's part of the page, where a run has decisions; gives a function that shows a state. */
export function makeFilm(data, svg, place) {
  const r = data.runs.findIndex((run) => run.film);
  if (r < 0) return () => undefined;
  const { film } = data.runs[r];
  const metric = data.runs[r].metric ?? "metric";
  const n = film.edge.length;
  const left = film.after.map((after, i) => (film.kept[i] === "1" ? film.before[i] : after));
  const made = []; // decisions up to each frame
  for (const count of film.count) made.push((made.at(-1) ?? 0) + count);
  const button = (id, text, label) => element("button", { type: "button", id, "aria-label": label, title: label }, text);
  const [play, back, on] = [button("play", "\u25b6", "Play the decisions"), button("back", "\u2039", "One decision back"), button("on", "\u203a", "One decision on")];
  const range = element("input", { type: "range", id: "film", min: 0, max: n, value: 0, "aria-label": "Decisions made" });
  const said = element("p", { class: "quiet", id: "decision" });
  const points = left.map((value, i) => [made[i], value]).filter(([, value]) => value !== null);
  const plot = smallPlot({ series: [{ points }], title: metric, label: `${metric} over the decisions`, ends: ["0", `${whole(made.at(-1))} decisions`] });
  const heading = element("h2", {}, data.runs.length > 1 ? `Film of ${"AB"[r]}` : "Film");
  place.append(element("section", { id: "film-box" }, heading, element("div", { class: "row" }, play, back, on, range), said, plot));

  let begun = null; // when it would have begun at the first frame
  const lasts = Math.min(LASTS, n * SLOWEST);
  const go = (frame) => change({ film: String(Math.min(n, Math.max(0, frame))), shown: "" });
  const stop = () => {
    begun = null;
    play.textContent = "\u25b6";
    play.setAttribute("aria-label", "Play the decisions");
  };
  const turn = (time) => {
    if (begun === null) return;
    const frame = Math.floor(((time - begun) / lasts) * n);
    go(frame);
    if (frame >= n) stop();
    else requestAnimationFrame(turn);
  };
  play.addEventListener("click", () => {
    if (begun !== null) return stop();
    const from = (frameOf(data, now()) ?? n) >= n ? 0 : frameOf(data, now());
    go(from);
    begun = performance.now() - (from / n) * lasts;
    play.textContent = "\u275a\u275a";
    play.setAttribute("aria-label", "Pause");
    return requestAnimationFrame(turn);
  });
  const step = (by) => {
    stop();
    go((frameOf(data, now()) ?? 0) + by);
  };
  back.addEventListener("click", () => step(-1));
  on.addEventListener("click", () => step(1));
  range.addEventListener("input", () => {
    stop();
    go(Number(range.value));
  });
  let trying = null; // the line of the edge that was decided last
  return (state) => {
    const shown = frameOf(data, state);
    if (shown === null && begun !== null) stop();
    const frame = shown ?? 0;
    range.value = frame;
    range.setAttribute("aria-valuetext", `${frame} of ${n}`);
    said.textContent = shown === null ? `${whole(made.at(-1))} decisions; play them.` : wordsOf(frame);
    const at = frame ? made[frame - 1] : 0;
    plot.mark(shown === null ? null : at, [frame ? left[frame - 1] : film.before[0]]);
    trying?.classList.remove("trying");
    trying = frame ? (data.graph.edge[film.edge[frame - 1]]?.drawing ?? null) : null;
    trying?.classList.add("trying");
  };

  function wordsOf(frame) {
    if (!frame) return `All edges are there; ${metric} ${figure(film.before[0])}.`;
    const i = frame - 1;
    const name = data.graph.edge[film.edge[i]]?.name ?? film.name[i];
    if (film.count[i] > 1) return `${name}: ${metric} ${figure(film.before[i])} \u2192 ${figure(left[i])}`;
    const what = film.kept[i] === "1" ? "kept" : "removed";
    return `${name} ${what}: ${metric} ${figure(film.before[i])} \u2192 ${figure(film.after[i])}`;
  }
}
