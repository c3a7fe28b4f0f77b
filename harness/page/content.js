// What went into a step and came out of it, and all else that is known of it: the pane beside the timeline.

let parsedContents = null;

/** The spans' attributes by span id; a large text, so it is parsed when it is first asked for. */
function contents() {
  parsedContents ??= JSON.parse($("contents").textContent);
  return parsedContents;
}

/** Write a value as indented JSON; a long text keeps its lines. */
function pretty(value) {
  const into = h("code");
  const put = (text, kind) => into.append(kind ? h("span", { class: kind }, text) : text);
  const write = (each, pad) => {
    if (Array.isArray(each) || (each !== null && typeof each === "object")) {
      const list = Array.isArray(each);
      const entries = Object.entries(each);
      if (!entries.length) return put(list ? "[]" : "{}");
      const inner = `${pad}  `;
      put(list ? "[" : "{");
      entries.forEach(([key, below], number) => {
        put(`${number ? "," : ""}\n${inner}`);
        if (!list) { put(JSON.stringify(key), "k"); put(": "); }
        write(below, inner);
      });
      return put(`\n${pad}${list ? "]" : "}"}`);
    }
    if (typeof each !== "string") return put(JSON.stringify(each), "n");
    const text = JSON.stringify(each).replace(/\\\\|\\n/g, (found) => (found === "\\n" ? `\n${pad}  ` : found));
    return put(text, "s");
  };
  write(value, "");
  return h("pre", { tabindex: "0" }, into);
}

/** Write a text as JSON if it is some, else as it stands. */
function readable(text) {
  try {
    const value = JSON.parse(text);
    if (value !== null && typeof value === "object") return pretty(value);
  } catch {
    // A text.
  }
  return h("pre", { tabindex: "0" }, h("code", {}, text));
}

/** Show a message of a chat: who speaks, what was thought, what was said, and which tools were called. */
function message({ role, content, thinking = [], redacted_thinking = [], tool_calls = [], tool_call_id }) {
  const texts = typeof content === "string" ? [content] : content.map((part) => part.text);
  const heading = (...words) => h("h5", {}, ...words);
  return h("div", { class: `said by-${role}` },
    heading(role, tool_call_id ? h("code", {}, tool_call_id) : null),
    thinking.map((each) => [heading("thinking"), readable(each.content)]),
    redacted_thinking.map((each) => [heading("thinking"), readable(each.data)]),
    texts.filter((text) => text).map(readable),
    tool_calls.map((call) => [heading("calls ", call.function.name, h("code", {}, call.id)), readable(call.function.arguments)]));
}

/** Show what a model call was asked or has answered, message by message. */
function chat({ messages, tools = [], ...answer }) {
  return h("div", { class: "chat" },
    (messages ?? [answer]).map(message),
    tools.length ? h("details", {}, h("summary", {}, plural(tools.length, "tool"), " on offer"), pretty(tools.map((tool) => tool.function))) : null);
}

/** Show a `Content`: parsed when it is whole JSON, else as it stands, with what is missing said. */
function shown(name, content) {
  let body = null;
  let whole = null;
  if (content.text !== null) {
    try {
      whole = content.json_text && (content.chat_bytes || !content.cut) ? JSON.parse(content.text) : null;
    } catch {
      whole = null;
    }
    body = whole === null ? h("pre", { tabindex: "0" }, h("code", {}, content.text)) : content.chat_bytes ? chat(whole) : pretty(whole);
  }
  const hash = h("code", { title: content.sha256 }, content.sha256.slice(0, 12));
  const kept = content.text === null
    ? ["Not kept: ", plural(content.chars, "character"), ", sha256 ", hash]
    : content.cut && content.chat_bytes
      ? [plural(content.chars, "character"), "; what is left out is said in its place"]
    : content.cut
      ? [`Cut: the first ${count(content.text.length)} of ${plural(content.chars, "character")}, sha256 of all `, hash]
      : [plural(content.chars, "character")];
  return h("section", { class: "content" },
    h("h4", {}, name,
      content.text === null ? null : copyButton(whole === null ? content.text : JSON.stringify(whole, null, 2))),
    h("p", { class: content.cut || content.text === null ? "kept warn" : "kept" }, kept),
    body);
}

const isContent = (value) => value !== null && typeof value === "object" && "sha256" in value && "chars" in value;

function fact(name, ...value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, ...value));
}

function usageFacts(usage) {
  return [
    fact("Input", count(usage.input_tokens)),
    fact("Cache read", count(usage.cache_read_input_tokens)),
    fact("Cache written", count(usage.cache_creation_input_tokens)),
    fact("Output", count(usage.output_tokens)),
  ];
}

function command(words, seq) {
  const text = `${words} --at ${seq}`;
  return h("div", { class: "command" }, h("code", {}, text), copyButton(text));
}

/** The whole of what is known of a span. */
function detail(span, facts, close) {
  const attributes = contents()[span.id] ?? {};
  const { input, output, problem, usage, retries, ...rest } = attributes;
  const end = span.end === null ? "still open" : took(span.end - span.start);
  const marks = span.marks.filter((mark) => mark !== "retried");
  return [
    h("header", {},
      h("p", { class: `eyebrow kind-${span.kind}` }, h("i", { class: "dot" }), said(span.kind), ...marks.map((mark) => ` · ${mark}`)),
      h("h3", { tabindex: "-1" }, span.name),
      h("button", { type: "button", class: "close", "aria-label": "Close", onclick: close }, "✕")),
    problem ? h("p", { class: `callout is-${span.status}` }, problem) : null,
    h("dl", { class: "facts" },
      fact("Status", badge(span.status)),
      fact("Begins at", clock(span.start, true)),
      fact("Takes", end),
      span.agent ? fact("Agent run", span.agent) : null,
      span.cost === null ? null : fact("Cost", dollars(span.cost)),
      usage ? usageFacts(usage) : null),
    retries?.length
      ? h("section", { class: "content" }, h("h4", {}, "Tried again"),
          h("ul", { class: "plain" }, retries.map((each) =>
            h("li", {}, `${each.status ?? "no answer"} ${each.problem}, then a pause of ${took(1000 * each.pause_s)}`))))
      : null,
    isContent(input) ? shown("Input", input) : null,
    isContent(output) ? shown("Output", output) : null,
    Object.keys(rest).length
      ? h("details", { class: "content" }, h("summary", {}, "Attributes"), pretty(rest))
      : null,
    h("section", { class: "content" },
      h("h4", {}, `From event ${span.seq}`),
      command(facts.fork, span.seq),
      command(facts.resume, span.seq),
      h("p", { class: "kept" }, h("a", { href: `#span-${span.id}` }, "Link to this span"))),
  ];
}
