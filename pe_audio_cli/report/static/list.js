// The list of events, and its editing.

const ROWS = 200; // events listed at once
const SHORTEST_PLAY = 0.4; // least seconds of an event that are played: less is a click
const NEW_EVENT = 1; // seconds

/** Compute the events again, after a change of the threshold, the rule, the filter or an event. */
function refresh() {
  const { recording, onset, rule } = state;
  state.events = recording.events(onset, rule);
  state.shown = state.events.filter(({ label }) => isShown(label));
  if (!state.events.includes(state.chosen)) state.chosen = null;
  if (!state.events.includes(state.changing)) state.changing = null;
  element.threshold.value = onset;
  element["threshold-value"].textContent = exactText(settings.thresholds[onset]);
  element.threshold.ariaValueText = element["threshold-value"].textContent;
  for (const name of ["gap", "shortest"]) showLength(name, rule[name]);
  element.undo.hidden = recording.history.length === 0;
  const changes = recording.edits.length;
  const { length } = state.shown;
  const found = counted(state.events.length);
  const of = length === state.events.length ? found : `${length} of ${found}`;
  element.count.textContent = of + (changes ? `, ${changes} changed by you` : "");
  listEvents();
  draw();
}

/** True if a label matches the filter, ignoring case. */
function isShown(label) {
  return label.toLowerCase().includes(state.filter.trim().toLowerCase());
}

/** Show the length of a slider, in frames; null is off. */
function showLength(name, frames) {
  const output = element[`${name}-value`];
  element[name].value = frames ?? 0;
  output.textContent = frames === null ? "off" : `${(frames / settings.framesPerSecond).toFixed(2)} s`;
  element[name].ariaValueText = output.textContent;
}

function listEvents() {
  const { shown: events, changing } = state;
  const n_pages = Math.max(1, Math.ceil(events.length / ROWS));
  state.firstRow = Math.min(state.firstRow, (n_pages - 1) * ROWS);
  const shown = events.slice(state.firstRow, state.firstRow + ROWS);
  const rows = shown.map((event) => (event === changing ? formRow(event) : eventRow(event)));
  if (changing !== null && !events.includes(changing)) rows.unshift(formRow(changing));
  element.events.tBodies[0].replaceChildren(...rows);
  element.events.hidden = rows.length === 0;
  element.pages.hidden = n_pages === 1;
  element["page-of"].textContent = `${state.firstRow + 1} to ${state.firstRow + shown.length} of ${events.length}`;
  element.previous.disabled = state.firstRow === 0;
  element.next.disabled = state.firstRow + ROWS >= events.length;
}

/** Go to another page of the list. */
function turn(step) {
  state.firstRow += step * ROWS;
  listEvents();
}

function eventRow(event) {
  const row = document.createElement("tr");
  row.classList.toggle("chosen", event === state.chosen);
  row.classList.toggle("changed", state.recording.isChanged(event));
  const name = newButton(event.label, () => playEvent(event));
  name.className = "play-event";
  name.dir = "auto";
  const at = `${event.label} at ${clock(event.start, 2, state.recording.duration)}`;
  const edit = newButton("Edit", () => startChange(event));
  edit.ariaLabel = `Edit ${at}`;
  const remove = newButton("Delete", () => removeEvent(event));
  remove.ariaLabel = `Delete ${at}`;
  const probability = event.probability === null ? "–" : event.probability.toFixed(2);
  for (const cell of [name, timeText(event.start), timeText(event.end), probability]) row.insertCell().append(cell);
  row.insertCell().append(edit, " ", remove);
  return row;
}

function timeText(time) {
  return clock(time, Number.isInteger(Math.round(time * 1e6) / 1e4) ? 2 : 3, state.recording.duration);
}

/** Show the page of the list with an event, and return its row. */
function rowOf(event) {
  const place = state.shown.indexOf(event);
  if (place < 0) return undefined;
  if (place < state.firstRow || place >= state.firstRow + ROWS) {
    state.firstRow = place - (place % ROWS);
    listEvents();
  }
  return element.events.tBodies[0].rows[place - state.firstRow];
}

/** Play an event, show where it is, or pause if it is playing. */
function playEvent(event) {
  if (player.playing && player.stopAt !== null && event === state.chosen) {
    player.toggle();
    return;
  }
  state.chosen = event;
  const { start, end } = state.view;
  if (event.start < start || event.end > end) look(event.start - 0.1 * (end - start), end - start);
  player.playRange(event.start, Math.max(event.end, event.start + SHORTEST_PLAY));
  const row = rowOf(event);
  for (const other of element.events.tBodies[0].rows) other.classList.toggle("chosen", other === row);
  row?.scrollIntoView({ block: "nearest" });
  draw();
}

// Changes

function formRow(event) {
  const row = document.createElement("tr");
  row.className = "form";
  const label = newInput("Label", { value: event.label, required: true });
  label.setAttribute("list", "labels");
  const start = newTimeInput("Start", event.start);
  const end = newTimeInput("End", event.end);
  const save = newButton("Save", () => saveChange(event, label, start, end));
  const cancel = newButton("Cancel", () => endChange(event));
  row.addEventListener("keydown", (key) => {
    const button = key.key === "Escape" ? cancel : key.key === "Enter" && key.target.matches("input") ? save : null;
    if (button === null) return;
    key.preventDefault(); // or it would go on to what gets the focus
    button.click();
  });
  for (const cell of [label, start, end, ""]) row.insertCell().append(cell);
  row.insertCell().append(save, " ", cancel);
  return row;
}

/** A field for a time in the unit of the list, which keeps all of its digits until it is changed. */
function newTimeInput(name, time) {
  const text = timeText(time);
  const input = newInput(`${name} ${unitText()}`, { value: text, required: true, inputMode: "decimal", size: 9 });
  input.seconds = () => (input.value === text ? time : secondsOf(input.value));
  return input;
}

/** The error message for a time; empty if it is valid. */
function timeProblem(time) {
  const { duration } = state.recording;
  if (Number.isNaN(time)) return `A time is written as in the list, ${unitText()}.`;
  return time > duration ? `The recording ends at ${timeText(duration)}.` : "";
}

/** The unit of the times of the recording. */
function unitText() {
  const { duration } = state.recording;
  return duration < 60 ? "(s)" : duration < 3600 ? "(min:s)" : "(h:min:s)";
}

function startChange(event) {
  state.changing = event;
  listEvents();
  element.events.querySelector(".form").scrollIntoView({ block: "nearest" });
  element.events.querySelector(".form input").select();
}

/** Add an event at the cursor. */
function startEvent() {
  const { recording, chosen } = state;
  const start = Math.min(player.time, Math.max(recording.duration - NEW_EVENT, 0));
  const end = Math.min(start + NEW_EVENT, recording.duration);
  startChange(recording.eventOf(chosen?.label ?? recording.labels[0], start, end));
}

function saveChange(event, label, start, end) {
  const [first, last] = [start.seconds(), end.seconds()];
  start.setCustomValidity(timeProblem(first));
  end.setCustomValidity(first >= last ? "The end must come after the start." : timeProblem(last));
  label.setCustomValidity(label.value.trim() === "" ? "An event needs a label." : "");
  if (![label, start, end].every((input) => input.reportValidity())) return;
  const now = state.recording.eventOf(label.value, first, last);
  applyChange(state.events.includes(event) ? event : null, now);
  endChange(now);
}

function endChange(event) {
  state.changing = null;
  listEvents();
  (rowOf(event)?.querySelector("td:last-child button") ?? element.add).focus();
}

function removeEvent(event) {
  const place = state.shown.indexOf(event);
  applyChange(event, null);
  const next = state.shown[Math.min(place, state.shown.length - 1)];
  (rowOf(next)?.querySelector("td:last-child button:last-child") ?? element.add).focus();
}

/** Replace an event by `now`; either may be null. */
function applyChange(event, now) {
  state.recording.change(event, now);
  state.unsaved = true;
  if (state.chosen === event) state.chosen = now;
  refresh();
}

function undo() {
  state.recording.undo();
  refresh();
}

// Files

/** All readable recordings, each with its events, for tables of several recordings. */
async function allEvents() {
  const all = [];
  for (const recording of recordings.filter(({ error }) => error === undefined)) {
    await recording.load();
    const { file, path, sampleRate, duration } = recording;
    all.push({ file, path, sampleRate, duration, events: recording.events(state.onset, state.rule) });
  }
  return all;
}

async function saveCsv() {
  const all = await allEvents();
  const listed = all.flatMap(({ file, events }) => events.map((event) => ({ ...event, file })));
  saveAs("events.csv", csvText(listed), "text/csv");
  state.unsaved = false;
}

async function saveRaven() {
  const all = await allEvents();
  const name = recordings.length === 1 ? state.recording.name : "events";
  saveAs(`${name}.selections.txt`, ravenText(all), "text/plain");
  state.unsaved = false;
}

/** Save the events of the recording that is shown, in a format that holds one. */
function saveOne(ending, textOf) {
  saveAs(state.recording.name + ending, textOf(state.events), "text/plain");
  if (recordings.length === 1) state.unsaved = false;
}
