// watch_page_charts.js - the charts of the page of hamirror-watch: figures of a performance
// file, and those that were seen since the page was opened.
"use strict";

const FIGURES = ["sent with headers, KB/s", "sent data, KB/s", "records sent per second",
	"records waiting", "log sectors in use", "log in use, %", "oldest record in the log, s"];
const SAMPLES_MAX = 7200, SAMPLES_OF_ALL = 36000, ROWS_EVERY_MS = 10000;
let charts = [], isFirst = false;

// ---- figures of a mirror --------------------------------------------------------------------

// Each has a key, a title and a function of the status. A rate is of a counter.
function liveFigures(s) {
	const out = [];

	for (const site of list(s.sites).filter((x) => has(x.lag_bytes)))
		for (const [key, title, scale] of [["lag_bytes", "lag, bytes", 1],
			["lag_groups", "lag, groups", 1], ["lag_ms", "lag, s", 1000]])
			out.push({ key: `${key}:${site.name}`, title: `${site.name}: ${title}`,
				value: site[key] / scale });
	for (const q of list(s.queues))
		out.push({ key: `queue:${q.name}`, title: `queue: ${q.name}`, value: q.count });
	for (const [name, value] of Object.entries(s.counters || {}))
		out.push({ key: `rate:${name}`, title: `${name.replace(/_/g, " ")} per second`,
			counter: value });
	return out;
}

function figures(m) {
	const s = m.status || {}, out = [];

	for (const d of list(s.disks))
		FIGURES.forEach((title, i) => out.push([`row:${i}:${d.name}`, `${d.name}: ${title}`]));
	return out.concat(liveFigures(s).map((f) => [f.key, f.title]));
}

// Of a mirror without a chart the fewer, the more there are: a sample takes some KB.
function samplesMax(m) {
	return charts.some((c) => c.mirror === m.name) ? SAMPLES_MAX :
		Math.min(SAMPLES_MAX, Math.ceil(SAMPLES_OF_ALL / mirrors.size));
}

function takeSample(m) {
	const s = m.status, last = m.samples[m.samples.length - 1];
	const sample = { time: Date.now(), used: s && s.log ? s.log.used_bytes : 0,
		value: {}, counter: {} };

	if (!s || (last && sample.time - last.time < 400))
		return;
	for (const f of liveFigures(s)) {
		const before = last && last.counter[f.key];

		sample.counter[f.key] = f.counter;
		sample.value[f.key] = !has(f.counter) ? f.value : has(before) && f.counter >= before ?
			(f.counter - before) / (sample.time - last.time) * 1000 : NaN;
	}
	if (last)
		last.counter = {};
	m.samples.push(sample);
	m.samples.splice(0, m.samples.length - samplesMax(m));
}

function points(m, key) {
	const [kind, number, ...disk] = key.split(":");

	if (kind !== "row")
		return m.samples.map((s) => [s.time, s.value[key]]).filter((p) => Number.isFinite(p[1]));
	return m.rows.filter((r) => r.disk === disk.join(":")).map((r) => [r.time, r.figure[number]]);
}

async function takeRows(m) {
	if (!m || Date.now() - (m.rowsAt || 0) < ROWS_EVERY_MS)
		return;
	m.rowsAt = Date.now();
	const answer = await ask(`perf/${encodeURIComponent(m.name)}`);

	if (answer.ok)
		m.rows = (await answer.text()).split("\n").map((l) => l.split(" "))
			.filter((w) => w.length === 9)
			.map((w) => ({ time: Date.parse(w[0]), disk: w[1], figure: w.slice(2).map(Number) }));
	showCharts();
}

// ---- charts ---------------------------------------------------------------------------------

function niceTop(most) {
	const raw = (most > 0 ? most : 1) / 4, power = 10 ** Math.floor(Math.log10(raw));

	return 4 * power * [1, 2, 5, 10].find((d) => raw <= d * power * 1.0000001);
}

function curve(all, from, to, top) {
	const x = (t) => 60 + (t - from) / (to - from) * 530, y = (v) => 150 - v / top * 135;
	let path = "", before = 0, period = Infinity;

	for (const [time, value] of all) {
		const gap = time - before;
		const begins = path === "" || gap > 3 * Math.max(period, 1500);

		path += `${begins ? "M" : "L"}${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
		if (gap > 0)
			period = gap;
		before = time;
	}
	return drawn("path", { class: "curve", d: path || "M0 0" });
}

function draw(svg, all, title) {
	const now = Date.now(), range = Number($("range").value) * 1000;
	const from = range > 0 ? now - range : all.length > 0 ? all[0][0] - 1000 : now - 60000;
	const seen = all.filter((p) => p[0] >= from && p[0] <= now);
	const top = niceTop(Math.max(0, ...seen.map((p) => p[1])));
	const clock = (t) => new Date(t).toLocaleTimeString();
	const parts = [];

	for (let i = 0; i <= 4; i++) {
		const y = 150 - i / 4 * 135;

		parts.push(drawn("line", { class: "grid", x1: 60, x2: 590, y1: y, y2: y }),
			drawn("text", { x: 54, y: y + 4, "text-anchor": "end" }, short(top * i / 4)));
	}
	parts.push(curve(seen, from, now, top), drawn("text", { x: 60, y: 168 }, clock(from)),
		drawn("text", { x: 590, y: 168, "text-anchor": "end" }, clock(now)));
	svg.replaceChildren(...parts);
	svg.setAttribute("aria-label", seen.length === 0 ? `${title}: no figures yet` :
		`${title}: now ${short(seen[seen.length - 1][1])}, ` +
		`at most ${short(Math.max(...seen.map((p) => p[1])))}`);
	return seen;
}

function fill(select, options, chosen) {
	const same = select.options.length === options.length &&
		options.every(([key], i) => select.options[i].value === key);

	if (!same)
		select.replaceChildren(
			...options.map(([key, title]) => el("option", { value: key }, title)));
	if (has(chosen))
		select.value = chosen;
}

function makeChart(c) {
	const figure = el("select", { "aria-label": "Figure of this chart" });
	const remove = el("button", { type: "button" }, "Remove");

	c.svg = drawn("svg", { viewBox: "0 0 600 175", role: "img" });
	c.caption = el("figcaption");
	c.select = figure;
	c.whole = el("figure", {}, c.caption, c.svg, el("form", {}, figure, remove));
	figure.addEventListener("change", () => {
		c.key = figure.value;
		keepCharts();
		showCharts();
	});
	remove.addEventListener("click", () => {
		charts = charts.filter((x) => x !== c);
		c.whole.remove();
		keepCharts();
		$("add-figure").focus();
	});
	$("list").append(c.whole);
}

function showCharts() {
	for (const c of charts) {
		const m = mirrors.get(c.mirror), known = m ? figures(m) : [];

		if (!c.whole)
			makeChart(c);
		if (document.activeElement !== c.select)
			fill(c.select, known.some((f) => f[0] === c.key) ? known :
				known.concat([[c.key, c.title || c.key]]), c.key);
		c.title = (known.find((f) => f[0] === c.key) || [0, c.title || c.key])[1];
		const seen = draw(c.svg, m ? points(m, c.key) : [], c.title);

		c.caption.textContent = `${c.mirror}, ${c.title}: ` +
			(seen.length > 0 ? short(seen[seen.length - 1][1]) : "no figures yet");
	}
}

function keepCharts() {
	try {
		localStorage.setItem("charts",
			JSON.stringify(charts.map((c) => ({ mirror: c.mirror, key: c.key, title: c.title }))));
	} catch {
		// a browser that keeps nothing: they last as long as the page
	}
}

function keptCharts() {
	try {
		const kept = JSON.parse(localStorage.getItem("charts"));

		isFirst = kept === null;
		return list(kept).filter((c) => typeof c.mirror === "string" &&
			typeof c.key === "string");
	} catch {
		return [];
	}
}

// Those of the first mirror, once each has told what it is.
function firstCharts() {
	const all = [...mirrors.values()];
	const m = all.find((x) => x.status && list(x.status.disks).length > 0);

	if (!isFirst || !m || all.some((x) => !x.status))
		return;
	isFirst = false;
	const disk = m.status.disks[0].name;

	charts = [1, 5].map((i) => ({ mirror: m.name, key: `row:${i}:${disk}` }));
}
