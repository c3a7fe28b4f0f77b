// From times to places: what the session spent idle is squeezed together, so that its work can be seen.

const LEAVES = new Set(["model", "tool", "routing", "gate", "merge"]);
const LONGEST_IDLE_MS = 10000;
const IDLE_SHARE = 0.07;
const ALL_IDLE_SHARE = 0.35;
const TICK_PX = 92;

/** The pieces of the time from 0 to `end`, each with its share of the width, from 0 to 1. */
function piecesOf(spans, end, squeeze) {
  const busy = spans.filter((span) => LEAVES.has(span.kind)).map((span) => [span.start, span.end ?? end]);
  busy.sort((one, other) => one[0] - other[0]);
  const cuts = [];
  let until = 0;
  for (const [begin, stop] of [...busy, [end, end]]) {
    if (begin > until) cuts.push([until, begin]);
    until = Math.max(until, stop);
  }
  const idle = squeeze && busy.length ? squeezed(cuts, end) : [];
  const share = idle.length ? Math.min(IDLE_SHARE, ALL_IDLE_SHARE / idle.length) : 0;
  const working = end - idle.reduce((sum, [from, to]) => sum + to - from, 0) || 1;
  const pieces = [];
  let [at, place] = [0, 0];
  const add = (to, width, isIdle) => {
    if (to > at || !pieces.length) pieces.push({ from: at, to, left: place, right: place + width, idle: isIdle });
    at = to;
    place += width;
  };
  for (const [from, to] of [...idle, [end, end]]) {
    if (from > at || from === end) add(from, ((from - at) / working) * (1 - share * idle.length), false);
    if (to > from) add(to, share, true);
  }
  return pieces;
}

/** The gaps worth squeezing: long ones, and long beside the work. */
function squeezed(cuts, end) {
  const long = cuts.filter(([from, to]) => to - from > LONGEST_IDLE_MS);
  const working = end - long.reduce((sum, [from, to]) => sum + to - from, 0);
  return long.filter(([from, to]) => to - from > working * 0.08);
}

const idleTime = (pieces) => pieces.reduce((sum, piece) => sum + (piece.idle ? piece.to - piece.from : 0), 0);

/** The place of a time, from 0 to 1. */
function placeOf(pieces, time) {
  const piece = pieces.find((each) => time <= each.to) ?? pieces.at(-1);
  const length = piece.to - piece.from;
  return piece.left + (length ? (time - piece.from) / length : 0) * (piece.right - piece.left);
}

/** Ticks of the pieces at work that are in view; `width` in pixels is that of the view. */
function ticksOf(pieces, view, width) {
  const ticks = [];
  const scale = width / (view.to - view.from);
  for (const piece of pieces.filter((each) => !each.idle)) {
    const room = (piece.right - piece.left) * scale;
    const step = niceStep(((piece.to - piece.from) / Math.max(room, 1)) * TICK_PX);
    for (let time = Math.ceil(piece.from / step) * step; time <= piece.to; time += step) {
      const place = (placeOf(pieces, time) - view.from) * scale;
      const near = ticks.length && place - ticks.at(-1).place < TICK_PX * 0.6;
      if (place >= 0 && place < width - 44 && !near) ticks.push({ place, label: clock(time, step < 1000) });
    }
  }
  return ticks;
}

function niceStep(ms) {
  const steps = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5,
    216e5, 432e5, 864e5,
  ];
  return steps.find((step) => step >= ms) ?? Math.ceil(ms / 864e5) * 864e5;
}
