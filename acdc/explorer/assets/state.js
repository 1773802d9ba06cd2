// What is seen now. It is in the address behind "#", so that a link shows the same.

const beginning = {
  tab: "node", // of the panel: node, prompts, evidence, runs
  pin: "", // a node's or an edge's name
  follow: "", // of the pin: its paths from the "input", to the "logits", or "both"; "": its neighbours
  shown: "", // edges of the largest scores; "": the circuit as it was found
  film: "", // decisions made; "": no film
  layers: "", // "2-5"
  kinds: "", // of heads, mlps, input: those hidden, "mlps,input"
  letters: "", // of q, k, v and - (MLPs and logits): those hidden
  top: "", // the strongest n alone
  through: "", // paths through this node alone
  sides: "", // of two runs: "a", "b", "both" hidden
  run: "0", // of two, whose prompts and nodes the panel shows
  prompt: "", // its number; "": the worst of those listed
  held: "", // "used", "held-out": prompts
  template: "",
  pattern: "clean", // clean, corrupted, difference
  theme: "", // light, dark; "": as the system has it
  view: "", // x, y and scale
};
let current = { ...beginning };
let writing = null;
const listeners = [];

/** Be told of every change: `listen((state, changed) => ...)`, `changed` being a set of names. */
export function listen(listener) {
  listeners.push(listener);
}

/** The state; not to be written into. */
export function now() {
  return current;
}

/** Change some of it. */
export function change(values) {
  const changed = new Set(Object.keys(values).filter((name) => current[name] !== values[name]));
  if (!changed.size) return;
  current = { ...current, ...values };
  writing ??= setTimeout(write, 300); // browsers count how often it is written
  for (const listener of listeners) listener(current, changed);
}

/** As all of it was at first. */
export function reset() {
  change({ ...beginning, theme: current.theme });
}

/** Take the state from the address; names that aren't known are left alone. */
export function begin() {
  const given = new URLSearchParams(location.hash.slice(1));
  current = Object.fromEntries(Object.entries(beginning).map(([name, value]) => [name, given.get(name) ?? value]));
  for (const listener of listeners) listener(current, new Set(Object.keys(beginning)));
}

function write() {
  writing = null;
  if (location.protocol === "about:") return; // a notebook's frame has no address
  history.replaceState(null, "", `#${addressOf(current)}`);
}

function addressOf(state) {
  const told = Object.entries(state).filter(([name, value]) => value !== beginning[name]);
  return new URLSearchParams(told).toString();
}
