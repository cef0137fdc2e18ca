// Draws the map of the site: one canvas per block, one cell per rig.
"use strict";
(() => {
  const map = document.getElementById("map");
  const by = document.getElementById("by");
  const legend = document.getElementById("legend");
  const caption = document.getElementById("cell");
  const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });

  const GAP = 1; // px between cells
  const [SMALLEST, LARGEST] = [6, 36]; // px, the width of a cell
  const AREA = 900_000; // px², that the cells of a large site share

  const NAME = 0, STATUS = 1, VERDICT = 2, MARGIN = 3, HEAT = 4;
  const UNKNOWN = "unknown";
  // A view as /map.json describes it: the classes of its cells with their colours, and the class of a rig.
  const viewOf = ({ field, kinds, steps }) => ({
    classes: [...(kinds ? Object.entries(kinds) : steps), [UNKNOWN, "none"]],
    of(rig) {
      const value = rig[field];
      if (kinds) return Object.hasOwn(kinds, value) ? value : UNKNOWN;
      if (value === null) return UNKNOWN;
      return steps.find(([, , limit]) => limit === null || value < limit)[0];
    },
  });

  let site = null;
  let drawn = []; // per block: canvas, side of a cell, and rig index by cell

  function palette() {
    const style = getComputedStyle(document.documentElement);
    const names = ["good", "fair", "warn", "bad", "calm", "none"];
    return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--cell-${name}`)]));
  }

  function side() {
    const widest = Math.max(1, ...site.blocks.map((block) => block.columns));
    const shared = Math.sqrt(AREA / Math.max(1, site.rigs.length));
    return Math.floor(Math.max(SMALLEST, Math.min(LARGEST, shared, (map.clientWidth - 2) / widest)));
  }

  function layOut() {
    const size = side();
    const ratio = devicePixelRatio || 1;
    const sections = site.blocks.map((block) => {
      const section = document.createElement("section");
      const heading = document.createElement("h2");
      const link = document.createElement("a");
      link.href = `/rigs?block=${encodeURIComponent(block.name)}`;
      link.textContent = block.name;
      heading.append(link);
      const canvas = document.createElement("canvas");
      canvas.width = block.columns * size * ratio;
      canvas.height = block.rows * size * ratio;
      canvas.style.width = `${block.columns * size}px`;
      canvas.style.height = `${block.rows * size}px`;
      canvas.setAttribute("role", "img");
      section.append(heading, canvas);
      const at = new Map(block.cells.map(([column, row, index]) => [row * block.columns + column, index]));
      return { section, canvas, size, ratio, block, at };
    });
    map.replaceChildren(...sections.map(({ section }) => section));
    drawn = sections;
    paint();
  }

  function paint() {
    const view = viewOf(site.views[by.value]);
    const colours = palette();
    const colourOf = Object.fromEntries(view.classes);
    const counts = Object.fromEntries(view.classes.map(([name]) => [name, 0]));
    for (const { canvas, size, ratio, block } of drawn) {
      const pen = canvas.getContext("2d");
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, canvas.width, canvas.height);
      const local = {};
      for (const [column, row, index] of block.cells) {
        const kind = view.of(site.rigs[index]);
        counts[kind] += 1;
        local[kind] = (local[kind] ?? 0) + 1;
        pen.fillStyle = colours[colourOf[kind]];
        pen.fillRect(column * size, row * size, size - GAP, size - GAP);
      }
      const words = Object.entries(local).map(([kind, count]) => `${count} ${kind.replace("_", " ")}`);
      canvas.setAttribute("aria-label", `${block.name}: ${words.join(", ")}`);
    }
    legend.replaceChildren(
      ...view.classes.map(([name, colour]) => {
        const item = document.createElement("li");
        const swatch = document.createElement("span");
        swatch.className = `swatch swatch-${colour}`;
        item.append(swatch, `${name.replace("_", " ")} (${counts[name].toLocaleString("en-US")})`);
        return item;
      }),
    );
    map.dataset.drawn = String(site.rigs.length);
  }

  function rigAt(event) {
    const found = drawn.find(({ canvas }) => canvas === event.target);
    if (!found) return null;
    const column = Math.floor(event.offsetX / found.size);
    const row = Math.floor(event.offsetY / found.size);
    if (column >= found.block.columns) return null;
    const index = found.at.get(row * found.block.columns + column);
    return index === undefined ? null : site.rigs[index];
  }

  function describe(rig) {
    const margin = rig[MARGIN] === null ? "margin unknown" : `${dollars.format(rig[MARGIN])} a day`;
    const heat = rig[HEAT] === null ? "hottest board unknown" : `hottest board ${rig[HEAT]} °C`;
    const verdict = `verdict ${rig[VERDICT] ?? UNKNOWN}`;
    return [rig[NAME], rig[STATUS].replace("_", " "), margin, heat, verdict].join(", ");
  }

  async function load() {
    const answer = await fetch("/map.json", { signal: AbortSignal.timeout(30_000) });
    if (!answer.ok) {
      if (site === null) caption.textContent = (await answer.text()).trim();
      throw new Error(answer.statusText);
    }
    const before = JSON.stringify(site?.blocks);
    site = await answer.json();
    if (site.stuck) {
      for (const rig of site.rigs) rig.fill(null, VERDICT).splice(STATUS, 1, UNKNOWN);
    }
    if (JSON.stringify(site.blocks) === before) paint();
    else layOut();
  }

  map.addEventListener("mousemove", (event) => {
    const rig = rigAt(event);
    if (event.target.matches("canvas")) event.target.classList.toggle("link", rig !== null);
    if (rig !== null) caption.textContent = describe(rig);
  });
  map.addEventListener("click", (event) => {
    const rig = rigAt(event);
    if (rig !== null) location.assign(`/rigs/${encodeURIComponent(rig[NAME])}`);
  });
  by.addEventListener("change", () => {
    history.replaceState(null, "", `#${by.value}`);
    if (site !== null) paint();
  });
  addEventListener("resize", () => site !== null && layOut());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => site !== null && paint());
  document.addEventListener("evaluated", (event) => event.detail.push(load()));
  const wanted = location.hash.slice(1);
  if ([...by.options].some((option) => option.value === wanted)) by.value = wanted;
  load().catch(() => {}); // the next evaluation tries again
})();
