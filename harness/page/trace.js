// The timeline: a tree of spans with a bar for each. Only the rows in sight are drawn.

const ROW_PX = 28;
const SPARE_ROWS = 12;
const PRINTED_ROWS = 600;

class Trace {
  constructor(root, spans, facts, agents) {
    this.spans = spans;
    this.facts = facts;
    this.tree = new Tree(spans);
    this.end = Math.max(facts.duration_ms, 1, ...spans.map((span) => span.end ?? span.start));
    this.view = { from: 0, to: 1 };
    this.asked = { text: "", kinds: new Set(), run: "", status: "" };
    this.selected = null;
    this.printing = false;
    this.squeeze(true);
    root.append(this.#bar(agents), this.#panel());
    this.#listen();
    this.refresh();
  }

  squeeze(on) {
    this.pieces = piecesOf(this.spans, this.end, on);
  }

  /** Look again at what is asked for, and draw. */
  refresh() {
    this.tree.want(filtered(this.spans, this.asked));
    this.rows = this.tree.rows();
    this.place = new Map(this.rows.map((node, number) => [node.span.id, number]));
    const found = this.tree.wanted;
    this.counted.textContent = found ? `${count(found.size)} of ${plural(this.spans.length, "span")}` : plural(this.spans.length, "span");
    this.clearing.hidden = !found;
    this.empty.hidden = this.rows.length > 0;
    this.draw();
  }

  draw() {
    this.panel.style.setProperty("--gutter", `${this.list.offsetWidth - this.list.clientWidth}px`);
    const width = this.axis.clientWidth || 600;
    this.canvas.style.height = `${this.rows.length * ROW_PX}px`;
    this.list.style.maxHeight = this.rows.length ? `${this.rows.length * ROW_PX}px` : "";
    const first = this.printing ? 0 : Math.max(0, Math.floor(this.list.scrollTop / ROW_PX) - SPARE_ROWS);
    const room = this.printing ? PRINTED_ROWS : Math.ceil(this.list.clientHeight / ROW_PX) + 2 * SPARE_ROWS;
    const shown = this.rows.slice(first, first + room);
    this.canvas.replaceChildren(...this.#idleBands(), ...shown.map((node, number) => this.#row(node, first + number, width)));
    this.list.setAttribute("aria-rowcount", this.rows.length);
    const gaps = this.pieces.filter((piece) => piece.idle).map((piece) => ({
      label: took(piece.to - piece.from), place: this.#x((piece.left + piece.right) / 2) * width,
    }));
    const ticks = ticksOf(this.pieces, this.view, width).filter((tick) => gaps.every((gap) => Math.abs(tick.place + 18 - gap.place) > 52));
    this.axis.replaceChildren(
      ...ticks.map((tick) => placed(h("span", { class: "tick" }, tick.label), tick.place)),
      ...gaps.map((gap) => placed(h("span", { class: "gap", title: `Nobody was at work for ${gap.label}.` }, gap.label), gap.place)));
    if (this.selected && this.place.has(this.selected)) this.list.setAttribute("aria-activedescendant", `row-${this.selected}`);
    else this.list.removeAttribute("aria-activedescendant");
  }

  /** Select a span, show what is known of it, and bring it into sight. */
  select(id, { open = true, reveal = false } = {}) {
    if (!this.tree.byId.has(id)) return false;
    if (reveal) {
      this.tree.reveal(id);
      if (this.tree.wanted && !this.tree.wanted.has(id)) this.clear();
      this.refresh();
    }
    this.selected = id;
    const top = (this.place.get(id) ?? 0) * ROW_PX;
    if (top < this.list.scrollTop + ROW_PX) this.list.scrollTop = top - ROW_PX * 2;
    if (top > this.list.scrollTop + this.list.clientHeight - 2 * ROW_PX) this.list.scrollTop = top - this.list.clientHeight + 3 * ROW_PX;
    this.draw();
    if (open || !this.pane.hidden) this.open(id);
    return true;
  }

  open(id) {
    this.pane.replaceChildren(...detail(this.tree.byId.get(id).span, this.facts, () => this.close()).filter(Boolean));
    this.pane.hidden = false;
    this.pane.scrollTop = 0;
    this.panel.classList.add("opened");
    history.replaceState(null, "", `#span-${id}`);
    this.draw();
  }

  close() {
    this.pane.hidden = true;
    this.panel.classList.remove("opened");
    history.replaceState(null, "", "#timeline");
    this.list.focus({ preventScroll: true });
    this.draw();
  }

  /** Ask for all spans again. */
  clear() {
    this.asked = { text: "", kinds: new Set(), run: "", status: "" };
    for (const field of this.form.elements) if (field.matches("input[type=search], select")) field.value = "";
    for (const chip of this.form.querySelectorAll("[aria-pressed]")) chip.setAttribute("aria-pressed", "false");
  }

  /** Show the spans of one agent run only. */
  only(run) {
    this.clear();
    this.asked.run = this.form.elements.run.value = run;
    this.refresh();
  }

  /** Widen or narrow the view by a factor; the place `around` comes to stand at this share of its width. */
  zoom(factor, around = (this.view.from + this.view.to) / 2, share = 0.5) {
    const width = Math.min(1, Math.max(1e-5, (this.view.to - this.view.from) * factor));
    this.#look(around - share * width, width);
  }

  pan(share) {
    const width = this.view.to - this.view.from;
    this.#look(this.view.from + share * width, width);
  }

  #look(from, width) {
    const begin = Math.min(Math.max(0, from), 1 - width);
    this.view = { from: begin, to: begin + width };
    this.form.classList.toggle("zoomed", width < 1);
    this.draw();
  }

  #x(place) {
    return (place - this.view.from) / (this.view.to - this.view.from);
  }

  #row(node, number, width) {
    const { span } = node;
    const left = this.#x(placeOf(this.pieces, span.start));
    const right = this.#x(placeOf(this.pieces, span.end ?? this.end));
    const inView = right >= 0 && left <= 1;
    const [from, to] = [Math.max(0, left), Math.min(1, right)];
    const length = Math.max(to - from, 2 / width);
    const after = width * (1 - from - length) > 150;
    const row = h("div", {
      class: `row is-${span.status} kind-${span.kind}${this.tree.leading?.has(span.id) && !this.tree.wanted?.has(span.id) ? " dim" : ""}`,
      id: `row-${span.id}`,
      role: "row",
      "aria-rowindex": number + 1,
      "aria-level": node.depth + 1,
      "aria-selected": span.id === this.selected ? "true" : "false",
      "aria-expanded": node.children.length ? String(!this.tree.isFolded(node)) : null,
      "data-id": span.id,
    },
    h("div", { class: "name", role: "gridcell", title: `${span.name}${span.agent ? `, ${span.agent}` : ""}` },
      h("span", { class: "fold", "aria-hidden": "true" }, node.children.length ? (this.tree.isFolded(node) ? "▸" : "▾") : ""),
      h("i", { class: "dot" }), h("span", { class: "text" }, nameOf(span)),
      span.status === "ok" ? null : h("span", { class: `sign is-${span.status}`, title: said(span.status) }, SIGNS[span.status])),
    h("div", { class: "track", role: "gridcell" }, inView ? this.#drawnBar(span, from, length, after, width) : null));
    row.style.top = `${number * ROW_PX}px`;
    row.style.setProperty("--depth", Math.min(node.depth, 9));
    return row;
  }

  #drawnBar(span, from, length, after, width) {
    const instant = span.end === span.start;
    const words = [span.end === null ? "open" : instant ? "" : took(span.end - span.start), ...span.marks];
    if (!["ok", "open"].includes(span.status)) words.push(said(span.status));
    const bar = h("span", { class: `bar${instant ? " instant" : ""}` });
    bar.style.left = `${from * 100}%`;
    bar.style.width = `${length * 100}%`;
    if (width > 520 && span.kind === "model" && span.tokens) words.push(`${tokens(span.tokens)} tokens`);
    const inside = !after && from < 0.2;
    const label = h("span", { class: inside ? "took inside" : "took" }, words.filter(Boolean).join(" · "));
    if (after) label.style.left = `${(from + length) * 100}%`;
    else label.style.right = inside ? `${(1 - from - length) * 100}%` : `${(1 - from) * 100}%`;
    return [bar, label];
  }

  #idleBands() {
    return this.pieces.filter((piece) => piece.idle).map((piece) => {
      const [left, right] = [Math.max(0, this.#x(piece.left)), Math.min(1, this.#x(piece.right))];
      const band = h("div", { class: "idle", "aria-hidden": "true" }, h("span", {}));
      band.firstChild.style.left = `${left * 100}%`;
      band.firstChild.style.width = `${Math.max(0, right - left) * 100}%`;
      return band;
    });
  }

  #bar(agents) {
    const kinds = new Map();
    for (const span of this.spans) kinds.set(span.kind, (kinds.get(span.kind) ?? 0) + 1);
    const statuses = [...new Set(this.spans.map((span) => span.status))].sort();
    const choice = (name, label, all, options) => h("label", {}, h("span", { class: "sr" }, label),
      h("select", { name, onchange: (event) => { this.asked[name] = event.target.value; this.refresh(); } },
        h("option", { value: "" }, all), options.map(([value, text]) => h("option", { value }, text))));
    const press = (kind, button) => {
      const on = !this.asked.kinds.delete(kind);
      if (on) this.asked.kinds.add(kind);
      button.setAttribute("aria-pressed", String(on));
      this.refresh();
    };
    let waiting;
    const typed = (event) => {
      clearTimeout(waiting);
      waiting = setTimeout(() => { this.asked.text = event.target.value.trim(); this.refresh(); }, 120);
    };
    const button = (text, title, act) => h("button", { type: "button", title, "aria-label": title, onclick: act }, text);
    this.counted = h("output", { class: "counted" });
    this.clearing = h("button", { type: "button", class: "link", onclick: () => { this.clear(); this.refresh(); } }, "Show all");
    const idle = idleTime(this.pieces);
    this.form = h("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
      h("div", { class: "line" },
        h("label", { class: "search" }, h("span", { class: "sr" }, "Filter by text"),
          h("input", { type: "search", name: "text", placeholder: "Filter names, inputs and outputs", oninput: typed, autocomplete: "off" })),
        choice("run", "Agent run", "Every agent", agents.map((agent) => [agent.id, agent.label])),
        choice("status", "Status", "Every status", statuses.map((status) => [status, said(status)])),
        h("span", { class: "tools" },
          idle ? h("label", { class: "check" }, h("input", { type: "checkbox", checked: true, onchange: (event) => {
            this.squeeze(event.target.checked);
            this.draw();
          } }), `Squeeze ${took(idle)} idle`) : null,
          h("span", { class: "group only-zoomed" }, button("‹", "Earlier", () => this.pan(-0.5)), button("›", "Later", () => this.pan(0.5))),
          h("span", { class: "group" },
            button("−", "Zoom out", () => this.zoom(2)), button("+", "Zoom in", () => this.zoom(0.5, this.#middle())),
            button("Fit", "Show the whole session", () => this.#look(0, 1))),
          h("span", { class: "group" },
            button("Fold", "Fold up the calls of each agent", () => { this.tree.fold(2); this.refresh(); }),
            button("Unfold", "Unfold everything", () => { this.tree.unfold(); this.refresh(); })))),
      h("div", { class: "line chips", role: "group", "aria-label": "Kinds of spans" },
        [...kinds].map(([kind, number]) => h("button", {
          type: "button", class: `chip kind-${kind}`, "data-kind": kind, "aria-pressed": "false",
          onclick: (event) => press(kind, event.currentTarget),
        }, h("i", { class: "dot" }), said(kind), h("small", {}, count(number)))),
        this.counted, this.clearing));
    return this.form;
  }

  #middle() {
    const node = this.tree.byId.get(this.selected ?? "");
    return node ? placeOf(this.pieces, (node.span.start + (node.span.end ?? this.end)) / 2) : undefined;
  }

  #panel() {
    this.axis = h("div", { class: "axis", title: "Drag to zoom in" });
    this.canvas = h("div", { class: "canvas", role: "presentation" });
    this.empty = h("p", { class: "none" }, "No span fits. Show all, or ask for less.");
    this.list = h("div", { class: "list", role: "treegrid", tabindex: "0", "aria-label": "Spans" }, this.canvas, this.empty);
    this.pane = h("aside", { class: "pane", "aria-label": "Span", hidden: true });
    this.panel = h("div", { class: "panel" },
      h("div", { class: "chart" }, h("div", { class: "axis-line" }, h("div", { class: "corner" }, "Span"), this.axis), this.list), this.pane);
    return this.panel;
  }

  #listen() {
    let asked = false;
    const soon = () => {
      if (!asked) requestAnimationFrame(() => { asked = false; this.draw(); });
      asked = true;
    };
    this.list.addEventListener("scroll", soon, { passive: true });
    new ResizeObserver(soon).observe(this.axis);
    this.list.addEventListener("click", (event) => {
      const id = event.target.closest(".row")?.dataset.id;
      if (!id) return;
      if (event.target.closest(".fold") && this.tree.byId.get(id).children.length) this.#toggle(id);
      else this.select(id);
    });
    this.list.addEventListener("keydown", (event) => this.#key(event));
    this.pane.addEventListener("keydown", (event) => { if (event.key === "Escape") this.close(); });
    this.list.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.axis.addEventListener("pointerdown", (event) => this.#drag(event));
    const print = (on) => () => { this.printing = on; this.draw(); };
    addEventListener("beforeprint", print(true));
    addEventListener("afterprint", print(false));
  }

  #toggle(id) {
    this.tree.toggle(id);
    this.refresh();
  }

  #wheel(event) {
    if (event.ctrlKey || event.metaKey) {
      const box = this.axis.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.view.from + share * (this.view.to - this.view.from), share);
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.pan((event.deltaX || event.deltaY) / 800);
    } else return;
    event.preventDefault();
  }

  /** Zoom to what is dragged over. */
  #drag(event) {
    const box = this.axis.getBoundingClientRect();
    const at = (moved) => Math.min(1, Math.max(0, (moved.clientX - box.left) / box.width));
    const begin = at(event);
    const range = h("span", { class: "range" });
    const spread = (end) => {
      range.style.left = `${Math.min(begin, end) * 100}%`;
      range.style.width = `${Math.abs(end - begin) * 100}%`;
    };
    this.axis.append(range);
    this.axis.setPointerCapture(event.pointerId);
    const move = (moved) => spread(at(moved));
    this.axis.addEventListener("pointermove", move);
    this.axis.addEventListener("lostpointercapture", (up) => {
      this.axis.removeEventListener("pointermove", move);
      range.remove();
      const [from, to] = [begin, at(up)].sort((one, other) => one - other);
      const width = this.view.to - this.view.from;
      if (to - from > 0.01) this.#look(this.view.from + from * width, (to - from) * width);
    }, { once: true });
  }

  #key(event) {
    const here = this.place.get(this.selected) ?? -1;
    const node = this.rows[here];
    const page = Math.max(1, Math.floor(this.list.clientHeight / ROW_PX) - 1);
    const go = (number) => {
      const target = this.rows[Math.min(Math.max(0, number), this.rows.length - 1)];
      if (target) this.select(target.span.id, { open: false });
    };
    const act = {
      ArrowDown: () => go(here + 1),
      ArrowUp: () => go(here - 1),
      PageDown: () => go(here + page),
      PageUp: () => go(here - page),
      Home: () => go(0),
      End: () => go(this.rows.length - 1),
      ArrowRight: () => node && (this.tree.isFolded(node) ? this.#toggle(node.span.id) : node.children.length && go(here + 1)),
      ArrowLeft: () => node && (node.children.length && !this.tree.isFolded(node) && this.tree.wanted === null
        ? this.#toggle(node.span.id) : node.parent && go(this.place.get(node.parent.span.id))),
      Enter: () => { if (node) { this.open(node.span.id); this.pane.querySelector("h3").focus(); } },
      Escape: () => !this.pane.hidden && this.close(),
      "+": () => this.zoom(0.5, this.#middle()),
      "-": () => this.zoom(2),
      0: () => this.#look(0, 1),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }
}

function placed(element, px) {
  element.style.left = `${px}px`;
  return element;
}

/** What a row says: the agent for an agent run, the model or the tool for a call. */
function nameOf(span) {
  const [operation, ...rest] = span.name.split(" ");
  if (span.kind === "turn") return `turn of ${rest.join(" ")}`;
  if (span.kind === "agent_run") return h("b", {}, span.agent || rest.join(" "));
  if (span.kind === "model") return rest.join(" ") || operation;
  if (span.kind === "tool" || span.kind === "delegation") return toolName(rest.join(" ") || operation);
  return span.name;
}
