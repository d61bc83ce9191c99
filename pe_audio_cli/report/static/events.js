// Frame probabilities to events, by the algorithm of pe_audio_cli/detection/events.py.
//
// A frame's rank is the number of thresholds that its probability is above, so that `rank > k` is equivalent to
// `probability > thresholds[k]`. `rule` is {offset, median, gap, shortest}: the index of the
// offset threshold, and lengths in frames; null is off. Spans are flat arrays: onset, offset, onset, offset ..., the
// offset being the first frame after an event.

function findSpans(ranks, onset, rule) {
  let active = activity(ranks, onset, rule.offset === null ? onset : rule.offset);
  if (rule.median !== null) active = medianFiltered(active, rule.median);
  let spans = runs(active);
  if (rule.gap !== null) spans = merged(spans, rule.gap);
  if (rule.shortest !== null) spans = longEnough(spans, rule.shortest);
  return spans;
}

/** Hysteresis: active from a rank above `onset` until it is not above `offset`. */
function activity(ranks, onset, offset) {
  const active = new Uint8Array(ranks.length);
  let state = 0;
  for (let frame = 0; frame < ranks.length; frame++) {
    state = ranks[frame] > (state ? offset : onset) ? 1 : 0;
    active[frame] = state;
  }
  return active;
}

/** Median filter: the majority of the `width` frames (an odd number) around each; inactive beyond the ends. */
function medianFiltered(active, width) {
  const half = (width - 1) / 2;
  const filtered = new Uint8Array(active.length);
  let count = 0;
  for (let frame = -half; frame < active.length; frame++) {
    if (frame + half < active.length) count += active[frame + half];
    if (frame - half > 0) count -= active[frame - half - 1];
    if (frame >= 0) filtered[frame] = count > half ? 1 : 0;
  }
  return filtered;
}

function runs(active) {
  const spans = [];
  for (let frame = 0, before = 0; frame <= active.length; frame++) {
    const now = frame < active.length ? active[frame] : 0;
    if (now !== before) spans.push(frame);
    before = now;
  }
  return spans;
}

/** Merge spans that are at most `gap` frames apart. */
function merged(spans, gap) {
  const joined = [];
  for (let place = 0; place < spans.length; place += 2) {
    if (joined.length && spans[place] - joined[joined.length - 1] <= gap) joined.pop();
    else joined.push(spans[place]);
    joined.push(spans[place + 1]);
  }
  return joined;
}

function longEnough(spans, shortest) {
  return spans.filter((_, place) => spans[place | 1] - spans[place & ~1] >= shortest);
}

function highest(ranks, onset, offset) {
  let peak = 0;
  for (let frame = onset; frame < offset; frame++) if (ranks[frame] > peak) peak = ranks[frame];
  return peak;
}
