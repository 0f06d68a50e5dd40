// Draws the charts in the page's colours, and again when those change.
const root = document.documentElement;
const state = { isolated: null, search: true };
const views = new Map();

const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);

/** What a variable of the style sheet stands for now: letters, or a colour. */
function styled(name) {
  if (name === "--sans") return getComputedStyle(root).getPropertyValue(name);
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

/** Vega's configuration, in which Python has put names of those variables. */
const look = () => JSON.parse(JSON.stringify(page.look), (_, value) => String(value).startsWith("--") ? styled(value) : value);

const tooltip = { theme: "page", disableDefaultStyle: true };

/** The specification with the state that readers have brought about, and its data. */
function filled(chart, arm) {
  const params = chart.spec.params.map((param) => param.name in state ? { ...param, value: state[param.name] } : param);
  const datasets = Object.fromEntries(chart.sources.map((name) => [name, sources[name](arm)]));
  return { ...chart.spec, params, datasets };
}

async function draw(element, renderer = "canvas") {
  const chart = page.charts[element.dataset.chart];
  views.get(element)?.finalize();
  const patch = (compiled) => ({ ...compiled, marks: [...compiled.marks, ...chart.marks] });
  const drawn = await vegaEmbed(element, filled(chart, element.dataset.arm), { ast: true, actions: false, renderer, config: look(), patch, tooltip });
  views.set(element, drawn);
  element.view = drawn.view;
}

/** Where charts go; the knobs have none as long as no arm has a result. */
const places = () => [...document.querySelectorAll(".chart")].filter(({ dataset }) => dataset.chart !== "knobs" || dataset.arm);

async function drawAll(renderer) {
  delete root.dataset.ready;
  for (const element of places()) await draw(element, renderer);
  root.dataset.ready = "yes";
}

/** Tells all charts that have the signal. */
function tell(signal, value) {
  state[signal] = value;
  for (const [element, { view }] of views) {
    if (page.charts[element.dataset.chart].spec.params.some((param) => param.name === signal)) view.signal(signal, value).runAsync();
  }
}

function isolate(arm) {
  tell("isolated", arm);
  for (const legend of document.querySelectorAll(".legend")) legend.classList.toggle("one", arm !== null);
  for (const button of document.querySelectorAll("[data-isolate]")) button.setAttribute("aria-pressed", String(button.dataset.isolate === arm));
}

/** Zooms about the middle; a factor of 0 shows everything. */
function zoom(view, factor) {
  const around = (ends, forth, back) => {
    const [low, high] = ends.map(forth);
    const half = (high - low) / 2 * factor;
    return [back((low + high) / 2 - half), back((low + high) / 2 + half)];
  };
  const same = (value) => value;
  const x = factor ? around(view.scale("x").domain(), Math.log, Math.exp) : null;
  const y = factor ? around(view.scale("y").domain(), same, same) : null;
  view.signal("zoom_parameters", x).signal("zoom_accuracy", y).runAsync();
}
