// watch_page.js - the page of hamirror-watch: states as they come, and commands; charts and
// configurations have files of their own. All that a daemon says is put into the page as text,
// never as HTML.
"use strict";

const SILENT_MS = 3500;
const EVENTS_MAX = 256; // of a mirror, beside those of its log file
const OUT_OF_SIGHT = 8; // so many cards that are out of sight are brought up to date at a time
const mirrors = new Map(); // by name: the newest message, samples, rows, and its card
let lastNews = 0, token = null, failure = "", question = 0, turn = 0;

const $ = (id) => document.getElementById(id);

// ---- small pieces ------------------------------------------------------------------------

function el(name, attributes, ...children) {
	const e = document.createElement(name);

	for (const [key, value] of Object.entries(attributes || {}))
		e.setAttribute(key, value);
	e.append(...children);
	return e;
}

function drawn(name, attributes, text) {
	const e = document.createElementNS("http://www.w3.org/2000/svg", name);

	for (const [key, value] of Object.entries(attributes))
		e.setAttribute(key, value);
	if (text !== undefined)
		e.textContent = text;
	return e;
}

// Of a list or an object that an older daemon, or one that is down, does not have.
const list = (value) => Array.isArray(value) ? value : [];
const has = (value) => value !== null && value !== undefined;

function bytes(n) {
	const units = ["B", "KiB", "MiB", "GiB", "TiB"];
	let i = 0;

	if (!has(n))
		return "";
	for (; n >= 1024 && i < units.length - 1; i++)
		n /= 1024;
	return `${i === 0 ? n : n.toFixed(1)} ${units[i]}`;
}

function duration(seconds) {
	if (seconds < 120)
		return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
	if (seconds < 7200)
		return `${Math.round(seconds / 60)} min`;
	return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` :
		`${Math.round(seconds / 86400)} days`;
}

function short(n) {
	for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]])
		if (Math.abs(n) >= 10 * size)
			return `${+(n / size).toPrecision(3)}${unit}`;
	return `${+n.toPrecision(4)}`;
}

const moment = (time) => time.slice(0, 19).replace("T", " ");

// ---- what a card shows --------------------------------------------------------------------

function why(m) {
	const s = m.status, sentences = list(s && s.why).slice();

	if (m.silent_ms > SILENT_MS)
		sentences.unshift(`The daemon has not answered for ${duration(m.silent_ms / 1000)}: ` +
			"what is shown is old.");
	if (!s)
		sentences.push("Waiting for the daemon.");
	return sentences;
}

// How much the log has grown in the last seconds, as a rate; and how long it lasts at that.
function logLeft(m) {
	const samples = m.samples.slice(-10), first = samples[0], last = samples[samples.length - 1];
	const log = m.status && m.status.log;

	if (!log || samples.length < 2 || last.time === first.time)
		return "";
	const rate = (last.used - first.used) / (last.time - first.time) * 1000;

	return rate > 0 ? duration((log.bytes - log.used_bytes) / rate) : "it does not fill";
}

function facts(m) {
	const s = m.status || {}, log = s.log, out = [];
	const add = (title, text) => has(text) && text !== "" &&
		out.push(el("div", {}, el("dt", {}, title), el("dd", {}, String(text))));

	add("Mode", s.mode);
	if (s.production)
		add("Production", `${s.production.site}, host ${s.production.host || "unknown"}`);
	else if (s.sites)
		add("Production", "none");
	add("This host", s.host);
	add("Serves here", has(s.serving) ? (s.serving ? "yes" : "no") : "");
	add("Quorum", has(s.quorate) ? (s.quorate ? "yes" : "no") : "");
	if (log) {
		add("Writelog", `${log.used_percent} % of ${bytes(log.bytes)}`);
		add("Log full, at this rate, in", logLeft(m));
		add("Oldest record", duration((log.oldest_ms || 0) / 1000));
	}
	add("Disks", list(s.disks).map((d) => `${d.name} ${bytes(d.bytes)}`).join(", "));
	return out;
}

function cell(label, text, isBad) {
	const td = el("td", { "data-label": label }, has(text) ? String(text) : "");

	if (isBad)
		td.className = "bad";
	return td;
}

function siteRow(s) {
	const refresh = s.refresh && s.refresh.total_bytes > 0 ?
		` ${Math.floor(s.refresh.done_bytes * 100 / s.refresh.total_bytes)} %` : "";

	return el("tr", {},
		cell("Site", s.name), cell("Role", s.role, s.role === "unknown"),
		cell("Host", s.host || "none", !s.host),
		cell("Data", s.data, ["Outdated", "Inconsistent", "Diskless"].includes(s.data)),
		cell("Link", has(s.link) ? s.link + refresh : "", has(s.link) && s.link !== "connected"),
		cell("Lag", bytes(s.lag_bytes)),
		cell("Groups", s.lag_groups),
		cell("Age", has(s.lag_ms) ? duration(s.lag_ms / 1000) : ""));
}

// What a host does in the mirror: a witness has no site, and one host at a time has a site's
// disks open. Of one that is down it is not known.
function hostRole(s, host, site) {
	if (!host.site)
		return "witness";
	if (!host.member)
		return "";
	if (s.production && s.production.host === host.name)
		return "serving";
	return site.host === host.name ? site.role : "standby";
}

// Figures of the link from here, of the host at its other end.
function hostRow(s, host) {
	const site = list(s.sites).find((x) => x.name === host.site) || {};
	const line = site.host === host.name ? site : {}, isHere = host.name === s.host;
	const perSecond = (n) => has(n) ? `${bytes(n)}/s` : "";

	return el("tr", isHere ? { "aria-current": "true" } : {},
		cell("Host", isHere ? `${host.name} (this host)` : host.name),
		cell("Site", host.site), cell("Location", site.location),
		cell("Address", host.address), cell("Role", hostRole(s, host, site)),
		cell("State", host.member ? "up" : "down", !host.member),
		cell("Since (UTC)", has(host.since) ? moment(host.since) : ""),
		cell("Round trip", has(line.rtt_us) ? `${(line.rtt_us / 1000).toFixed(2)} ms` : ""),
		cell("Sent", perSecond(line.sent_bytes_per_s)),
		cell("Received", perSecond(line.received_bytes_per_s)));
}

function queueRow(q) {
	return el("tr", {}, el("td", {}, q.name),
		el("td", { class: "number" }, `${short(q.count)} of ${short(q.count_max)}`),
		el("td", {}, el("meter", { min: 0, max: q.count_max || 1, value: q.count,
			"aria-label": q.name })));
}

function eventItem(line) {
	const blank = line.indexOf(" "), time = line.slice(0, blank);

	return el("li", {}, el("time", { datetime: time }, moment(time)),
		line.slice(blank + 1));
}

function table(className, titles) {
	const body = el("tbody");
	const head = titles.length === 0 ? "" :
		el("thead", {}, el("tr", {}, ...titles.map((t) => el("th", { scope: "col" }, t))));

	return { body, whole: el("div", { class: "wide" },
		el("table", { class: className }, head, body)) };
}

function makeCard(m) {
	const sites = table("sites stack",
		["Site", "Role", "Host", "Data", "Link", "Lag", "Groups", "Age"]);
	const hosts = table("hosts stack", ["Host", "Site", "Location", "Address", "Role", "State",
		"Since (UTC)", "Round trip", "Sent", "Received"]);
	const queues = table("queues", []);
	const card = { why: el("div", { class: "why", role: "status" }),
		facts: el("dl", { class: "facts" }), sites: sites.body, hosts: hosts.body,
		queues: queues.body,
		events: el("ul", { class: "events", tabindex: 0, "aria-label": "Events" }) };

	card.commands = makeCommands(m);
	card.config = makeConfig(m);
	card.whole = el("article", { "aria-label": m.name }, el("h2", {}, m.name), card.why,
		card.facts, sites.whole, el("h3", {}, "Hosts"), hosts.whole, card.commands.form,
		el("details", {}, el("summary", {}, "Queues and their bounds"), queues.whole),
		card.config.whole,
		el("h3", {}, "Events (UTC)"), card.events);
	return card;
}

function showCard(m) {
	const s = m.status || {}, sentences = why(m), text = sentences.join("\n");

	if (!m.asked) {
		m.asked = true;
		takePast(m).catch(() => { /* the stream tells */ });
	}
	if (m.card.text !== text) { // not each second: it is read out
		m.card.text = text;
		m.card.why.className = `why ${sentences.length === 0 ? "good" : "bad"}`;
		m.card.why.replaceChildren(...(sentences.length === 0 ?
			["All is well."] : sentences.map((t) => el("p", {}, t))));
	}
	m.card.facts.replaceChildren(...facts(m));
	m.card.sites.replaceChildren(...list(s.sites).map(siteRow));
	m.card.hosts.replaceChildren(...list(s.nodes).map((host) => hostRow(s, host)));
	m.card.commands.form.hidden = !token;
	if (document.activeElement !== m.card.commands.select)
		fill(m.card.commands.select, commands(m).map((c) => [c.title, c.title]));
	m.card.queues.replaceChildren(...list(s.queues).map(queueRow));
	if (m.hasNewEvents)
		showEvents(m);
}

// A card is shown as soon as it comes in sight.
const sight = new IntersectionObserver((entries) => {
	for (const e of entries) {
		const m = mirrors.get(e.target.getAttribute("aria-label"));

		if (!m)
			continue;
		m.isInSight = e.isIntersecting;
		if (m.isInSight)
			showCard(m);
	}
}, { rootMargin: "50%" });

// Those in sight, and of the others some in turn: a message costs the same, however many mirrors
// there are.
function showCards() {
	const others = [];

	for (const m of mirrors.values()) {
		if (!m.card) {
			m.card = makeCard(m);
			$("mirrors").append(m.card.whole);
			sight.observe(m.card.whole);
		}
		if (m.isInSight)
			showCard(m);
		else
			others.push(m);
	}
	for (let i = 0; i < Math.min(OUT_OF_SIGHT, others.length); i++)
		showCard(others[turn++ % others.length]);
}

// The newest first: those of the log file, as it was when the page came, and those since.
function showEvents(m) {
	const now = new Set(m.events);

	m.hasNewEvents = false;
	m.card.events.replaceChildren(...m.past.filter((line) => !now.has(line)).concat(m.events)
		.reverse().map(eventItem));
}

async function takePast(m) {
	const answer = await ask(`log/${encodeURIComponent(m.name)}`);

	if (answer.ok)
		m.past = (await answer.text()).split("\n").filter((line) => line.includes(" "));
	showEvents(m);
}

// ---- commands: with a token alone ------------------------------------------------------------

// Each has a title, the request, and a sentence of what it costs.
function commands(m) {
	const s = m.status || {}, out = [], own = list(s.sites).find((x) => x.name === s.site);
	const add = (title, request, lost) => out.push({ title, request, lost });

	if (s.serving)
		add("Demote this host", { command: "demote" }, "Clients lose the disk until a host " +
			"is promoted. No acknowledged write is lost; writes that are frozen fail in the end.");
	else if (own)
		add("Promote this host", { command: "promote" }, own.may_promote ?
			`Nothing is lost: ${s.site} may be promoted without a force.` :
			`${s.site} may lack acknowledged writes: without a force the daemon refuses, ` +
			"and says what would be lost.");
	for (const { name } of list(s.sites).filter((x) => x.role === "copy")) {
		add(`Connect ${name}`, { command: "connect", site: name },
			`Nothing is lost: if ${name} has writes of its own, the daemon refuses.`);
		add(`Disconnect ${name}`, { command: "disconnect", site: name }, "Nothing is lost now. " +
			`${name} gets no new write: if production's site is lost, so are these.`);
		add(`Bypass ${name}`, { command: "bypass", on: true, site: name }, "Nothing is lost now. " +
			`${name} gets no new write until its refresh has ended: if production's site is ` +
			"lost, so are these.");
		add(`End the bypass of ${name}`, { command: "bypass", on: false, site: name },
			`Nothing is lost: ${name} is refreshed.`);
		add(`Refresh ${name}`, { command: "refresh", site: name },
			`Nothing is lost: ${name} keeps its image until the refresh has ended.`);
	}
	for (const [mode, lost] of [["sync", "Nothing is lost: writes wait for the copies."],
		["near-sync", "If production's site is lost, so are its newest writes, up to the bound."],
		["async", "If production's site is lost, so are the writes that no copy has yet."]])
		if (s.mode !== mode)
			add(`Mode ${mode}`, { command: "mode", mode }, lost);
	return out;
}

function confirm(m, command) {
	$("confirm-title").textContent = `${command.title}: ${m.name}`;
	$("confirm-lost").textContent = command.lost;
	$("confirm-said").textContent = "";
	$("confirm-do").textContent = command.title;
	$("confirm-do").hidden = false;
	$("confirm-no").textContent = "Cancel";
	question++;
	$("confirm-do").onclick = () => order(m, command);
	$("confirm").showModal();
	$("confirm-no").focus();
}

// A daemon's own refusal that names what a force would lose: only then is one offered.
const namesLoss = (reply) =>
	/use --force: then |--force` goes on without it/.test(reply.text || "");

// The answer to a request about a mirror, whoever gives it.
async function post(m, request) {
	try {
		const answer = await fetch("action", { method: "POST", cache: "no-store",
			headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
			body: JSON.stringify({ name: m.name, ...request }) });

		return answer.ok ? await answer.json() : { answered: false, text: await answer.text() };
	} catch {
		return { answered: false,
			text: "The watcher does not answer: it may be done, or not." };
	}
}

// An answer that comes after another question was asked is not shown: it is none to that.
async function order(m, command) {
	const number = question;

	$("confirm-do").hidden = true;
	$("confirm-said").textContent = "under way";
	const reply = await post(m, command.request);

	if (command.after)
		command.after(reply);
	if (number !== question)
		return;
	const said = reply.exit === 0 ? "Done" : reply.answered === false ? "Not answered" : "Refused";

	$("confirm-said").textContent = `${said}: ${reply.text || ""}`;
	$("confirm-no").textContent = "Close";
	if (said !== "Refused" || command.request.command !== "promote" || command.request.force ||
		!namesLoss(reply))
		return;
	$("confirm-lost").textContent = "By force, acknowledged writes may be lost: see below.";
	$("confirm-do").textContent = "Promote by force";
	$("confirm-do").hidden = false;
	$("confirm-do").onclick = () =>
		order(m, { title: command.title, request: { command: "promote", force: true } });
}

function makeCommands(m) {
	const select = el("select"), button = el("button", {}, "Go on \u2026");
	const form = el("form", {}, el("label", {}, "Command ", select), button);

	form.addEventListener("submit", (e) => {
		e.preventDefault();
		const command = commands(m).find((c) => c.title === select.value);

		if (command)
			confirm(m, command);
	});
	return { form, select };
}

// ---- the stream ------------------------------------------------------------------------------

function showForm() {
	if (document.activeElement !== $("add-mirror"))
		fill($("add-mirror"), [...mirrors.keys()].map((n) => [n, n]));
	const m = mirrors.get($("add-mirror").value);

	if (m && document.activeElement !== $("add-figure"))
		fill($("add-figure"), figures(m));
}

// A message has of each mirror what is new since the one before; the first one has all.
function take(message) {
	const names = new Set(message.map((m) => m.name));

	lastNews = Date.now();
	for (const [name, m] of mirrors)
		if (!names.has(name)) {
			mirrors.delete(name);
			if (m.card)
				m.card.whole.remove();
		}
	for (const { events, ...news } of message) {
		const m = mirrors.get(news.name) || { samples: [], rows: [], past: [], events: [] };

		Object.assign(m, news);
		mirrors.set(m.name, m);
		if ("status" in news)
			takeSample(m);
		if (events)
			takeEvents(m, events);
	}
}

function takeEvents(m, events) {
	const known = new Set(m.events);

	m.events = m.events.concat(events.filter((line) => !known.has(line))).slice(-EVENTS_MAX);
	m.hasNewEvents = true;
}

function show() {
	showCards();
	const hosts = new Set([...mirrors.values()].map((m) => m.status && m.status.host).filter(has));

	$("host").textContent = hosts.size > 0 ? `on ${[...hosts].join(", ")}` : "";
	firstCharts();
	showForm();
	showCharts();
	for (const name of new Set(charts.map((c) => c.mirror)))
		takeRows(mirrors.get(name)).catch(() => { /* the stream tells */ });
	showNews();
}

function showNews() {
	const age = Date.now() - lastNews, isBad = failure !== "" || age > SILENT_MS;

	$("news").className = isBad ? "bad why" : "";
	const text = failure !== "" ? failure : lastNews === 0 ? "connecting" : isBad ?
		`No news for ${duration(age / 1000)}: what is shown is old.` : "live";

	if ($("news").textContent !== text)
		$("news").textContent = text;
}

function ask(path) {
	return fetch(path, { cache: "no-store",
		headers: token ? { Authorization: `Bearer ${token}` } : {} });
}

async function read(answer) {
	const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
	let text = "";

	for (;;) {
		const { done, value } = await reader.read();

		if (done)
			return;
		const parts = (text + value).split("\n\n");

		text = parts.pop();
		for (const part of parts)
			take(JSON.parse(part.replace(/^data: /, "")));
		if (parts.length > 0)
			show();
	}
}

function wantToken(said) {
	$("token").hidden = false;
	$("token-said").textContent = said;
	$("token-text").focus();
}

async function follow() {
	for (;;) {
		try {
			const answer = await ask("events");

			if (answer.status === 401) {
				wantToken(token ? "Another token is asked for." : "");
				failure = "A token is needed.";
				showNews();
				return;
			}
			failure = answer.ok ? "" : await answer.text();
			if (answer.ok)
				await read(answer);
			failure = failure || "The watcher has closed the connection.";
		} catch {
			failure = "The watcher does not answer: what is shown is old.";
		}
		showNews();
		await new Promise((done) => setTimeout(done, 1000));
	}
}

function begin() {
	token = sessionStorage.getItem("token");
	charts = keptCharts();
	$("token").addEventListener("submit", (e) => {
		e.preventDefault();
		token = $("token-text").value;
		sessionStorage.setItem("token", token);
		$("token").hidden = true;
		follow();
	});
	$("add").addEventListener("submit", (e) => {
		e.preventDefault();
		charts.push({ mirror: $("add-mirror").value, key: $("add-figure").value });
		showCharts();
		keepCharts();
	});
	$("add-mirror").addEventListener("change", showForm);
	$("range").addEventListener("change", showCharts);
	$("print").addEventListener("click", () => window.print());
	window.addEventListener("beforeprint", () => mirrors.forEach(showCard));
	$("confirm-no").addEventListener("click", () => $("confirm").close());
	setInterval(showNews, 500);
	follow();
}

begin();
