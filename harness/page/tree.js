// The spans as a tree: which of them are in sight, given what is folded up and what is asked for.

const MANY = 400;

class Tree {
  constructor(spans) {
    this.byId = new Map();
    this.spans = spans;
    this.folded = new Set();
    this.wanted = null;
    const byId = new Map(spans.map((span) => [span.id, span]));
    for (const span of spans) {
      const parent = byId.get(span.parent) ?? null;
      this.byId.set(span.id, { span, parent, children: [], depth: 0 });
    }
    this.tops = [];
    for (const node of this.byId.values()) {
      node.parent = node.parent && this.byId.get(node.parent.id);
      node.depth = node.parent ? node.parent.depth + 1 : 0; // parents come before their children
      (node.parent ? node.parent.children : this.tops).push(node);
    }
    if (spans.length > MANY) this.fold(2);
  }

  /** Fold up everything below a depth. */
  fold(depth) {
    for (const node of this.byId.values()) if (node.children.length && node.depth > depth) this.folded.add(node.span.id);
  }

  unfold() {
    this.folded.clear();
  }

  /** Show only these spans, and what leads to them; null shows all. */
  want(ids) {
    this.wanted = ids;
    this.leading = new Set();
    for (const id of ids ?? []) {
      for (let node = this.byId.get(id).parent; node && !this.leading.has(node.span.id); node = node.parent) this.leading.add(node.span.id);
    }
  }

  isFolded(node) {
    return this.wanted === null && this.folded.has(node.span.id);
  }

  /** The nodes in sight, from the top down. */
  rows() {
    const found = [];
    const visit = (node) => {
      const { id } = node.span;
      if (this.wanted && !this.wanted.has(id) && !this.leading.has(id)) return;
      found.push(node);
      if (!this.isFolded(node)) node.children.forEach(visit);
    };
    this.tops.forEach(visit);
    return found;
  }

  /** Unfold whatever hides a span. */
  reveal(id) {
    for (let node = this.byId.get(id)?.parent; node; node = node.parent) this.folded.delete(node.span.id);
  }

  toggle(id) {
    if (!this.folded.delete(id)) this.folded.add(id);
  }
}

/** The ids of the spans that fit what is asked for, or null when nothing is. */
function filtered(spans, { text, kinds, run, status }) {
  if (!text && !kinds.size && !run && !status) return null;
  const pattern = text ? new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i") : null;
  return new Set(spans.filter((span) =>
    (!kinds.size || kinds.has(span.kind))
    && (!run || span.run === run)
    && (!status || span.status === status)
    && (!pattern || pattern.test(`${span.name} ${span.agent} ${said(span.status)}`) || mentions(contents()[span.id], pattern)),
  ).map((span) => span.id));
}

/** Whether any text in a value fits. */
function mentions(value, pattern) {
  if (typeof value === "string") return pattern.test(value);
  return value !== null && typeof value === "object" && Object.values(value).some((each) => mentions(each, pattern));
}
