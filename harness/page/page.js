// Everything beside the timeline, from what Python has worked out; then the timeline.

const data = JSON.parse($("data").textContent);
const { facts } = data;
const trace = data.spans.length ? new Trace($("trace"), data.spans, facts, data.agents) : null;

const SHOWN_AT_FIRST = 40;

function head() {
  const begun = new Date(facts.created_at).toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" });
  $("eyebrow").append(
    badge(facts.status), h("span", {}, "Session ", h("code", { title: facts.session_id }, facts.session_id.slice(0, 8)), copyButton(facts.session_id)),
    h("span", {}, `flow ${facts.flow}`), h("span", {}, facts.upstream),
    facts.sources ? h("span", {}, plural(facts.sources, "source")) : "", h("span", {}, begun));
  const [first, ...more] = facts.questions;
  $("questions").append(h("h1", {}, first ?? "A session without a question"), ...more.map((each) => h("p", { class: "follow-up" }, each)));
  $("problem").hidden = !facts.problem;
  $("problem").textContent = facts.problem ?? "";
  $("made").textContent = `Session ${facts.session_id}, as it stood on ${new Date(facts.made_at).toLocaleString()}. This page holds all it shows and needs no network.`;
}

function stats() {
  const { usage } = facts;
  const idle = trace ? idleTime(trace.pieces) : 0;
  const failing = data.citations.filter((each) => each.verdict === "fails").length;
  const unchecked = data.citations.some((each) => each.verdict === "unchecked");
  const parts = [
    ["read", "cache read", usage.cache_read_input_tokens], ["written", "cache written", usage.cache_creation_input_tokens],
    ["fresh", "input", usage.input_tokens], ["out", "output", usage.output_tokens],
  ];
  const sum = parts.reduce((all, [, , number]) => all + number, 0);
  const split = h("span", { class: "split", "aria-hidden": "true" }, parts.map(([name, , number]) => {
    const part = h("i", { class: name });
    part.style.flexGrow = number;
    return part;
  }));
  const stat = (name, value, ...below) => h("div", {}, h("dt", {}, name), h("dd", {}, value, h("small", {}, ...below)));
  const others = [...new Set(data.agents.map((agent) => agent.status))].filter((status) => status !== "done");
  const undone = others.map((status) => `${data.agents.filter((agent) => agent.status === status).length} ${said(status)}`).join(", ");
  $("stats").append(
    stat("Duration", took(facts.duration_ms), idle ? `${took(facts.duration_ms - idle)} at work` : ""),
    stat("Cost", dollars(facts.cost_usd), facts.cost_usd === null ? "a price is not known" : "at list prices"),
    h("div", { class: "wide-stat" }, h("dt", {}, "Tokens"), h("dd", {}, tokens(sum), split,
      h("small", { class: "legend" }, parts.map(([name, words, number]) => h("span", { class: name }, `${tokens(number)} ${words}`))))),
    stat("Model calls", count(usage.model_calls), `${plural(usage.attempts, "attempt")}${usage.unattributed_calls ? `, ${usage.unattributed_calls} unattributed` : ""}`),
    stat("Agent runs", count(data.agents.length), undone || (data.agents.length ? "all done" : "")),
    stat("Kills survived", count(facts.kills), ""),
    data.citations.length
      ? stat("Citations", `${data.citations.length - failing} / ${data.citations.length}`, unchecked ? "not checked" : failing ? `${failing} ${failing === 1 ? "does" : "do"} not hold` : "all hold") : "");
}

function sources() {
  const verdicts = { holds: ["ok", "holds"], fails: ["error", "does not hold"], unchecked: ["open", "not checked"] };
  if (!document.querySelector(".prose").childElementCount) document.querySelector(".prose").append(h("p", { class: "none" }, "There is no report yet."));
  if (!data.citations.length) return $("sources").remove();
  const seen = new Set();
  const list = data.citations.map((each) => {
    const [status, words] = verdicts[each.verdict];
    const isLink = /^https?:\/\//i.test(each.locator);
    const id = seen.has(each.number) ? null : `source-${each.number}`;
    seen.add(each.number);
    return h("li", { id, class: `source is-${each.verdict}`, tabindex: id ? "-1" : null },
      h("span", { class: "number" }, each.number),
      h("div", {},
        h("p", { class: "title" }, each.title || each.source || "No source", each.title ? h("small", {}, each.source) : null),
        each.locator && each.locator !== each.title
          ? h("p", { class: "locator" }, isLink ? h("a", { href: each.locator, target: "_blank", rel: "noopener noreferrer" }, each.locator) : each.locator) : null,
        each.quote ? h("blockquote", {}, `“${each.quote}”`) : null,
        h("p", { class: `verdict is-${status}` }, h("span", { "aria-hidden": "true" }, SIGNS[status]), each.reason ?? words)));
  });
  $("sources").append(h("h3", {}, "Sources"), h("ol", {}, list));
}

// In a column all amounts have as many places, so that they can be compared.
const places = facts.cost_usd !== null && facts.cost_usd < 10 ? 4 : 2;
const money = (amount) => h("td", { class: "number" }, amount === null ? "–" : `$${amount.toFixed(places)}`);
const cell = (number) => h("td", { class: "number", title: count(number) }, number ? tokens(number) : "–");
const usageCells = (usage) => [usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens, usage.output_tokens].map(cell);
const heading = (...names) => h("thead", {}, h("tr", {}, names.map((name, place) => h("th", { scope: "col", class: place ? "number" : "" }, name))));

function agents() {
  if (!data.agents.length) return $("agent-table").append(h("p", { class: "none" }, "No agent run has been created yet."));
  const rows = data.agents.map((agent) => {
    const about = h("span", { class: "about" }, agent.about);
    const extra = [agent.attempts > 1 ? plural(agent.attempts, "attempt") : "", agent.fixes ? plural(agent.fixes, "fix").replace("fixs", "fixes") : ""].filter(Boolean);
    const name = h("td", { class: "agent" },
      trace ? h("button", { type: "button", class: "link", title: "Show its spans", onclick: () => { trace.only(agent.id); location.hash = "#timeline"; } }, agent.label) : h("b", {}, agent.label),
      extra.length ? h("small", {}, extra.join(", ")) : null, about,
      agent.problem ? h("span", { class: "problem" }, agent.problem) : null);
    name.style.setProperty("--depth", agent.depth);
    return h("tr", {}, name, h("td", {}, badge(agent.status)), h("td", { class: "number" }, agent.steps), usageCells(agent.usage), money(agent.cost_usd), h("td", { class: "number" }, took(agent.work_ms)));
  });
  const columns = ["Agent run", "Status", "Steps", "Input", "Cache read", "Cache written", "Output", "Cost", "At work"];
  const table = h("table", { class: "agents" }, heading(...columns), h("tbody", {}, rows));
  table.querySelector("th:nth-child(2)").className = "";
  $("agent-table").append(table);
}

function shares(into, counted, rows) {
  const all = facts.usage;
  const most = Math.max(...rows.map((row) => row.cost_usd ?? 0), 0);
  const body = rows.map((row) => {
    const bar = h("i", { class: "share" });
    bar.style.width = most && row.cost_usd ? `${(100 * row.cost_usd) / most}%` : "0";
    return h("tr", {}, h("th", { scope: "row" }, row.name, bar), h("td", { class: "number" }, count(row.count)), usageCells(row.usage), money(row.cost_usd));
  });
  const number = rows.reduce((sum, row) => sum + row.count, 0);
  into.append(rows.length
    ? h("table", {}, heading(counted[0], counted[1], "Input", "Cache read", "Cache written", "Output", "Cost"), h("tbody", {}, body),
        h("tfoot", {}, h("tr", {}, h("th", { scope: "row" }, "Session"), h("td", { class: "number" }, count(number)), usageCells(all), money(facts.cost_usd))))
    : h("p", { class: "none" }, "No model has been called yet."));
}

/** Put elements into a place, the first of them at once and all of them when they are asked for. */
function gradually(into, items, make, noun) {
  into.append(...items.slice(0, SHOWN_AT_FIRST).map(make));
  if (items.length <= SHOWN_AT_FIRST) return;
  const rest = h("button", { type: "button", class: "more", onclick: () => {
    into.append(...items.slice(SHOWN_AT_FIRST).map(make));
    rest.remove();
  } }, `Show all ${plural(items.length, noun)}`);
  (into.closest(".scroll") ?? into).after(rest);
}

function messages() {
  const list = $("message-list");
  if (!data.messages.length) return list.append(h("p", { class: "none" }, "No messages have been sent yet."));
  gradually(list, data.messages, (each) => {
    const preview = JSON.stringify(each.payload) ?? "";
    const opened = (event) => {
      if (event.target.open && event.target.childElementCount === 1) event.target.append(pretty(each.payload));
    };
    return h("details", { class: "message", ontoggle: opened }, h("summary", {},
      h("time", {}, clock(each.at)), h("span", { class: `tag is-${each.kind}` }, each.kind),
      h("span", { class: "way" }, each.source, h("span", { "aria-label": "to" }, " → "), each.destination),
      h("span", { class: "preview" }, preview.slice(0, 240))));
  }, "message");
}

function checkpoints() {
  if (!data.checkpoints.length) return $("checkpoint-table").append(h("p", { class: "none" }, "There is no checkpoint yet."));
  const body = h("tbody");
  const line = (words, seq) => [h("code", {}, `${words} --at ${seq}`), copyButton(`${words} --at ${seq}`)];
  const both = (seq) => h("div", { class: "commands" }, line(facts.fork, seq), line(facts.resume, seq));
  const table = h("table", { class: "checkpoints" },
    h("thead", {}, h("tr", {}, ["Event", "At", "Agent run", "Before", "Command"].map((name, place) => h("th", { scope: "col", class: place < 2 ? "number" : "" }, name)))), body);
  $("checkpoint-table").append(table);
  // The newest first: it is those that a person goes back to.
  gradually(body, data.checkpoints.toReversed(), (point) => h("tr", {},
    h("td", { class: "number" }, point.span ? h("a", { href: `#span-${point.span}` }, point.seq) : point.seq),
    h("td", { class: "number" }, clock(point.at)), h("td", {}, point.agent),
    h("td", {}, h("span", { class: `kind-${point.kind}` }, h("i", { class: "dot" })), point.kind === "tool" ? toolName(point.what) : point.what),
    h("td", {}, both(point.seq))), "checkpoint");
}

/** Go where the address says: to a span, or to a source that is looked up from the text. */
function follow() {
  const [, id] = location.hash.match(/^#span-([0-9a-f]+)$/) ?? [];
  if (id && trace?.select(id, { reveal: true })) $("timeline").scrollIntoView();
}

head();
stats();
sources();
agents();
shares($("by-agent"), ["Agent", "Runs"], data.by_agent);
shares($("by-model"), ["Model", "Calls"], data.by_model);
messages();
checkpoints();
for (const note of data.notes) $("trace").append(h("p", { class: "callout" }, note));
addEventListener("hashchange", follow);
// A link to where the address is already changes nothing that could be heard.
addEventListener("click", (event) => { if (event.target.closest("a[href^='#span-']")?.hash === location.hash) follow(); });
follow();
