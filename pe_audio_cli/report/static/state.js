// The state of the page.

const element = Object.fromEntries([...document.querySelectorAll("[id]")].map((each) => [each.id, each]));
const { settings, recordings } = readPage();
const state = {
  recording: null,
  onset: settings.onset, // the place of the threshold
  rule: { ...settings.rule },
  filter: "", // that labels have to hold to be shown
  view: { start: 0, end: 1 }, // seconds
  events: [], // of the recording, at the threshold, with the reader's changes
  shown: [], // those of them whose labels the filter lets through
  chosen: null, // the event that was clicked last
  changing: null, // the event whose row is a form; one that is not listed yet is to be added
  firstRow: 0,
  allTracks: false,
  unsaved: false,
};
const player = new Player(element.audio, {
  onMove: showPlace,
  onChange: showPlaying,
  onProblem: () =>
    tellProblem(
      `The browser cannot play ${state.recording.file}: it lies elsewhere now, or is of a kind that browsers do not ` +
        "know. A report made with --embed-audio holds the sound itself.",
    ),
});
