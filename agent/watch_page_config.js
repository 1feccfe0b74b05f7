// watch_page_config.js - the configuration of a mirror on the page of hamirror-watch: its file,
// settings and throttles. What is being edited is kept in the mirror's `edit`; the view is made
// anew from that and from the file as it was read.
"use strict";

const TESTS = ["netkbps", "pctcpu", "pctwl", "link", "lag-ms", "lag-bytes"];
const OPERATORS = [">", ">=", "<", "<=", "==", "!=", "rises", "falls"];
const ACTIONS_MAX = 16;
const UNITS = { "lease": "ms", "copy-timeout": "ms", "frozen-timeout": "ms", "demote-drain": "ms",
	"device-timeout": "ms", "refresh-retry": "ms", "throttle-period": "ms", "bypass-at": "%" };
const EXEC_SECONDS = 30, PERIOD_MS = 10000; // where the file says nothing

// The fields of each action: a key (its own one first), a title, and the words that it may be.
const VERBS = {
	"sleep-set": [["sleep-set", "Microseconds"]], "sleep-inc": [["sleep-inc", "Microseconds"]],
	"sleep-dec": [["sleep-dec", "Microseconds"]], "delay-set": [["delay-set", "Microseconds"]],
	"delay-inc": [["delay-inc", "Microseconds"]], "delay-dec": [["delay-dec", "Microseconds"]],
	mode: [["mode", "Mode", ["sync", "near-sync", "async"]], ["records", "Records"],
		["ms", "Milliseconds"]],
	log: [["log", "Text"]], console: [["console", "Text"]],
	mail: [["mail", "Text"], ["to", "Address"]],
	exec: [["exec", "Command"], ["seconds", `Seconds (${EXEC_SECONDS})`]],
};

// ---- values as the file has them ------------------------------------------------------------

function size(n) {
	for (const [unit, one] of [["G", 2 ** 30], ["M", 2 ** 20], ["K", 2 ** 10]])
		if (n > 0 && n % one === 0)
			return `${n / one}${unit}`;
	return String(n);
}

const clock = (text) => has(text) ? text.replace(/^(\d\d:\d\d):00$/, "$1") : "";

function flow(members) {
	const given = Object.entries(members).filter(([, value]) => has(value) && value !== "");

	return given.length === 0 ? "" : `{${given.map(([k, v]) => `${k}: ${v}`).join(", ")}}`;
}

function bandwidth(t) {
	const quoted = (time) => has(time) ? `"${clock(time)}"` : "";

	return !t || !has(t.bandwidth) ? "" : flow({ max: size(t.bandwidth),
		from: quoted(t.bandwidth_from), to: quoted(t.bandwidth_to) });
}

// Key and value of each; "" is none, or what hamirror finds itself.
function settings(c) {
	const t = c.throttles;

	return [["mode", c.mode], ["near-sync", flow(c.near_sync)], ["confirm", c.confirm],
		["failover", flow({ "lag-bytes": has(c.failover.lag_bytes) ?
			size(c.failover.lag_bytes) : null, "lag-ms": c.failover.lag_ms })],
		["cluster", c.cluster], ["port", c.port], ["lease", c.lease_ms],
		["order", c.order], ["attach", c.attach], ["unprotected", c.unprotected],
		["on-no-quorum", c.on_no_quorum], ["on-copy-loss", c.on_copy_loss],
		["copy-timeout", c.copy_timeout_ms], ["frozen-timeout", c.frozen_timeout_ms],
		["demote-drain", c.demote_drain_ms], ["device-timeout", c.device_timeout_ms],
		["bypass-at", c.bypass_at_percent], ["refresh-retry", c.refresh_retry_ms],
		["tasks", flow({ ranges: c.tasks.ranges, "per-range": c.tasks.per_range })],
		["memory", size(c.memory_bytes)], ["spin", c.spin_us === 0 ? "off" : c.spin_us],
		["backup-order", c.backup_order.length > 0 ? `[${c.backup_order.join(", ")}]` : ""],
		["bandwidth", bandwidth(t)], ["throttle-period", t ? t.period_ms : PERIOD_MS]]
		.map(([key, value]) => [key, has(value) ? String(value) : ""]);
}

const isGiven = (file, key) => new RegExp(`^${key}:(\\s|$)`, "m").test(file.text);
const throttles = (m) => list(m.file.config && m.file.config.throttles &&
	m.file.config.throttles.list);

// ---- a throttle as it is edited: all values are texts ---------------------------------------

function valueText(test, value) {
	return test === "link" ? (value ? "up" : "down") :
		test === "lag-bytes" ? size(value) : String(value);
}

function actionDraft(action) {
	const verb = Object.keys(VERBS).find((v) => v in action), value = {};

	for (const [key] of VERBS[verb])
		value[key] = has(action[key]) ? String(action[key]) : "";
	if (value.seconds === String(EXEC_SECONDS))
		value.seconds = "";
	return { verb, value };
}

const newAction = () => ({ verb: "log", value: { log: "" } });
const newThrottle = () => ({ name: "", test: "pctwl", operator: ">=", value: "", from: "", to: "",
	actions: [newAction()] });

function throttleDraft(t) {
	return { name: t.name.includes("[") ? "" : t.name, test: t.test, operator: t.operator,
		value: valueText(t.test, t.value), from: clock(t.from), to: clock(t.to),
		actions: t.actions.map(actionDraft) };
}

// What is empty and may be left out is left out.
function throttleItem(draft) {
	const item = {};

	for (const key of ["name", "test", "operator", "value", "from", "to"])
		if (draft[key] !== "" || key === "value")
			item[key] = draft[key];
	item.actions = draft.actions.map(({ verb, value }) => Object.fromEntries(
		VERBS[verb].map(([key]) => [key, value[key]])
			.filter(([key, text]) => key === verb || text !== "")));
	return item;
}

function throttleText(t) {
	const d = throttleDraft(t);
	const when = d.from !== "" ? `, ${d.from} to ${d.to}` : "";

	return `${d.test} ${d.operator} ${d.value}${when}: ` + d.actions.map(({ verb, value }) =>
		VERBS[verb].map(([key]) => value[key] === "" ? "" :
			key === "to" || key === verb ? value[key] : `${value[key]} ${key}`)
			.filter((text) => text !== "").join(", ").replace(/^/, `${verb} `)).join("; ");
}

// ---- changes --------------------------------------------------------------------------------

async function readConfig(m) {
	const answer = await ask(`config/${encodeURIComponent(m.name)}`);

	if (!answer.ok)
		throw new Error(await answer.text());
	m.file = await answer.json();
	m.edit = {};
}

// A view of the file as it is now; what was being edited is given up.
async function showAgain(m, key) {
	try {
		await readConfig(m);
		showConfig(m, key);
	} catch (error) {
		m.card.config.body.replaceChildren(el("p", { class: "bad", role: "alert" },
			`The file is not shown: ${error.message}`));
	}
}

// `where` is the part of the view that shows the answer.
async function change(m, where, request) {
	m.reply = { where, text: "under way" };
	showConfig(m);
	m.reply = Object.assign({ where },
		await post(m, { command: "config", was: m.file.text, ...request }));
	if (m.reply.exit === 0)
		await showAgain(m, "reply");
	else
		showConfig(m, "reply");
}

// Of the throttle at `index`, and of its action; -1: of the throttle itself.
function errorsAt(m, index, action) {
	const place = `throttles[${index}]`;

	return list(m.reply && m.reply.errors).filter((e) => e.text.startsWith(place))
		.map((e) => e.text.slice(place.length).replace(/^[.:] ?/, ""))
		.filter((text) => action < 0 ? !text.startsWith("actions[") :
			text.startsWith(`actions[${action}]`));
}

const errorList = (texts) => texts.length === 0 ? "" :
	el("ul", { class: "errors" }, ...texts.map((text) => el("li", {}, text)));

function replyView(m, where) {
	const r = m.reply;

	if (!r || r.where !== where)
		return "";
	const isDone = r.exit === 0, isBad = !isDone && r.text !== "under way";
	const view = el("div", { class: "reply", role: "status", tabindex: -1, "data-key": "reply" },
		el("p", { class: isDone ? "good" : isBad ? "bad" : "" },
			`${isDone ? "Done: " : isBad ? "Refused: " : ""}${r.text}`),
		errorList(list(r.errors) // those of a throttle stand beside it
			.filter((e) => where === "file" || !e.text.startsWith("throttles["))
			.map((e) => where === "file" && e.line > 0 ? `line ${e.line}: ${e.text}` : e.text)),
		...list(r.needs).concat(isDone ? list(r.warnings).map((w) => `Warning: ${w.text}`) : [])
			.map((text) => el("p", {}, text)));

	if (list(r.copy).length > 0)
		view.append(el("pre", { tabindex: 0, "aria-label": "Commands to copy the file" },
			r.copy.join("\n")));
	return view;
}

// ---- pieces of forms ------------------------------------------------------------------------

function field(title, control) {
	return el("label", {}, title, control);
}

function input(key, value, set, attributes) {
	const e = el("input", { "data-key": key, autocomplete: "off", spellcheck: "false",
		...attributes });

	e.value = value;
	e.addEventListener("input", () => set(e.value));
	return e;
}

function choice(key, words, value, set) {
	const e = el("select", { "data-key": key });

	fill(e, words.map((word) => [word, word]), value);
	e.addEventListener("change", () => set(e.value));
	return e;
}

function button(key, title, act, attributes) {
	const e = el("button", { type: "button", "data-key": key, ...attributes }, title);

	e.addEventListener("click", act);
	return e;
}

function form(className, act, ...children) {
	const e = el("form", { class: className }, ...children);

	e.addEventListener("submit", (event) => {
		event.preventDefault();
		act();
	});
	return e;
}

// ---- the editor of a throttle ---------------------------------------------------------------

function actionItem(m, draft, i) {
	const action = draft.actions[i], last = draft.actions.length - 1, number = i + 1;
	const move = (to, key) => {
		draft.actions.splice(to, 0, ...draft.actions.splice(i, 1));
		showConfig(m, to === 0 || to === last ? `verb${to}` : `${key}${to}`);
	};
	const verb = choice(`verb${i}`, Object.keys(VERBS), action.verb, (value) => {
		draft.actions[i] = actionDraft({ [value]: VERBS[value][0][2] ? "async" : "" });
		showConfig(m, `verb${i}`);
	});
	const off = (isOff) => isOff ? { disabled: "" } : {};

	return el("li", {}, el("div", { class: "row" }, field(`Action ${number}`, verb),
		...VERBS[action.verb].map(([key, title, words]) => {
			const set = (value) => { action.value[key] = value; };
			const isText = ["log", "console", "mail", "exec"].includes(key);

			return field(title, words ? choice(`${key}${i}`, words, action.value[key], set) :
				input(`${key}${i}`, action.value[key], set, isText ? { class: "text" } : {}));
		}),
		el("span", { class: "row" },
			button(`up${i}`, "\u2191", () => move(i - 1, "up"),
				{ "aria-label": `Move action ${number} up`, ...off(i === 0) }),
			button(`down${i}`, "\u2193", () => move(i + 1, "down"),
				{ "aria-label": `Move action ${number} down`, ...off(i === last) }),
			button(`remove${i}`, "Remove", () => {
				draft.actions.splice(i, 1);
				showConfig(m, "add-action");
			}, { "aria-label": `Remove action ${number}` }))),
		errorList(errorsAt(m, m.edit.index, i)));
}

function throttleEditor(m) {
	const { index, draft } = m.edit, set = (key) => (value) => { draft[key] = value; };
	const isFull = draft.actions.length >= ACTIONS_MAX;
	const value = draft.test === "link" ?
		choice("value", ["up", "down"], draft.value, set("value")) :
		input("value", draft.value, set("value"), { size: 10 });
	const actions = el("ol", { class: "actions" },
		...draft.actions.map((_, i) => actionItem(m, draft, i)));

	return form("throttle",
		() => change(m, "throttle", { throttle: index, item: throttleItem(draft) }),
		el("div", { class: "row" },
			field("Name, if wanted", input("name", draft.name, set("name"), { size: 14 })),
			field("Test", choice("test", TESTS, draft.test, (test) => {
				const isOther = (draft.test === "link") !== (test === "link");

				draft.test = test;
				draft.value = !isOther ? draft.value : test === "link" ? "up" : "";
				showConfig(m, "test");
			})),
			field("Operator", choice("operator", OPERATORS, draft.operator, set("operator"))),
			field("Value", value),
			field("From", input("from", draft.from, set("from"),
				{ size: 8, placeholder: "always" })),
			field("To", input("to", draft.to, set("to"), { size: 8, placeholder: "always" }))),
		actions,
		el("div", { class: "row" },
			button("add-action", `Add action (${draft.actions.length} of ${ACTIONS_MAX})`, () => {
				draft.actions.push(newAction());
				showConfig(m, `verb${draft.actions.length - 1}`);
			}, isFull ? { disabled: "" } : {})),
		errorList(errorsAt(m, index, -1)), replyView(m, "throttle"),
		el("div", { class: "row" }, el("button", { "data-key": "commit" }, "Commit"),
			button("reset", "Reset", () => resetThrottle(m)),
			button("close", "Close", () => {
				m.edit = {};
				m.reply = null;
				showConfig(m, index < throttles(m).length ? `change${index}` : "new");
			})));
}

function editThrottle(m, index) {
	const t = throttles(m)[index];

	m.reply = null;
	m.edit = { index, draft: t ? throttleDraft(t) : newThrottle() };
	showConfig(m, "name");
}

// Back to what the file says, as it is now.
async function resetThrottle(m) {
	const { index } = m.edit, isNew = index >= throttles(m).length;

	m.reply = null;
	await showAgain(m, "new");
	if (isNew || index < throttles(m).length)
		editThrottle(m, isNew ? throttles(m).length : index);
}

function deleteThrottle(m, index) {
	const { name } = throttles(m)[index];

	confirm(m, { title: `Delete throttle ${name}`,
		lost: "No write is lost. Its test is made no more; sleep, delay and crossings of all " +
			"throttles begin anew.",
		request: { command: "config", was: m.file.text, throttle: index, item: null },
		after: (reply) => {
			m.reply = { where: "throttles", ...reply };
			$("confirm").addEventListener("close", () => focusKey(m, "new"), { once: true });
			showAgain(m);
		} });
}

function throttleRow(m, t, i) {
	const isEdited = m.edit.index === i;
	const row = el("li", {}, el("div", { class: "row" },
		el("p", { class: "text" }, el("strong", {}, t.name), ` ${throttleText(t)}`)));

	if (token && !isEdited)
		row.firstChild.append(el("span", { class: "row" },
			button(`change${i}`, "Change", () => editThrottle(m, i),
				{ "aria-label": `Change throttle ${t.name}` }),
			button(`delete${i}`, "Delete", () => deleteThrottle(m, i),
				{ "aria-label": `Delete throttle ${t.name}` })));
	row.append(isEdited ? throttleEditor(m) : errorList(errorsAt(m, i, -1)));
	return row;
}

function throttlesPart(m) {
	const all = throttles(m), rows = all.map((t, i) => throttleRow(m, t, i));

	if (m.edit.index >= all.length)
		rows.push(el("li", {}, throttleEditor(m)));
	return [el("h3", {}, "Throttles"),
		rows.length === 0 ? el("p", {}, "There are none.") :
			el("ul", { class: "throttles" }, ...rows),
		replyView(m, "throttles"), m.reply && m.edit.index === undefined ?
			replyView(m, "throttle") : "",
		!token ? "" : el("p", {},
			button("new", "New throttle", () => editThrottle(m, all.length)))];
}

// ---- the rest of the view -------------------------------------------------------------------

// To the lines of `key` in the file.
function editAt(m, key) {
	const file = m.card.config.body.querySelector('[data-key="file"]');
	const at = Math.max(0, file.value.search(new RegExp(`^${key}:`, "m")));

	file.closest("details").open = true;
	file.focus();
	file.setSelectionRange(at, at);
	file.scrollTop = file.value.slice(0, at).split("\n").length * 18 - 60;
}

function titled(m, title, key) {
	return el("h3", {}, title, " ", token ? button(`edit-${key}`, "Edit in the file",
		() => editAt(m, key), { "aria-label": `Edit ${title.toLowerCase()} in the file` }) : "");
}

function partsPart(m) {
	const c = m.file.config, sites = table("stack", ["Site", "Hosts", "Writelog", "Disks"]);
	const nodes = table("stack", ["Node", "Address", "Site"]);

	sites.body.append(...c.sites.map((s) => el("tr", {}, cell("Site", s.name),
		cell("Hosts", s.hosts.join(", ")), cell("Writelog", s.writelog),
		cell("Disks", s.disks.map((d) => `${d.name}: ${d.path}`).join(", ")))));
	nodes.body.append(...c.nodes.map((n) => el("tr", {}, cell("Node", n.name),
		cell("Address", `${n.address}, port ${n.port}`), cell("Site", n.site || "witness"))));
	return [titled(m, "Sites, disks and writelogs", "sites"), sites.whole,
		titled(m, "Nodes", "addresses"), nodes.whole];
}

function settingsPart(m) {
	const all = settings(m.file.config);
	const none = (key) => key === "lease" && m.file.config.cluster !== "none" ?
		"by Corosync's times" : "none";
	const grid = el("dl", { class: "facts settings" }, ...all.map(([key, value]) =>
		el("div", {}, el("dt", {}, key), el("dd", {}, value || none(key),
			el("small", {}, value && UNITS[key] ? ` ${UNITS[key]}` : "",
				isGiven(m.file, key) ? "" : " by default")))));
	const [first, value] = m.edit.setting || all[0];
	const text = input("setting-value", value, (v) => { m.edit.setting[1] = v; });
	const key = choice("setting", all.map(([k]) => k), first, (k) => {
		m.edit.setting = [k, all.find((s) => s[0] === k)[1]];
		text.value = m.edit.setting[1];
	});

	m.edit.setting = [first, value];
	return [el("h3", {}, "Settings"), grid, !token ? "" : form("", () =>
		change(m, "setting", { key: m.edit.setting[0], value: m.edit.setting[1] }),
		field("Setting", key), field("Value, as in the file", text),
		el("button", { "data-key": "set" }, "Write")), replyView(m, "setting")];
}

function filePart(m) {
	const { text } = m.file, isOpen = m.edit.text !== undefined || !m.file.config;
	const whole = el("details", isOpen || (m.reply && m.reply.where === "file") ? { open: "" } : {},
		el("summary", {}, "The file"));

	if (!token || !has(text)) {
		whole.append(el("pre", { tabindex: 0, "aria-label": "The file" }, has(text) ? text : ""));
		return [whole];
	}
	const area = el("textarea", { "data-key": "file", rows: 20, spellcheck: "false",
		wrap: "off", "aria-label": "The file" });

	area.value = m.edit.text !== undefined ? m.edit.text : text;
	area.addEventListener("input", () => { m.edit.text = area.value; });
	whole.append(form("", () => change(m, "file", { text: area.value }), area,
		el("div", { class: "row" }, el("button", { "data-key": "write" }, "Write"),
			button("reset-file", "Reset", () => {
				m.reply = null;
				showAgain(m);
			}))), replyView(m, "file"));
	return [whole];
}

function focusKey(m, key) {
	const e = m.card.config.body.querySelector(`[data-key="${key}"]`);

	if (e)
		e.focus();
}

function showConfig(m, key) {
	const { file } = m;

	m.card.config.body.replaceChildren(
		el("p", { class: "path" }, file.file, " ", button("read", "Read it again", () => {
			m.reply = null;
			showAgain(m, "read");
		})),
		token ? "" : el("p", { class: "faint" }, "It is changed here with --token only."),
		errorList(file.errors.map((e) => e.line > 0 ? `line ${e.line}: ${e.text}` : e.text)),
		...(file.config ? [...partsPart(m), ...settingsPart(m), ...throttlesPart(m)] : []),
		...filePart(m));
	if (key)
		focusKey(m, key);
}

function makeConfig(m) {
	const body = el("div", { class: "config" });
	const whole = el("details", {}, el("summary", {}, "Configuration"), body);

	whole.addEventListener("toggle", () => {
		m.reply = null;
		if (whole.open)
			showAgain(m);
	});
	return { whole, body };
}
