"use strict";
// The maps: Bokeh draws two linked plots; this fills them from the page's own data. The library
// is a megabyte of script, so it is started when a reader comes near the maps.
(() => {
const start = async () => {
  const script = document.createElement("script");
  script.textContent = document.getElementById("bokeh").textContent;
  document.head.append(script);
  Bokeh.set_log_level("warn");
  const data = JSON.parse(document.getElementById("maps-data").textContent);
  const item = JSON.parse(document.getElementById("maps-item").textContent);
  const pick = (id) => document.getElementById(id);
  const decode = (text, type) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new type(bytes.buffer);
  };
  const FACE = 64;
  const SIGNS = { circle: "●", square: "■", triangle: "▲", diamond: "◆", inverted_triangle: "▼", star: "★", hex: "⬢", plus: "✚" };
  // The sheet of faces as a variable for the one tooltip: a page full of faces that each
  // substitute it would parse its megabyte once for every face.
  const sheet = document.createElement("span");
  sheet.className = "face";
  pick("maps-plot").append(sheet);
  const root = document.documentElement.style; // Bokeh puts its tooltips beside the page
  root.setProperty("--sheet", getComputedStyle(sheet).backgroundImage);
  root.setProperty("--sheet-size", `${data.sheetColumns * FACE}px ${data.sheetRows * FACE}px`);
  sheet.remove();
  const views = await Bokeh.embed.embed_item(item, "maps-plot");
  const plots = [];
  const documents = views.roots ? views.roots : [...views];
  const doc = documents[0].model.document;
  const source = doc.get_model_by_name("points");
  ["E", "I"].forEach((name) => plots.push(doc.get_model_by_name(name)));
  // Side by side where there is room, one above the other on a phone.
  const grid = documents[0].model;
  const stack = matchMedia("(max-width: 700px)");
  const place = () => {
    grid.children = plots.map((plot, i) => (stack.matches ? [plot, i, 0] : [plot, 0, i]));
    for (const plot of plots) plot.height = stack.matches ? 340 : 540;
  };
  if (stack.matches) place();
  stack.addEventListener("change", place);
  const cache = new Map();
  const points = (key) => {
    if (!cache.has(key)) {
      const p = data.points[key];
      const columns = {};
      for (const [name, c] of Object.entries(p.columns)) columns[name] = { levels: c.levels, codes: decode(c.codes, Int32Array) };
      cache.set(key, { n: p.n, expression: decode(p.expression, Int16Array), face: decode(p.face, Int32Array), columns });
    }
    return cache.get(key);
  };
  const hue = (i, n) => i < 0 ? "#9a9a9a" : `hsl(${(i * 137.508) % 360} ${55 + (i % 3) * 12}% ${42 + (i % 4) * 7}%)`;

  // Begin with a method that has both embeddings.
  const both = data.methods.findIndex((m) => Object.keys(m.xy).some((k) => k.startsWith("I.")));
  pick("map-method").value = Math.max(0, both);

  // Options of a select; the one chosen before is kept where it is still there.
  const fill = (select, options, first) => {
    const before = select.value;
    select.replaceChildren();
    for (const [value, text] of options) { const o = document.createElement("option"); o.value = value; o.textContent = text; select.append(o); }
    for (const wanted of [first, before]) if (options.some(([value]) => value === wanted)) select.value = wanted;
  };
  const fillColours = () => {
    const method = data.methods[pick("map-method").value];
    const options = [["expression", "expression"]];
    if (method.predicted) options.push(["correct", "right or wrong"]);
    for (const name of Object.keys(points(method.points).columns)) options.push(["column:" + name, name]);
    fill(pick("map-colour"), options, "expression");
  };
  // The embeddings of the method: E and I first, whichever others it has can replace them.
  const fillSpaces = () => {
    const method = data.methods[pick("map-method").value];
    const spaces = [...new Set(["E", "I", ...Object.keys(method.xy).map((key) => key.slice(0, key.lastIndexOf(".")))])];
    for (const [id, first] of [["map-left", "E"], ["map-right", "I"]]) {
      fill(pick(id), spaces.map((name) => [name, name]), first);
      pick(id).parentElement.hidden = spaces.length < 3;
    }
  };

  const colouring = (method, p) => {
    const mode = pick("map-colour").value;
    if (mode === "correct") {
      const predicted = decode(method.predicted, Int16Array);
      const codes = Array.from(p.expression, (y, i) => (y < 0 ? -1 : y === predicted[i] ? 0 : 1));
      return { codes, levels: ["right", "wrong"], colours: ["#0072B2", "#D55E00"], markers: ["circle", "diamond"] };
    }
    if (mode.startsWith("column:")) {
      const { levels, codes } = p.columns[mode.slice(7)];
      const colours = levels.length <= data.classColours.length ? data.classColours : levels.map((_, i) => hue(i));
      const markers = levels.length <= 8 ? ["circle", "square", "triangle", "diamond", "inverted_triangle", "star", "hex", "plus"] : null;
      return { codes, levels, colours, markers };
    }
    return { codes: p.expression, levels: data.classes, colours: data.classColours, markers: data.markers };
  };

  // The frame fits the points, equally in both directions.
  const fit = (plot, xy, n) => {
    const ends = (from) => {
      const known = [...xy.slice(from, from + n)].filter((v) => !Number.isNaN(v));
      return known.length ? [Math.min(...known), Math.max(...known)] : [-1, 1];
    };
    const [x, y] = [ends(0), ends(n)];
    const half = 0.54 * Math.max(x[1] - x[0], y[1] - y[0], 1e-6);
    const around = ([low, high], range) => { range.start = (low + high) / 2 - half; range.end = (low + high) / 2 + half; };
    around(x, plot.x_range);
    around(y, plot.y_range);
  };

  const draw = () => {
    const method = data.methods[pick("map-method").value];
    const kind = pick("map-kind").value;
    const p = points(method.points);
    const { codes, levels, colours, markers } = colouring(method, p);
    const xy = (space) => method.xy[`${space}.${kind}`] ? decode(method.xy[`${space}.${kind}`], Float32Array) : new Float32Array(2 * p.n).fill(NaN);
    const shown = [pick("map-left").value, pick("map-right").value];
    const [e, i] = shown.map(xy);
    const predicted = method.predicted ? decode(method.predicted, Int16Array) : null;
    const subject = p.columns.subject;
    const each = (f) => Array.from({ length: p.n }, (_, k) => f(k));
    const name = (list, code) => (code < 0 ? "unknown" : list[code]);
    source.selected.indices = [];
    fit(plots[0], e, p.n);
    fit(plots[1], i, p.n);
    source.data = {
      ex: e.slice(0, p.n), ey: e.slice(p.n), ix: i.slice(0, p.n), iy: i.slice(p.n),
      colour: each((k) => (codes[k] < 0 ? "#9a9a9a" : colours[codes[k] % colours.length])),
      marker: each((k) => (markers && codes[k] >= 0 ? markers[codes[k] % markers.length] : "circle")),
      alpha: each(() => (p.n > 4000 ? 0.5 : 0.78)),
      expression: each((k) => name(data.classes, p.expression[k])),
      subject: each((k) => (subject ? name(subject.levels, subject.codes[k]) : "unknown")),
      predicted: each((k) => !predicted ? "" : predicted[k] === p.expression[k] ? "named rightly" : "named " + name(data.classes, predicted[k])),
      face_x: each((k) => -(Math.max(0, p.face[k]) % data.sheetColumns) * FACE),
      face_y: each((k) => -Math.floor(Math.max(0, p.face[k]) / data.sheetColumns) * FACE),
      has_face: each((k) => (p.face[k] >= 0 ? "block" : "none")),
    };
    const size = p.n > 8000 ? 4 : p.n > 2500 ? 5 : 8;
    for (const plot of plots) for (const r of plot.renderers) for (const g of [r.glyph, r.selection_glyph, r.nonselection_glyph]) if (g && g.size !== undefined) g.size = { value: size };
    const trust = (space) => { const t = method.trust[`${space}.${kind}`]; return t == null ? "" : `, trustworthiness ${t.toFixed(2)}`; };
    const WORDS = { E: "E, expression", I: "I, identity" };
    shown.forEach((space, k) => {
      const there = method.xy[`${space}.${kind}`];
      plots[k].title.text = stack.matches ? (there ? space : `no ${space}`)
        : there ? (WORDS[space] || space) + trust(space) : "this method has no identity embedding";
    });
    const legend = pick("map-legend");
    legend.replaceChildren();
    levels.forEach((level, code) => {
      const li = document.createElement("li"), button = document.createElement("button"), dot = document.createElement("i");
      const mine = [];
      for (let k = 0; k < p.n; k++) if (codes[k] === code) mine.push(k);
      if (!mine.length) return;
      dot.style.color = colours[code % colours.length];
      dot.textContent = SIGNS[markers ? markers[code % markers.length] : "circle"];
      button.type = "button";
      button.append(dot, document.createTextNode(`${level} `));
      button.title = `Select the ${mine.length} faces of this group`;
      button.addEventListener("click", () => { source.selected.indices = mine; });
      li.append(button);
      legend.append(li);
    });
    told();
  };

  const told = () => {
    const box = pick("map-picked");
    const chosen = source.selected.indices;
    box.replaceChildren();
    if (!chosen.length) { box.textContent = "Draw around points, or press a name above: the same faces light up in both maps."; return; }
    const method = data.methods[pick("map-method").value];
    const p = points(method.points);
    const counts = new Map();
    for (const k of chosen) { const c = source.data.expression[k]; counts.set(c, (counts.get(c) || 0) + 1); }
    const people = new Set(chosen.map((k) => source.data.subject[k]));
    const text = [...counts].sort((a, b) => b[1] - a[1]).map(([c, n]) => `${c} ${n}`).join(", ");
    const line = document.createElement("div");
    line.textContent = `${chosen.length} faces of ${people.size} subjects: ${text}.`;
    box.append(line);
    for (const k of chosen.slice(0, 40)) {
      if (p.face[k] < 0) break;
      const face = document.createElement("span");
      face.className = "face";
      face.style.setProperty("--x", p.face[k] % data.sheetColumns);
      face.style.setProperty("--y", Math.floor(p.face[k] / data.sheetColumns));
      face.title = `${source.data.expression[k]}, subject ${source.data.subject[k]}`;
      box.append(face);
    }
  };

  const ink = () => {
    const style = getComputedStyle(document.documentElement);
    for (const plot of plots) plot.title.text_color = style.getPropertyValue("--muted").trim();
  };
  source.selected.properties.indices.change.connect(told);
  pick("map-method").addEventListener("change", () => { fillSpaces(); fillColours(); draw(); });
  pick("map-left").addEventListener("change", draw);
  pick("map-right").addEventListener("change", draw);
  pick("map-kind").addEventListener("change", draw);
  pick("map-colour").addEventListener("change", draw);
  document.addEventListener("themechange", ink);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ink);
  ink();
  fillSpaces();
  fillColours();
  draw();
  document.documentElement.dataset.maps = "ready";
};
const near = new IntersectionObserver((seen) => {
  if (seen.some((s) => s.isIntersecting)) { near.disconnect(); start(); }
}, { rootMargin: "600px" });
near.observe(document.getElementById("maps"));
})();
