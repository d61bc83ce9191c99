// Plays a recording or one of its events, and has the position; without audio there is only the position.

class Player {
  /** `onMove` is called for every new position, `onChange` on play and stop, `onProblem` if there is no audio. */
  constructor(audio, { onMove, onChange, onProblem }) {
    this.audio = audio;
    this.onMove = onMove;
    this.stopAt = null;
    this.silent = 0; // the place, while there is no sound
    for (const name of ["play", "pause", "ended"]) audio.addEventListener(name, onChange);
    audio.addEventListener("play", () => this.follow());
    audio.addEventListener("error", () => {
      if (audio.hasAttribute("src")) onProblem();
    });
  }

  /** Load another recording; null is one without audio. */
  load(url) {
    this.audio.pause();
    this.stopAt = null;
    this.silent = 0;
    if (url === null) this.audio.removeAttribute("src");
    else this.audio.src = url;
    this.audio.load();
  }

  get hasSound() {
    return this.audio.hasAttribute("src") && this.audio.error === null;
  }

  get playing() {
    return !this.audio.paused;
  }

  get time() {
    return this.hasSound ? this.audio.currentTime : this.silent;
  }

  seek(time) {
    this.stopAt = null;
    this.silent = time;
    if (this.hasSound) this.audio.currentTime = time;
    this.onMove();
  }

  toggle() {
    this.stopAt = null;
    if (this.playing) this.audio.pause();
    else this.play();
  }

  /** Play from `start` to `end` seconds. */
  playRange(start, end) {
    this.seek(start);
    this.stopAt = end;
    this.play();
  }

  play() {
    if (this.hasSound) this.audio.play().catch(() => {}); // the audio element tells of what is wrong
  }

  follow() {
    if (this.stopAt !== null && this.time >= this.stopAt) {
      this.stopAt = null;
      this.audio.pause();
    }
    this.onMove();
    if (this.playing) requestAnimationFrame(() => this.follow());
  }
}
