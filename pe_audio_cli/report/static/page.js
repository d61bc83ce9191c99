// Selection of the recording, and handlers of keys and clicks.

const LONGEST_SLIDER = 2; // seconds, of a gap or of the shortest event, unless the command asked for more

async function open(recording) {
  player.load(null);
  Object.assign(state, { recording, events: [], chosen: null, changing: null, firstRow: 0, allTracks: false });
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
  if (recording === state.recording) show(recording); // else the reader has gone on to another
}

/** Show a recording that is loaded. */
function show(recording) {
  const url = recording.soundUrl();
  player.load(url);
  state.view = { start: 0, end: recording.duration };
  element.play.disabled = url === null;
  element.labels.replaceChildren(...recording.labels.map((label) => new Option(label, label)));
  element.timeline.ariaValueMax = recording.duration.toFixed(2);
  for (const name of ["threshold", "gap", "shortest"]) element[name].disabled = !recording.exact;
  for (const unit of element.events.querySelectorAll("th .unit")) unit.textContent = unitText();
  showNote(recording);
  paint();
  refresh();
  showPlace();
}

function factsOf({ file, duration, sampleRate, channels, model }) {
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

function showNote(recording) {
  const notes = [];
  if (!recording.exact) {
    const listed = recording.fixed.length / 4;
    notes.push("This recording is too long for its events to be found anew here.");
    if (listed < recording.eventsFound) notes.push(`Only the first ${listed} of ${recording.eventsFound} events are listed.`);
  }
  if (recording.soundUrl() === null) notes.push("There is no sound: it came through standard input.");
  element.note.textContent = notes.join(" ");
  element.note.hidden = notes.length === 0;
}

function showPlaying() {
  const [sign, word] = player.playing ? ["⏸", "Pause"] : ["▶", "Play"];
  element.play.replaceChildren(Object.assign(textElement("span", sign), { ariaHidden: "true" }), ` ${word}`);
}

// Keys and clicks

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

/** True if a key belongs to the focused element: text, or a button reached by keyboard. */
function keyIsTaken(key) {
  if (key.ctrlKey || key.metaKey || key.altKey || !state.recording?.isLoaded) return true;
  if (key.target.matches("input:not([type=range])")) return true;
  return key.key === " " && byKeyboard && key.target.matches("button");
}

function pressKey(key) {
  if (key.key === "Tab") byKeyboard = true;
  if (keyIsTaken(key) || KEYS[key.key] === undefined) return;
  key.preventDefault();
  KEYS[key.key]();
}

function pressKeyOnTimeline(key) {
  if (keyIsTaken(key) || key.target !== element.timeline || TIMELINE_KEYS[key.key] === undefined) return;
  key.preventDefault();
  const aim = TIMELINE_KEYS[key.key](key.shiftKey ? 1 / settings.framesPerSecond : 1);
  const time = Math.min(Math.max(aim, 0), state.recording.duration);
  player.seek(time);
  bringIntoView(time);
}

function turnWheel(wheel) {
  const { start, end } = state.view;
  const sideways = (wheel.deltaX / element.spectrogram.clientWidth) * (end - start);
  if (wheel.ctrlKey) zoom(2 ** (wheel.deltaY / 200), timeAt(wheel));
  else if (sideways !== 0) look(start + sideways, end - start);
  else return; // the page scrolls
  wheel.preventDefault();
}

document.addEventListener("pointerdown", () => (byKeyboard = false), { capture: true });
document.addEventListener("keydown", pressKey);
element.timeline.addEventListener("keydown", pressKeyOnTimeline);
element.timeline.addEventListener("click", clickTimeline);
element.timeline.addEventListener("wheel", turnWheel, { passive: false });
element.threshold.addEventListener("input", () => {
  state.onset = Number(element.threshold.value);
  refresh();
});
for (const name of ["gap", "shortest"]) {
  element[name].max = Math.max(LONGEST_SLIDER * settings.framesPerSecond, state.rule[name] ?? 0);
  element[name].addEventListener("input", () => {
    state.rule[name] = Number(element[name].value) || null;
    refresh();
  });
}
element.filter.addEventListener("input", () => {
  state.filter = element.filter.value;
  state.firstRow = 0;
  refresh();
});
element.audio.addEventListener("loadedmetadata", () => (element.audio.hidden = element.audio.videoWidth === 0));
element.audio.addEventListener("emptied", () => (element.audio.hidden = true));
for (const [name, act] of [
  ["play", KEYS[" "]],
  ["zoom-in", KEYS["+"]],
  ["zoom-out", KEYS["-"]],
  ["zoom-all", KEYS[0]],
  ["add", startEvent],
  ["undo", undo],
  ["save-csv", saveCsv],
  ["save-raven", saveRaven],
  ["save-audacity", () => saveOne(".labels.txt", audacityText)],
  ["save-srt", () => saveOne(".srt", srtText)],
  ["save-vtt", () => saveOne(".vtt", vttText)],
  ["previous", () => turn(-1)],
  ["next", () => turn(1)],
]) {
  element[name].addEventListener("click", act);
}
new ResizeObserver(() => {
  draw();
  showPlace();
}).observe(element.timeline);
new ResizeObserver(() => {
  document.documentElement.style.setProperty("--stage", `${element.stage.offsetHeight}px`);
}).observe(element.stage);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (!state.recording?.isLoaded) return;
  paint();
  draw();
});
addEventListener("beforeunload", (leaving) => {
  if (state.unsaved) leaving.preventDefault();
});

element.threshold.min = settings.rule.offset ?? 0; // events never end above the threshold at which they begin
element.threshold.max = settings.thresholds.length - 1;
if (recordings.length > 1) {
  element["save-csv"].textContent = "Save CSV of all recordings";
  element["save-raven"].textContent = "Save Raven table of all recordings";
}
listRecordings();
if (recordings.length > 0) open(recordings[0]);
