// The timeline: spectrogram, tracks, axis and cursor of the visible part of the recording.

const TRACKS = 12; // labels shown unless the reader wants all
const SHORTEST_VIEW = 0.5; // seconds

let colour = colours();
let picture = null; // the spectrogram in these colours

/** Take the colours of the page, and the spectrogram of its recording. */
function paint() {
  colour = colours();
  picture = spectrogramPicture(state.recording, colour.palette);
}

function draw() {
  const { recording, view, onset, events, chosen } = state;
  if (!recording?.isLoaded) return;
  makeTracks();
  drawSpectrogram(element.spectrogram, recording, picture, view, colour);
  for (const canvas of element.tracks.querySelectorAll("canvas")) {
    const its = events.filter(({ label }) => label === canvas.dataset.label);
    drawTrack(canvas, recording, view, onset, its, chosen, colour);
  }
  drawAxis(element.axis, view, recording.duration, colour);
}

/** Make a row for each label, unless the rows exist. */
function makeTracks() {
  const shown = trackLabels();
  const canvases = [...element.tracks.querySelectorAll("canvas")];
  if (shown.length === canvases.length && shown.every((label, row) => label === canvases[row].dataset.label)) return;
  element.tracks.replaceChildren(...shown.map(newTrack));
  const { labels } = state.recording;
  if (!labels.some((label) => isShown(label) && !shown.includes(label))) return;
  const more = newButton(`Show all ${labels.length} labels`, () => {
    state.allTracks = true;
    draw();
  });
  more.className = "more";
  element.tracks.append(more);
}

/** The labels with a track: the twelve most probable of many, or all, and those added by the reader. */
function trackLabels() {
  const { recording, allTracks } = state;
  const { labels, peaks } = recording;
  const places = labels.map((_, place) => place).filter((place) => isShown(labels[place]));
  places.sort((a, b) => peaks[b] - peaks[a]);
  const shown = allTracks ? places : places.slice(0, TRACKS);
  const made = recording.edits.map(({ now }) => now?.label).filter((label) => label !== undefined && isShown(label));
  return [...new Set([...shown.sort((a, b) => a - b).map((place) => labels[place]), ...made])];
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

/** Move the cursor and the clock to the position of the player, which stays in view while it plays. */
function showPlace() {
  const { recording } = state;
  if (!recording?.isLoaded) return;
  const time = Math.min(player.time, recording.duration);
  if (player.playing) bringIntoView(time);
  const { start, end } = state.view;
  const { offsetLeft, clientWidth } = element.spectrogram;
  element.cursor.hidden = time < start || time > end;
  element.cursor.style.transform = `translateX(${offsetLeft + (clientWidth * (time - start)) / (end - start)}px)`;
  element.time.textContent = `${clock(time, 2, recording.duration)} / ${clock(recording.duration, 2)}`;
  element.timeline.ariaValueNow = time.toFixed(2);
  element.timeline.ariaValueText = `${clock(time, 2, recording.duration)} of ${clock(recording.duration, 2)}`;
}

/** Move the view to a time, unless it is visible. */
function bringIntoView(time) {
  const { start, end } = state.view;
  if (time < start || time > end) look(time - 0.05 * (end - start), end - start);
}

/** Show up to `seconds` of the recording from `start`. */
function look(start, seconds) {
  const { duration } = state.recording;
  const length = Math.min(Math.max(seconds, SHORTEST_VIEW), duration);
  const first = Math.min(Math.max(start, 0), duration - length);
  state.view = { start: first, end: first + length };
  draw();
  showPlace();
}

/** Zoom out by `factor`, with `time` at a fixed position. */
function zoom(factor, time) {
  const { start, end } = state.view;
  const middle = time >= start && time <= end ? time : (start + end) / 2;
  const longest = Math.min((end - start) * factor, state.recording.duration);
  const seconds = Math.max(longest, Math.min(SHORTEST_VIEW, state.recording.duration));
  look(middle - ((middle - start) / (end - start)) * seconds, seconds);
}

/** A click on a bar plays its event, one beside all bars moves the cursor. */
function clickTimeline(pointer) {
  const time = timeAt(pointer);
  const hit = eventAround(pointer.target.dataset.label, time);
  if (hit !== undefined) playEvent(hit);
  else if (pointer.target instanceof HTMLCanvasElement) player.seek(time);
}

function timeAt(pointer) {
  const { left, width } = element.spectrogram.getBoundingClientRect();
  const { start, end } = state.view;
  const time = start + ((pointer.clientX - left) / width) * (end - start);
  return Math.min(Math.max(time, 0), state.recording.duration);
}

/** The event of a label at a time, with a tolerance of two pixels. */
function eventAround(label, time) {
  const slack = (2 * (state.view.end - state.view.start)) / element.spectrogram.clientWidth;
  return state.events.find(
    (event) => event.label === label && event.start - slack <= time && time <= event.end + slack,
  );
}
