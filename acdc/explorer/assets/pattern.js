// Where a head looks on a prompt, as a map: a row a token that looks, a column a token that is looked at.
import { drawn, element } from "./data.js";
import { figure } from "./numbers.js";
import { change } from "./state.js";
import { bar, button, legible, plainTable } from "./tokens.js";

const faintest = 0.01; // what is drawn at all
const patternKinds = ["clean", "corrupted", "difference"];

/** The weights of a pattern, row by row, 0 to 1. */
function weightsOf(text) {
  return Float32Array.from(atob(text), (character) => character.charCodeAt(0) / 255);
}

/** How much it looks at each token of the clean prompt from where the last answer is asked for. */
export function looksFromAnswer(prompt, pattern) {
  const position = prompt.answers.at(-1)?.position ?? -1;
  if (position < 0 || position >= pattern.n) return null;
  return [...weightsOf(pattern.clean).slice(position * pattern.n, (position + 1) * pattern.n)];
}

/**
 * How much it looks at each kind of token from where an answer is asked for: means over the prompts whose patterns are
 * here. Gives `[kind, clean, corrupted]`, the most first; a token is of one kind, so that they add up to 1.
 */
export function looksByKind(prompts, patterns) {
  const sums = new Map(); // of a span or another kind of token: clean, corrupted
  let n = 0;
  for (const [i, pattern] of Object.entries(patterns)) {
    const [clean, corrupted] = [weightsOf(pattern.clean), weightsOf(pattern.corrupted)];
    for (const { position } of prompts[i]?.answers ?? []) {
      if (position >= pattern.n) continue;
      n += 1;
      for (let column = 0; column <= position; column += 1) {
        const kind = kindOfToken(prompts[i], column, position);
        const sum = sums.get(kind) ?? [0, 0];
        sum[0] += clean[position * pattern.n + column];
        sum[1] += corrupted[position * pattern.n + column];
        sums.set(kind, sum);
      }
    }
  }
  return [...sums].map(([kind, sum]) => [legible(kind), ...sum.map((one) => one / n)])
    .filter(([, clean, corrupted]) => Math.max(clean, corrupted) >= faintest)
    .sort((one, other) => other[1] - one[1]);
}

/** The same as a table. */
export function looksTable(looks) {
  const rows = looks.map(([kind, clean, corrupted]) => [kind, figure(clean), bar(clean), figure(corrupted)]);
  return plainTable(["at", "clean", "", "corrupted"], rows);
}

/** The spans of a token, or what else tells it from others. */
function kindOfToken(prompt, at, position) {
  const spans = prompt.tokens[at]?.spans ?? [];
  if (spans.length) return spans.join(", ");
  if (at === position) return "the token itself";
  if (at === 0) return "first token";
  return at === position - 1 ? "the token before" : "other tokens";
}

function shortToken(text) {
  const token = legible(text);
  return token.length > 10 ? `${token.slice(0, 9)}…` : token;
}

/** The map with its three kinds, and what is under the pointer in words. */
export function patternView(prompt, pattern, state) {
  const [clean, corrupted] = [weightsOf(pattern.clean), weightsOf(pattern.corrupted)];
  const kind = patternKinds.includes(state.pattern) ? state.pattern : "clean";
  const weights = kind === "corrupted" ? corrupted : kind === "clean" ? clean : clean.map((weight, i) => weight - corrupted[i]);
  const tokens = prompt.tokens.slice(0, pattern.n).map((token) => (kind === "corrupted" ? token.corrupted : token.clean));
  const kinds = patternKinds.map((name) =>
    button(`pattern-${name}`, name === "difference" ? "clean − corrupted" : name, name === kind, () => change({ pattern: name })));
  const said = element("p", { class: "said", "aria-live": "polite" }, strongestLook(tokens, weights, pattern.n));
  const tell = (row, column) => {
    const i = row * pattern.n + column;
    said.textContent = `${legible(tokens[row])} (${row}) looks at ${legible(tokens[column])} (${column}): `
      + `${figure(clean[i])} clean, ${figure(corrupted[i])} corrupted`;
  };
  return element(
    "div",
    { class: "pattern" },
    element("div", { class: "row", role: "group", "aria-label": "Which pattern" }, ...kinds),
    element("div", { class: "scrolled" }, patternMap(tokens, weights, pattern.n, tell)),
    said,
  );
}

/** Its strongest place in words, which stand there before anything is pointed at. */
function strongestLook(tokens, weights, n) {
  let best = 0;
  weights.forEach((weight, i) => {
    // The first token often is where a head looks that has nothing to do.
    if (i % n > 0 && Math.abs(weight) > Math.abs(weights[best]) + 1e-6) best = i;
    else if (best === 0 && i % n > 0) best = i;
  });
  const [row, column] = [Math.floor(best / n), best % n];
  return n ? `strongest but for the first token: ${legible(tokens[row])} (${row}) to ${legible(tokens[column])} (${column}), `
    + figure(weights[best], weights.some((weight) => weight < 0)) : "";
}

function patternMap(tokens, weights, n, tell) {
  const cell = Math.max(9, Math.min(22, Math.floor(270 / n)));
  const margin = 8 + 6.2 * Math.max(...tokens.map((token) => shortToken(token).length), 3);
  const size = margin + n * cell + 2;
  const svg = drawn("svg", {
    class: "map", width: size, height: size, viewBox: `0 0 ${size} ${size}`, tabindex: 0, role: "img", "data-key": "map",
    "aria-label": "Attention pattern; arrow keys read it cell by cell",
  });
  tokens.forEach((token, i) => {
    const middle = margin + (i + 0.5) * cell;
    const text = (attributes) =>
      drawn("text", { "dominant-baseline": "central", "font-size": Math.min(10, cell), ...attributes }, shortToken(token));
    svg.append(text({ x: margin - 5, y: middle, "text-anchor": "end" }));
    svg.append(text({ transform: `translate(${middle} ${margin - 5}) rotate(-90)` }));
  });
  svg.append(drawn("rect", { class: "frame", x: margin, y: margin, width: n * cell, height: n * cell }));
  weights.forEach((weight, i) => {
    if (Math.abs(weight) < faintest) return;
    const [row, column] = [Math.floor(i / n), i % n];
    svg.append(drawn("rect", {
      class: weight < 0 ? "less" : "more", "fill-opacity": Math.abs(weight).toFixed(3),
      x: margin + column * cell, y: margin + row * cell, width: cell, height: cell,
    }));
  });
  const cursor = drawn("rect", { class: "cursor", width: cell, height: cell, visibility: "hidden" });
  svg.append(cursor);
  readWithPointerAndKeys(svg, { n, cell, margin, cursor, tell });
  return svg;
}

/** The cell under the pointer, or that which arrow keys lead to. */
function readWithPointerAndKeys(svg, { n, cell, margin, cursor, tell }) {
  let at = null;
  const go = (row, column) => {
    if (row < 0 || column < 0 || row >= n || column >= n) return;
    at = [row, column];
    cursor.setAttribute("x", margin + column * cell);
    cursor.setAttribute("y", margin + row * cell);
    cursor.setAttribute("visibility", "visible");
    tell(row, column);
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const place = (position, start) => Math.floor((position - start - margin) / cell);
    go(place(event.clientY, box.top), place(event.clientX, box.left));
  });
  svg.addEventListener("pointerleave", () => cursor.setAttribute("visibility", "hidden"));
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    if (at === null) go(n - 1, 0);
    else go(at[0] + step[0], at[1] + step[1]);
  });
}
