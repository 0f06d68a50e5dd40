// Wires up what readers can press, and draws the page for the first time.
const dark = matchMedia("(prefers-color-scheme: dark)");
const byId = (id) => document.getElementById(id);

function isDark() {
  return root.dataset.look ? root.dataset.look === "dark" : dark.matches;
}

function tellLook() {
  byId("look").setAttribute("aria-pressed", String(isDark()));
}

byId("look").addEventListener("click", () => {
  root.dataset.look = isDark() ? "light" : "dark";
  tellLook();
  drawAll();
});
dark.addEventListener("change", () => {
  tellLook();
  if (!root.dataset.look) drawAll();
});

for (const button of document.querySelectorAll("[data-isolate]")) {
  button.addEventListener("click", () => isolate(state.isolated === button.dataset.isolate ? null : button.dataset.isolate));
}
for (const box of document.querySelectorAll("[data-signal]")) {
  box.addEventListener("change", () => tell(box.dataset.signal, box.checked));
}
for (const button of document.querySelectorAll("[data-zoom]")) {
  button.addEventListener("click", () => zoom(document.querySelector("[data-chart=pareto]").view, Number(button.dataset.zoom)));
}

const knobsChart = byId("knobs-chart");
const knobsArm = byId("knobs-arm");

function chooseKnobs() {
  knobsChart.dataset.arm = knobsArm.value;
  knobsChart.style.minWidth = `${axesOf(knobsArm.value).length * 125}px`;
}

knobsArm.addEventListener("change", () => {
  chooseKnobs();
  draw(knobsChart);
});

byId("trials-filter").addEventListener("input", (event) => {
  listed.words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  listTrials();
});
byId("trials-back").addEventListener("click", () => turn(-1));
byId("trials-on").addEventListener("click", () => turn(1));

let lookBefore;
addEventListener("beforeprint", () => {
  lookBefore = root.dataset.look;
  root.dataset.look = "light";
  root.dataset.printing = "yes";
  printTrials();
  drawAll("svg");
});
addEventListener("afterprint", () => {
  if (lookBefore) root.dataset.look = lookBefore;
  else delete root.dataset.look;
  delete root.dataset.printing;
  showTrials();
  drawAll();
});

root.dataset.script = "yes";
tellLook();
if (knobsArm.value) chooseKnobs();
listTrials();
await drawAll();
