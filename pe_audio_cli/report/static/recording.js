// A recording of the page: its metadata, its frames, and the changes of the reader.
//
// An event is {label, onset, offset, start, end, probability}: frames, seconds, and the probability of its highest
// frame, null if unknown. Events are immutable; a change replaces them.

class Recording {
  constructor(facts, place, settings) {
    Object.assign(this, facts);
    this.place = place;
    this.settings = settings;
    this.edits = []; // each {was, now}: the event that was found, null if none, and what has become of it, null if gone
    this.history = [];
  }

  get name() {
    return this.file === "-" ? "standard input" : this.file.split(/[/\\]/).pop();
  }

  /** True if the threshold can be changed: the page has all frames of the recording. */
  get exact() {
    return this.pool === 1;
  }

  get isLoaded() {
    return this.rows !== undefined;
  }

  /** Unpack the frames, once. */
  load() {
    this.loading ??= this.unpack();
    return this.loading;
  }

  async unpack() {
    if (!this.exact) this.fixed = new Int32Array((await inflated(`events-${this.place}`)).buffer);
    this.shades = await inflated(`spectrogram-${this.place}`);
    const ranks = await inflated(`ranks-${this.place}`);
    const width = Math.ceil(this.frames / this.pool);
    this.rows = this.labels.map((_, row) => ranks.subarray(row * width, (row + 1) * width));
    this.peaks = this.rows.map((row) => highest(row, 0, row.length));
  }

  /** The source of the audio: a link, a URL of the embedded audio, or null. */
  soundUrl() {
    if (this.soundType !== null && this.embedded === undefined) {
      this.embedded = URL.createObjectURL(new Blob([bytesOf(`sound-${this.place}`)], { type: this.soundType }));
    }
    return this.soundType === null ? this.link : this.embedded;
  }

  /** The events at a threshold by a rule, with the reader's changes, sorted by start and label. */
  events(onset, rule) {
    const corrected = this.edits.map(({ was }) => was).filter((event) => event !== null);
    const found = this.found(onset, rule).filter((event) => !corrected.some((was) => overlap(was, event)));
    const changed = this.edits.map(({ now }) => now).filter((event) => event !== null);
    return found.concat(changed).sort((a, b) => a.start - b.start || this.orderOf(a) - this.orderOf(b));
  }

  /** The events that the command line finds at a threshold by a rule. */
  found(onset, rule) {
    if (!this.exact) return this.foundBefore();
    return this.rows.flatMap((row, place) => {
      const spans = findSpans(row, onset, rule);
      const events = [];
      for (let at = 0; at < spans.length; at += 2) {
        events.push(this.eventAt(place, spans[at], spans[at + 1], highest(row, spans[at], spans[at + 1])));
      }
      return events;
    });
  }

  foundBefore() {
    const events = [];
    for (let at = 0; at < this.fixed.length; at += 4) {
      const [onset, offset, place, rank] = this.fixed.subarray(at, at + 4);
      events.push(this.eventAt(place, onset, offset, rank));
    }
    return events;
  }

  eventAt(place, onset, offset, rank) {
    const { framesPerSecond, values } = this.settings;
    const end = Math.min(offset / framesPerSecond, this.duration);
    return { label: this.labels[place], onset, offset, start: onset / framesPerSecond, end, probability: values[rank] };
  }

  /** An event added by the reader, from `start` to `end` seconds. */
  eventOf(label, start, end) {
    const onset = Math.floor(start * this.settings.framesPerSecond);
    const offset = Math.ceil(end * this.settings.framesPerSecond);
    const place = this.labels.indexOf(label);
    const known = this.exact && place >= 0;
    const probability = known ? this.settings.values[highest(this.rows[place], onset, offset)] : null;
    return { label, onset, offset, start, end, probability };
  }

  orderOf(event) {
    const place = this.labels.indexOf(event.label);
    return place < 0 ? this.labels.length : this.order[place];
  }

  /** Replace an event by `now`; null for the event adds one, null for `now` removes it. */
  change(event, now) {
    this.history.push(this.edits);
    const earlier = event === null ? undefined : this.edits.find((edit) => edit.now === event);
    const was = earlier === undefined ? event : earlier.was;
    this.edits = this.edits.filter((edit) => edit !== earlier);
    if (was !== null || now !== null) this.edits.push({ was, now });
  }

  undo() {
    this.edits = this.history.pop();
  }

  isChanged(event) {
    return this.edits.some(({ now }) => now === event);
  }
}

function overlap(one, other) {
  return one.label === other.label && one.onset < other.offset && other.onset < one.offset;
}

/** Read the data of the page, and derive values from it: `values` are the probabilities of ranks. */
function readPage() {
  const settings = JSON.parse(document.getElementById("settings").text);
  const { thresholds } = settings;
  settings.values = thresholds.map((level, place) => ((thresholds[place - 1] ?? 0) + level) / 2);
  const recordings = [...document.querySelectorAll("script.recording")].map(
    (element, place) => new Recording(JSON.parse(element.text), place, settings),
  );
  return { settings, recordings };
}
