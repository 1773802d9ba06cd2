// Tokens as they read, one by one, and small things that several tabs of the panel show.
import { element } from "./data.js";

const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;
const namedUnseen = { "\n": "⏎", "\r": "␍", "\t": "⇥" };

/** Text with what can't be seen written out: line ends, marks that turn the direction of writing and the like. */
export function legible(text) {
  const code = (character) => `\\u{${character.codePointAt(0).toString(16)}}`;
  return text.replace(unseen, (character) => namedUnseen[character] ?? code(character)) || "(empty)";
}

/** A token in a box of its own, which shows where it begins and ends. */
export function tokenChip(text, kind = "") {
  return element("span", { class: `token ${kind}` }, legible(text));
}

/** Tokens of a kind, three at most. */
export function tokenChips(tokens, kind = "") {
  const chips = tokens.slice(0, 3).map((token) => tokenChip(token, kind));
  if (tokens.length > 3) chips.push(`and ${tokens.length - 3} more`);
  return chips;
}

/** A pair token by token, clean over corrupted; what differs is marked, spans have their names above. */
export function tokenPairs(prompt) {
  const asked = new Set(prompt.answers.map((answer) => answer.position));
  const before = (i) => (i ? prompt.tokens[i - 1].spans : []);
  const cells = prompt.tokens.map((token, i) => {
    const starting = token.spans.filter((name) => !before(i).includes(name));
    const kinds = ["place"];
    if (token.differs) kinds.push("differs");
    if (token.spans.length) kinds.push("in-span");
    if (asked.has(i)) kinds.push("asked");
    const spans = token.spans.length ? `; ${token.spans.join(", ")}` : "";
    const title = `token ${i}: ${legible(token.clean)} over ${legible(token.corrupted)}${spans}`;
    return element(
      "span",
      { class: kinds.join(" "), title },
      element("span", { class: "span-name" }, starting.map(legible).join(", ") || "\u00a0"),
      element("span", { class: "token" }, legible(token.clean)),
      element("span", { class: "token corrupted" }, legible(token.corrupted)),
    );
  });
  return element("div", { class: "pair" }, ...cells);
}

const promptLines = new WeakMap(); // lists of them are drawn again at every choice

/** The beginning of the clean prompt in a line. */
export function promptText(prompt) {
  if (!promptLines.has(prompt)) {
    const text = prompt.tokens.slice(0, 60).map((token) => legible(token.clean)).join("").trim();
    promptLines.set(prompt, text.length > 120 ? `${text.slice(0, 119)}…` : text);
  }
  return promptLines.get(prompt);
}

/** A share in percent. */
export function percent(share) {
  if (share === null || share === undefined) return "–";
  return share > 0 && share < 0.001 ? "<0.1%" : `${(100 * share).toFixed(1)}%`;
}

/** A bar of a share of the whole width; beside a text, which says the same. */
export function bar(share, kind = "") {
  const width = `${(100 * Math.min(1, Math.max(0, share || 0))).toFixed(1)}%`;
  return element("span", { class: "bar", "aria-hidden": "true" }, element("i", { class: kind, style: `width: ${width}` }));
}

/** A button; `key` gives it back the focus when it is drawn anew. */
export function button(key, text, pressed, act) {
  const attributes = { type: "button", "data-key": key };
  if (pressed !== null) attributes["aria-pressed"] = String(pressed);
  const made = element("button", attributes, text);
  made.addEventListener("click", act);
  return made;
}

/** A choice among some: `[[value, text]...]`. */
export function choice(key, label, options, chosen, act) {
  const select = element(
    "select",
    { "data-key": key },
    ...options.map(([value, text]) => element("option", { value, selected: value === chosen }, text)),
  );
  select.addEventListener("change", () => act(select.value));
  return element("label", { class: "choice" }, `${label} `, select);
}

const numeric = /^[<>]?[+−-]?[\d.,]+(e[+−-]?\d+)?%?$|^–$|^not defined$/;

/** A table; columns of numbers stand to the right. Cells are text or elements. */
export function plainTable(columns, rows, caption = null) {
  const isText = (cell) => typeof cell === "string";
  const right = columns.map((_, i) => i > 0 && rows.every((row) => !row[i] || (isText(row[i]) && numeric.test(row[i]))));
  const cellsOf = (tag, row) => row.map((cell, i) => element(tag, { class: right[i] ? "number" : null }, cell));
  const headed = columns.some((name) => name);
  return element(
    "div",
    { class: "scrolled" },
    element(
      "table",
      { class: columns.length > 5 ? "wide" : null },
      caption && element("caption", {}, caption),
      headed ? element("thead", {}, element("tr", {}, ...cellsOf("th", columns))) : null,
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cellsOf("td", row)))),
    ),
  );
}

/** A part of a tab under a heading. */
export function part(heading, ...children) {
  return element("section", {}, element("h3", {}, heading), ...children.flat());
}

/** A sentence that stands where something isn't there. */
export function missing(...said) {
  return said.map((text) => element("p", { class: "missing" }, text));
}

/** What a page without a model's figures says; `what` is what a model would add. */
export function noModel(run, what) {
  const said = run.missing ?? [];
  return missing(...(said.length ? said : [`There are no ${what}: no model was run. Draw the page anew with it: acdc view RUN.`]));
}
