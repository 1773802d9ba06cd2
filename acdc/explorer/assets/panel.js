// The panel beside the graph: tabs, and what the chosen one shows.
import { runsTab } from "./compare.js";
import { element } from "./data.js";
import { evidenceTab } from "./evidence.js";
import { nodeTab } from "./node.js";
import { promptsTab } from "./prompts.js";
import { change, listen } from "./state.js";
import { button, legible } from "./tokens.js";

/** Each with its words, what shows it, and the parts of the state that it depends on. */
const tabsOfPanel = {
  node: { words: () => "Node", show: nodeTab, of: ["pin", "prompt", "pattern"] },
  prompts: { words: () => "Prompts", show: promptsTab, of: ["prompt", "held", "template"] },
  evidence: { words: () => "Evidence", show: evidenceTab, of: [] },
  runs: { words: (data) => (data.runs.length > 1 ? "A and B" : "Run"), show: runsTab, of: ["sides"] },
};

/** Fill the panel, and keep it as the state says. */
export function showPanel(data, place) {
  const tabs = element("div", { role: "tablist", "aria-label": "Details" });
  const whose = element("div", { class: "row whose", role: "group", "aria-label": "Whose prompts, nodes and evidence" });
  const body = element("div", { role: "tabpanel", id: "tab", tabindex: 0, "aria-labelledby": "tab-node" });
  for (const [name, tab] of Object.entries(tabsOfPanel)) {
    const made = element("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "tab" }, tab.words(data));
    made.addEventListener("click", () => change({ tab: name }));
    tabs.append(made);
  }
  tabs.addEventListener("keydown", (event) => stepTabs(tabs, event));
  place.append(tabs, whose, body);
  listen((state, changed) => {
    if (changed.has("pin") && !changed.has("tab") && state.pin && state.tab !== "node") {
      change({ tab: "node" }); // which comes back here
      return;
    }
    const { name, tab } = tabOf(state);
    if (!["tab", "run", ...tab.of].some((part) => changed.has(part))) return;
    for (const made of tabs.children) {
      made.setAttribute("aria-selected", String(made.id === `tab-${name}`));
      made.tabIndex = made.id === `tab-${name}` ? 0 : -1;
    }
    body.setAttribute("aria-labelledby", `tab-${name}`);
    const run = runOf(data, state);
    drawnAnew(whose, data.runs.length > 1 && name !== "runs" ? runSwitch(data, run) : []);
    drawnAnew(body, tab.show(data, run, state).filter((child) => child !== null));
    if (["tab", "pin", "run"].some((part) => changed.has(part))) body.scrollTop = 0;
  });
}

function tabOf(state) {
  const name = state.tab in tabsOfPanel ? state.tab : "node";
  return { name, tab: tabsOfPanel[name] };
}

/** The run whose prompts and nodes are shown. */
function runOf(data, state) {
  return data.runs[Number(state.run)] ?? data.runs[0];
}

function runSwitch(data, run) {
  return data.runs.map((one, i) =>
    button(`run-${i}`, `${"AB"[i]}: ${legible(one.label)}`, one === run, () => change({ run: String(i) })));
}

/** Put children in place of others; what had the focus has it again, and lists stay where they were scrolled to. */
function drawnAnew(place, children) {
  const key = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const scrolled = place.querySelector("ol.prompts")?.scrollTop;
  place.replaceChildren(...children);
  const list = place.querySelector("ol.prompts");
  if (list && scrolled !== undefined) list.scrollTop = scrolled;
  if (key !== undefined) place.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  const shown = list?.querySelector('[aria-current="true"]');
  if (shown) keepInSight(list, shown);
}

/** Scroll a list, and nothing around it, so that one of its entries is seen. */
function keepInSight(list, entry) {
  const [around, box] = [list.getBoundingClientRect(), entry.getBoundingClientRect()];
  if (box.top < around.top) list.scrollTop -= around.top - box.top;
  else if (box.bottom > around.bottom) list.scrollTop += box.bottom - around.bottom;
}

/** Arrows, Home and End go from tab to tab. */
function stepTabs(tabs, event) {
  const all = [...tabs.children];
  const at = all.findIndex((made) => made.getAttribute("aria-selected") === "true");
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  const next = all[(to + all.length) % all.length];
  next.focus();
  next.click();
}
