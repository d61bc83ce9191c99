// What the reader sees and does.

const ROWS = 200; // events listed at once
const TRACKS = 12; // labels shown unless the reader wants all
const SHORTEST_PLAY = 0.4; // seconds that are heard of an event at least: less is a click
const SHORTEST_VIEW = 0.5; // seconds

const element = Object.fromEntries([...document.querySelectorAll("[id]")].map((each) => [each.id, each]));
const { settings, recordings } = readPage();
const state = {
  recording: null,
  onset: settings.onset, // the place of the threshold
  view: { start: 0, end: 1 },
  events: [],
  chosen: null, // the event that was clicked last
  changing: null, // the event whose row is a form
  firstRow: 0,
  allTracks: false,
  unsaved: false,
};
let colour = colours();
let picture = null;

const player = new Player(element.audio, {
  onMove: showPlace,
  onChange: showPlaying,
  onProblem: () => tellProblem(`The browser cannot play ${state.recording.soundUrl()}. Is it still there? ` +
    "A format that browsers do not know plays in a report made with --embed-audio."),
});

// Recordings

async function open(recording) {
  player.load(null);
  state.recording = recording;
  state.chosen = state.changing = null;
  state.firstRow = 0;
  state.allTracks = false;
  for (const button of element.recordings.querySelectorAll("button")) {
    button.ariaCurrent = String(recordings[button.value] === recording);
  }
  element.file.textContent = recording.name;
  document.title = `${recording.name} – peaudio report`;
  element.content.hidden = recording.error !== undefined;
  tellProblem(recording.error ?? "");
  if (recording.error !== undefined) {
    element.facts.textContent = recording.file;
    return;
  }
  element.facts.textContent = factsOf(recording);
  await recording.load();
  if (recording !== state.recording) return; // the reader has gone on to another
  picture = spectrogramPicture(recording, colour.palette);
  state.view = { start: 0, end: recording.duration };
  player.load(recording.soundUrl());
  element.play.disabled = recording.soundUrl() === null;
  element.labels.replaceChildren(...recording.labels.map((label) => new Option(label, label)));
  element.timeline.ariaValueMax = recording.duration.toFixed(2);
  element.threshold.disabled = !recording.exact;
  showNote();
  refresh();
  showPlace();
}

function factsOf(recording) {
  const { file, duration, sampleRate, channels, model } = recording;
  const sound = channels === 1 ? "mono" : channels === 2 ? "stereo" : `${channels} channels`;
  return [file, lengthText(duration), `${sampleRate / 1000} kHz`, sound, `model ${model}`].join(" · ");
}

function lengthText(seconds) {
  return clock(seconds, 1) + (seconds < 60 ? " s" : "");
}

function listRecordings() {
  const isTwin = (recording) => recordings.some((other) => other !== recording && other.name === recording.name);
  element.recordings.hidden = recordings.length < 2;
  const items = recordings.map((recording, place) => {
    const item = document.createElement("li");
    const button = newButton(isTwin(recording) ? recording.file : recording.name, () => open(recording));
    button.value = place;
    button.title = recording.file;
    const { error, duration, eventsFound } = recording;
    const facts = error === undefined ? `${lengthText(duration)} · ${counted(eventsFound)}` : "failed";
    button.append(" ", textElement("small", facts));
    item.append(button);
    return item;
  });
  element.recordings.firstElementChild.replaceChildren(...items);
}

function tellProblem(message) {
  element.problem.textContent = message;
  element.problem.hidden = message === "";
}

function showNote() {
  const { recording } = state;
  const notes = [];
  if (!recording.exact) {
    const listed = recording.fixed.length / 4;
    notes.push("This recording is too long for its threshold to be moved here.");
    if (listed < recording.eventsFound) notes.push(`Only the first ${listed} of ${recording.eventsFound} events are listed.`);
  }
  if (recording.soundUrl() === null) notes.push("There is no sound: it came through standard input.");
  element.note.textContent = notes.join(" ");
  element.note.hidden = notes.length === 0;
}

// Timeline

/** The labels that have a track: the twelve most probable of many, or all, and those that the reader has made. */
function trackLabels() {
  const { recording, allTracks } = state;
  const { labels, peaks } = recording;
  const places = labels.map((_, place) => place).sort((a, b) => peaks[b] - peaks[a]);
  const shown = allTracks ? places : places.slice(0, TRACKS);
  const made = recording.edits.map(({ now }) => now?.label).filter((label) => label !== undefined);
  return [...new Set([...shown.sort((a, b) => a - b).map((place) => labels[place]), ...made])];
}

/** Make a row for each label, unless they are there. */
function makeTracks() {
  const shown = trackLabels();
  const canvases = [...element.tracks.querySelectorAll("canvas")];
  if (shown.length === canvases.length && shown.every((label, row) => label === canvases[row].dataset.label)) return;
  element.tracks.replaceChildren(...shown.map(newTrack));
  const { labels } = state.recording;
  if (labels.some((label) => !shown.includes(label))) {
    const more = newButton(`Show all ${labels.length} labels`, () => {
      state.allTracks = true;
      draw();
    });
    more.className = "more";
    element.tracks.append(more);
  }
}

function newTrack(label) {
  const row = document.createElement("div");
  row.className = "row";
  const name = document.createElement("div");
  name.className = "name";
  name.title = label;
  name.append(Object.assign(textElement("span", label), { dir: "auto" }));
  const canvas = document.createElement("canvas");
  canvas.dataset.label = label;
  row.append(name, canvas);
  return row;
}

function draw() {
  const { recording, view, onset, events, chosen } = state;
  if (recording?.rows === undefined || picture === null) return;
  makeTracks();
  drawSpectrogram(element.spectrogram, recording, picture, view, colour);
  for (const canvas of element.tracks.querySelectorAll("canvas")) {
    const its = events.filter(({ label }) => label === canvas.dataset.label);
    drawTrack(canvas, recording, view, onset, its, chosen, colour);
  }
  drawAxis(element.axis, view, colour);
}

function showPlace() {
  const { recording, view } = state;
  if (recording?.rows === undefined) return;
  const time = Math.min(player.time, recording.duration);
  if (player.playing && (time > view.end || time < view.start)) {
    look(time - 0.05 * (view.end - view.start), view.end - view.start);
  }
  const { start, end } = state.view;
  const { offsetLeft, clientWidth } = element.spectrogram;
  element.cursor.hidden = time < start || time > end;
  element.cursor.style.transform = `translateX(${offsetLeft + (clientWidth * (time - start)) / (end - start)}px)`;
  element.time.textContent = `${clock(time, 2)} / ${clock(recording.duration, 2)}`;
  element.timeline.ariaValueNow = time.toFixed(2);
  element.timeline.ariaValueText = `${clock(time, 2)} of ${clock(recording.duration, 2)}`;
}

function showPlaying() {
  const [sign, word] = player.playing ? ["⏸", "Pause"] : ["▶", "Play"];
  element.play.replaceChildren(textElement("span", sign), ` ${word}`);
  element.play.firstElementChild.ariaHidden = "true";
}

/** Show `seconds` of the recording from `start` on, as far as there is so much of it. */
function look(start, seconds) {
  const { duration } = state.recording;
  const length = Math.min(Math.max(seconds, SHORTEST_VIEW), duration);
  const first = Math.min(Math.max(start, 0), duration - length);
  state.view = { start: first, end: first + length };
  draw();
  showPlace();
}

/** Show `factor` times as much, with `time` staying where it is. */
function zoom(factor, time) {
  const { start, end } = state.view;
  const middle = time >= start && time <= end ? time : (start + end) / 2;
  const longest = Math.min((end - start) * factor, state.recording.duration);
  const seconds = Math.max(longest, Math.min(SHORTEST_VIEW, state.recording.duration));
  look(middle - ((middle - start) / (end - start)) * seconds, seconds);
}

function timeAt(pointer) {
  const { left, width } = element.spectrogram.getBoundingClientRect();
  const { start, end } = state.view;
  const time = start + ((pointer.clientX - left) / width) * (end - start);
  return Math.min(Math.max(time, 0), state.recording.duration);
}

function clickTimeline(pointer) {
  const time = timeAt(pointer);
  const hit = eventAround(pointer.target.dataset.label, time);
  if (hit !== undefined) hear(hit);
  else if (pointer.target instanceof HTMLCanvasElement) player.seek(time);
}

/** The event of a label that is at a time, give or take two pixels. */
function eventAround(label, time) {
  const slack = (2 * (state.view.end - state.view.start)) / element.spectrogram.clientWidth;
  return state.events.find(
    (event) => event.label === label && event.start - slack <= time && time <= event.end + slack,
  );
}

// Events

/** Work out the events again, after the threshold or the reader's changes. */
function refresh() {
  const { recording, onset } = state;
  state.events = recording.events(onset);
  if (!state.events.includes(state.chosen)) state.chosen = null;
  if (!state.events.includes(state.changing)) state.changing = null;
  const level = settings.thresholds[onset];
  element.threshold.value = onset;
  element.threshold.ariaValueText = element["threshold-value"].textContent = String(level);
  element.undo.hidden = recording.history.length === 0;
  const changes = recording.edits.length;
  element.count.textContent = counted(state.events.length) + (changes ? `, ${changes} changed by you` : "");
  listEvents();
  draw();
}

function listEvents() {
  const { events } = state;
  const n_pages = Math.max(1, Math.ceil(events.length / ROWS));
  state.firstRow = Math.min(state.firstRow, (n_pages - 1) * ROWS);
  const shown = events.slice(state.firstRow, state.firstRow + ROWS);
  element.events.tBodies[0].replaceChildren(
    ...shown.map((event) => (event === state.changing ? formRow(event) : eventRow(event))),
  );
  element.events.hidden = events.length === 0;
  element.pages.hidden = n_pages === 1;
  element["page-of"].textContent = `${state.firstRow + 1} to ${state.firstRow + shown.length} of ${events.length}`;
  element.previous.disabled = state.firstRow === 0;
  element.next.disabled = state.firstRow + ROWS >= events.length;
}

function eventRow(event) {
  const row = document.createElement("tr");
  row.classList.toggle("chosen", event === state.chosen);
  row.classList.toggle("changed", state.recording.isChanged(event));
  const name = newButton(event.label, () => hear(event));
  name.className = "hear";
  name.dir = "auto";
  const at = `${event.label} at ${clock(event.start, 2)}`;
  const edit = newButton("Edit", () => startChange(event));
  edit.ariaLabel = `Edit ${at}`;
  const remove = newButton("Delete", () => removeEvent(event));
  remove.ariaLabel = `Delete ${at}`;
  const probability = event.probability === null ? "–" : event.probability.toFixed(2);
  for (const content of [name, timeText(event.start), timeText(event.end), probability]) row.insertCell().append(content);
  row.insertCell().append(edit, " ", remove);
  return row;
}

function timeText(time) {
  return clock(time, Number.isInteger(Math.round(time * 1e6) / 1e4) ? 2 : 3);
}

function formRow(event) {
  const row = document.createElement("tr");
  row.className = "form";
  const label = newInput("Label", { value: event.label, required: true });
  label.setAttribute("list", "labels");
  const seconds = { type: "number", step: "any", min: 0, max: state.recording.duration, required: true };
  const start = newInput("Start, in seconds", { ...seconds, value: event.start });
  const end = newInput("End, in seconds", { ...seconds, value: event.end });
  const save = newButton("Save", () => saveChange(event, label, start, end));
  const cancel = newButton("Cancel", () => endChange(event));
  row.addEventListener("keydown", (key) => {
    const button = key.key === "Escape" ? cancel : key.key === "Enter" && key.target.matches("input") ? save : null;
    if (button === null) return;
    key.preventDefault(); // or it would go on to what gets the focus
    button.click();
  });
  for (const content of [label, start, end, ""]) row.insertCell().append(content);
  row.insertCell().append(save, " ", cancel);
  return row;
}

function startChange(event) {
  state.changing = event;
  listEvents();
  element.events.querySelector(".form input").select();
}

function saveChange(event, label, start, end) {
  const [first, last] = [start.valueAsNumber, end.valueAsNumber];
  end.setCustomValidity(first >= last ? "The end must come after the start." : "");
  label.setCustomValidity(label.value.trim() === "" ? "An event needs a label." : "");
  if (![label, start, end].every((input) => input.reportValidity())) return;
  const now = state.recording.eventOf(label.value, first, last);
  applyChange(event, now);
  endChange(now);
}

function endChange(event) {
  state.changing = null;
  listEvents();
  focusRow(state.events.indexOf(event), "td:last-child button");
}

function removeEvent(event) {
  const place = state.events.indexOf(event);
  applyChange(event, null);
  focusRow(Math.min(place, state.events.length - 1), "td:last-child button:last-child");
}

function applyChange(event, now) {
  state.recording.change(event, now);
  state.unsaved = true;
  if (state.chosen === event) state.chosen = now;
  refresh();
}

/** Put the focus on what `selector` finds in the row of an event, or on the heading where there is none. */
function focusRow(place, selector) {
  const row = element.events.tBodies[0].rows[place - state.firstRow];
  (row === undefined ? element.file : row.querySelector(selector)).focus();
}

/** Play an event, show where it is, or pause if it is playing. */
function hear(event) {
  if (player.playing && player.stopAt !== null && event === state.chosen) {
    player.toggle();
    return;
  }
  state.chosen = event;
  const { start, end } = state.view;
  if (event.start < start || event.end > end) look(event.start - 0.1 * (end - start), end - start);
  player.hear(event.start, Math.max(event.end, event.start + SHORTEST_PLAY));
  const place = state.events.indexOf(event);
  if (place < state.firstRow || place >= state.firstRow + ROWS) {
    state.firstRow = place - (place % ROWS);
    listEvents();
  }
  for (const [at, row] of [...element.events.tBodies[0].rows].entries()) {
    row.classList.toggle("chosen", at === place - state.firstRow);
  }
  element.events.tBodies[0].rows[place - state.firstRow].scrollIntoView({ block: "nearest" });
  draw();
}

// Files

async function saveCsv() {
  const listed = [];
  for (const recording of recordings.filter(({ error }) => error === undefined)) {
    await recording.load();
    listed.push(...recording.events(state.onset).map((event) => ({ ...event, file: recording.file })));
  }
  saveAs("events.csv", csvText(listed), "text/csv");
  state.unsaved = false;
}

function saveAudacity() {
  saveAs(`${state.recording.name}.labels.txt`, audacityText(state.events), "text/plain");
  if (recordings.length === 1) state.unsaved = false;
}

// Small parts

function newButton(text, onClick) {
  const button = textElement("button", text);
  button.type = "button";
  button.addEventListener("click", onClick);
  return button;
}

function newInput(name, properties) {
  return Object.assign(document.createElement("input"), { ariaLabel: name, ...properties });
}

function textElement(name, text) {
  return Object.assign(document.createElement(name), { textContent: text });
}

function counted(n_events) {
  return n_events === 1 ? "1 event" : `${n_events === 0 ? "no" : n_events} events`;
}

// What the reader does

const KEYS = {
  " ": () => player.toggle(),
  "+": () => zoom(1 / 2, player.time),
  "=": () => zoom(1 / 2, player.time), // + without Shift on many keyboards
  "-": () => zoom(2, player.time),
  0: () => look(0, state.recording.duration),
};
const TIMELINE_KEYS = {
  ArrowLeft: (step) => player.time - step,
  ArrowRight: (step) => player.time + step,
  ArrowDown: (step) => player.time - step,
  ArrowUp: (step) => player.time + step,
  PageDown: (step) => player.time - 10 * step,
  PageUp: (step) => player.time + 10 * step,
  Home: () => 0,
  End: () => state.recording.duration,
};

let byKeyboard = false; // how the reader has come to what has the focus

/** Whether a key is meant for what has the focus: text, or a button that was reached by keyboard. */
function keyIsTaken(key) {
  if (key.ctrlKey || key.metaKey || key.altKey || state.recording?.rows === undefined) return true;
  if (key.target.matches("input:not([type=range])")) return true;
  return key.key === " " && byKeyboard && key.target.matches("button");
}

document.addEventListener("pointerdown", () => (byKeyboard = false), { capture: true });
document.addEventListener("keydown", (key) => {
  if (key.key === "Tab") byKeyboard = true;
  if (keyIsTaken(key) || KEYS[key.key] === undefined) return;
  key.preventDefault();
  KEYS[key.key]();
});
element.timeline.addEventListener("keydown", (key) => {
  if (keyIsTaken(key) || key.target !== element.timeline || TIMELINE_KEYS[key.key] === undefined) return;
  key.preventDefault();
  const time = TIMELINE_KEYS[key.key](key.shiftKey ? 1 / settings.framesPerSecond : 1);
  player.seek(Math.min(Math.max(time, 0), state.recording.duration));
});
element.timeline.addEventListener("click", clickTimeline);
element.timeline.addEventListener("wheel", (wheel) => {
  const { start, end } = state.view;
  if (wheel.ctrlKey) zoom(2 ** (wheel.deltaY / 200), timeAt(wheel));
  else if (wheel.deltaX !== 0) look(start + (wheel.deltaX / element.spectrogram.clientWidth) * (end - start), end - start);
  else return;
  wheel.preventDefault();
}, { passive: false });
element.threshold.addEventListener("input", () => {
  state.onset = Number(element.threshold.value);
  refresh();
});
element.play.addEventListener("click", () => player.toggle());
element["zoom-in"].addEventListener("click", KEYS["+"]);
element["zoom-out"].addEventListener("click", KEYS["-"]);
element["zoom-all"].addEventListener("click", KEYS[0]);
element.undo.addEventListener("click", () => {
  state.recording.undo();
  refresh();
});
element["save-csv"].addEventListener("click", saveCsv);
element["save-audacity"].addEventListener("click", saveAudacity);
for (const [name, step] of [["previous", -ROWS], ["next", ROWS]]) {
  element[name].addEventListener("click", () => {
    state.firstRow += step;
    listEvents();
  });
}
new ResizeObserver(() => {
  draw();
  showPlace();
}).observe(element.timeline);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colour = colours();
  if (state.recording?.rows !== undefined) picture = spectrogramPicture(state.recording, colour.palette);
  draw();
});
addEventListener("beforeunload", (leaving) => {
  if (state.unsaved) leaving.preventDefault();
});

element.threshold.min = settings.offset ?? 0; // events never end above the threshold at which they begin
element.threshold.max = settings.thresholds.length - 1;
if (recordings.length > 1) element["save-csv"].textContent = "Save CSV of all recordings";
listRecordings();
if (recordings.length > 0) open(recordings[0]);
