// Put the parts together and begin.
import { readData } from "./data.js";
import { startExplorer } from "./explorer.js";
import { showPanel } from "./panel.js";
import { begin, listen } from "./state.js";

const data = readData(document.getElementById("data").textContent);
listen((state, changed) => {
  if (changed.has("theme")) document.documentElement.dataset.theme = state.theme;
});
startExplorer(data);
showPanel(data, document.getElementById("panel"));
begin();
window.addEventListener("hashchange", begin);
document.documentElement.dataset.ready = data.runs.length; // for whoever drives the page
