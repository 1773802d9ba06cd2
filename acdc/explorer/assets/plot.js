// A small plot: a line, points on it, and where one is now.
import { drawn } from "./data.js";
import { figure } from "./numbers.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [236, 92, 44, 16, 16];

/**
 * A plot of values over places.
 *
 * `series`: for each line `{ name, points: [[x, y], ...], dots }`; `log`: whether x goes by its logarithm;
 * `title`; `label`: what it shows, in words. Gives the element with a function `mark(x, ys)`, which says where one is.
 */
export function smallPlot({ series, title, label, log = false, ends }) {
  const points = series.flatMap((one) => one.points);
  const along = (x) => (log ? Math.log(Math.max(x, 1)) : x);
  const [x0, x1] = rangeOf(points.map(([x]) => along(x)));
  const [y0, y1] = rangeOf(points.map(([, y]) => y));
  const across = (x) => LEFT + ((along(x) - x0) / (x1 - x0)) * (WIDTH - LEFT - 6);
  const up = (y) => HEIGHT - BOTTOM - ((y - y0) / (y1 - y0)) * (HEIGHT - BOTTOM - TOP);
  const svg = drawn("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  svg.append(
    drawn("text", { x: LEFT, y: TOP - 6, class: "title" }, title),
    drawn("path", { class: "frame", d: `M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - 6}` }),
    ...[[y0, HEIGHT - BOTTOM], [y1, TOP + 6]].map(([y, at]) => drawn("text", { x: LEFT - 4, y: at, class: "end" }, figure(Math.abs(y) < 1e-6 * (y1 - y0) ? 0 : y, false, 2))),
    drawn("text", { x: LEFT, y: HEIGHT - 4 }, ends[0]),
    drawn("text", { x: WIDTH - 6, y: HEIGHT - 4, class: "end" }, ends[1]),
  );
  const marks = series.map((one, i) => {
    const path = one.points.map(([x, y]) => `${across(x).toFixed(1)} ${up(y).toFixed(1)}`).join("L");
    svg.append(drawn("path", { class: `line side${i}`, d: `M${path}` }));
    if (one.dots) {
      const dots = one.points.map(([x, y]) => drawn("circle", { class: `dot side${i}`, cx: across(x), cy: up(y), r: 2 }));
      svg.append(...dots);
    }
    return drawn("circle", { class: `mark side${i}`, r: 4.5 });
  });
  const cursor = drawn("path", { class: "cursor" });
  svg.append(cursor, ...marks);
  svg.mark = (x, ys) => {
    const inside = Math.min(WIDTH - 6, Math.max(LEFT, across(x)));
    cursor.setAttribute("d", x === null ? "" : `M${inside.toFixed(1)} ${TOP}V${HEIGHT - BOTTOM}`);
    for (const [i, mark] of marks.entries()) {
      const there = x !== null && ys[i] !== null && ys[i] !== undefined;
      mark.toggleAttribute("hidden", !there);
      mark.style.display = there ? "" : "none";
      if (!there) continue;
      mark.setAttribute("cx", inside.toFixed(1));
      mark.setAttribute("cy", up(ys[i]).toFixed(1));
    }
  };
  return svg;
}

function rangeOf(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}
