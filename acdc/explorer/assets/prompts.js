// The tab of prompts: the worst first, each token by token, with what model, circuit and ablated model predict.
import { element } from "./data.js";
import { counted, figure } from "./numbers.js";
import { change } from "./state.js";
import {
  bar, button, choice, legible, noModel, part, percent, plainTable, promptText, tokenChip, tokenChips, tokenPairs,
} from "./tokens.js";

const statesOfPrompts = ["model", "circuit", "ablated"];
const mostAnswers = 3; // of a prompt that has more, the others are folded away

/** What prompts are sorted by: how far the circuit is from the model there. */
function worseness(prompt) {
  const values = prompt.values.circuit ?? {};
  return values.kl ?? null;
}

/** Those of the filter with their numbers, the worst first. */
function chosenPrompts(run, state) {
  return run.prompts
    .map((prompt, i) => ({ prompt, i, worse: worseness(prompt) }))
    .filter(({ prompt }) => !state.held || prompt.held_out === (state.held === "held-out"))
    .filter(({ prompt }) => !state.template || prompt.template === state.template)
    .sort((one, other) => (other.worse ?? -Infinity) - (one.worse ?? -Infinity) || one.i - other.i);
}

export function promptsTab(data, run, state) {
  if (!run.prompts?.length) return noModel(run, "prompts with predictions");
  const chosen = chosenPrompts(run, state);
  const shown = chosen.find(({ i }) => String(i) === state.prompt) ?? chosen[0];
  return [
    promptFilters(run, state),
    ...templateTable(run, state),
    chosen.length ? promptList(chosen, shown) : element("p", { class: "missing" }, "No prompt is of this kind."),
    shown ? promptDetail(shown.prompt) : null,
  ];
}

function promptFilters(run, state) {
  const kinds = [["", "all prompts"], ["used", "used to find it"], ["held-out", "held out"]];
  const templates = templatesOf(run);
  return element(
    "div",
    { class: "row" },
    choice("held", "Show", kinds, state.held, (held) => change({ held })),
    templates.length > 1
      ? choice("template", "of", [["", "all templates"], ...templates.map((name) => [name, shortTemplate(name)])],
          state.template, (template) => change({ template }))
      : null,
  );
}

function templatesOf(run) {
  return [...new Set(run.prompts.map((prompt) => prompt.template).filter((name) => name !== null))];
}

function shortTemplate(name) {
  const text = legible(name);
  return text.length > 48 ? `${text.slice(0, 47)}…` : text;
}

/** Where it fails: a row a template, the worst first. */
function templateTable(run, state) {
  const templates = templatesOf(run);
  if (templates.length < 2) return [];
  const kind = (prompt) => !state.held || prompt.held_out === (state.held === "held-out");
  const rows = templates
    .map((name) => {
      const of = run.prompts.filter((prompt) => prompt.template === name && kind(prompt));
      return { name, n: of.length, kl: meanOf(of, worseness), right: meanOf(of, (one) => one.values.circuit?.accuracy) };
    })
    .filter(({ n }) => n)
    .sort((one, other) => (other.kl ?? -Infinity) - (one.kl ?? -Infinity));
  const cells = rows.map(({ name, n, kl, right }) => [
    button(`template-${name}`, shortTemplate(name), state.template === name,
      () => change({ template: state.template === name ? "" : name })),
    String(n), figure(kl), percent(right),
  ]);
  const table = plainTable(["template", "prompts", "KL", "right"], cells);
  return [element("details", { class: "templates", open: rows.length <= 4 },
    element("summary", {}, `By template (${rows.length})`), table)];
}

function meanOf(prompts, value) {
  const known = prompts.map(value).filter((one) => one !== null && one !== undefined);
  return known.length ? known.reduce((sum, one) => sum + one, 0) / known.length : null;
}

function promptList(chosen, shown) {
  const worst = Math.max(...chosen.map(({ worse }) => worse ?? 0)) || 1;
  const items = chosen.map((one) => {
    const { prompt, i, worse } = one;
    const made = button(`prompt-${i}`, "", null, () => change({ prompt: String(i) }));
    made.setAttribute("aria-current", String(one === shown));
    const right = prompt.values.circuit?.accuracy;
    const mark = right === null || right === undefined ? "" : right >= 1 ? "✓" : right > 0 ? "◐" : "✗";
    const says = { "✓": "the circuit is right", "◐": "the circuit is right at some positions", "✗": "the circuit is wrong" };
    made.append(
      element("span", { class: "number" }, figure(worse)),
      bar((worse ?? 0) / worst),
      element("span", { class: mark === "✓" ? "mark right" : "mark wrong", title: says[mark] }, mark),
      element("span", { class: "line" }, promptText(prompt)),
      prompt.held_out ? element("span", { class: "badge" }, "held out") : "",
    );
    return element("li", {}, made);
  });
  const list = element("ol", { class: "prompts", "aria-label": "Prompts, those first on which the circuit is the worst" }, ...items);
  list.addEventListener("keydown", (event) => stepInList(list, event));
  return element(
    "div",
    {},
    element("p", { class: "quiet" }, `${counted(chosen.length, "prompt")}, by how far the circuit is from the model (KL)`),
    list,
  );
}

/** Arrows choose the prompt above or below. */
function stepInList(list, event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  event.stopPropagation();
  const buttons = [...list.querySelectorAll("button")];
  const next = buttons[buttons.indexOf(document.activeElement) + step];
  if (!next) return;
  next.focus();
  next.click();
}

/** One prompt, wholly. */
function promptDetail(prompt) {
  const about = [prompt.where, prompt.held_out ? "held out" : "used to find the circuit"].map(legible).join(", ");
  const answers = prompt.answers.map((answer, i) => answerPart(prompt, answer, i));
  const others = answers.splice(mostAnswers);
  return element(
    "article",
    { class: "prompt" },
    element("h3", {}, about),
    prompt.template === null ? null : element("p", { class: "quiet" }, "template ", legible(prompt.template)),
    tokenPairs(prompt),
    element("p", { class: "quiet" }, "clean over corrupted; marked where they differ; ▸ where the model is asked"),
    ...answers,
    others.length
      ? element("details", {}, element("summary", {}, counted(others.length, "more answer position")), ...others)
      : null,
    valuesTable(prompt),
  );
}

function answerPart(prompt, answer, i) {
  const told = [];
  for (const [words, tokens, kind] of [
    ["right", answer.right, "right"], ["wrong", answer.wrong, "wrong"], ["right on the corrupted prompt", answer.corrupted, ""],
  ]) {
    if (tokens.length) told.push(element("span", {}, `${words} `, ...tokenChips(tokens, kind)));
  }
  const token = prompt.tokens[answer.position];
  const heading = element("h4", {}, "After ", tokenChip(token ? token.clean : ""), ` (token ${answer.position})`);
  const columns = statesOfPrompts
    .filter((state) => prompt.likely[state]?.[i])
    .map((state) => likelyList(state, prompt.likely[state][i], answer));
  return element("div", { class: "answer" }, heading, element("p", { class: "told" }, ...told),
    element("div", { class: "likely" }, ...columns));
}

/** The likeliest tokens, with bars; right and wrong answers have their marks. */
function likelyList(state, likely, answer) {
  const items = likely.map(([token, probability]) => {
    const kind = answer.right.includes(token) ? "right" : answer.wrong.includes(token) ? "wrong" : "";
    return element(
      "li",
      { class: kind },
      element("span", { class: "row" }, tokenChip(token, kind), element("span", { class: "number" }, percent(probability))),
      bar(probability, kind),
    );
  });
  return element("div", {}, element("h5", {}, state), element("ol", {}, ...items));
}

function valuesTable(prompt) {
  const states = statesOfPrompts.filter((state) => prompt.values[state]);
  const told = states.flatMap((state) => Object.keys(prompt.values[state]));
  const words = { kl: "KL from the model", logit_difference: "logit difference", accuracy: "right", top1: "top-1 right" };
  const names = [...new Set([...Object.keys(words).filter((name) => told.includes(name)), ...told])];
  const rows = names.map((name) => [
    legible(words[name] ?? name),
    ...states.map((state) => {
      const value = prompt.values[state][name];
      return name === "accuracy" || name === "top1" ? percent(value) : figure(value);
    }),
  ]);
  return rows.length ? part("Figures of this prompt", plainTable(["", ...states], rows)) : null;
}
