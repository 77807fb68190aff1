// Keeps the newest text in sight, as long as the reader is there.

const NEAR = 32;  // Pixels from the end at which a reader counts as being there.

export class Follow {
  constructor(log, newest) {
    Object.assign(this, { log, newest, isThere: true });
    const leave = () => {
      if (this.distance() > 0) this.isThere = false;
    };
    log.addEventListener('scroll', () => {
      // A scroll that the page made itself ends at the end, so it changes nothing here.
      this.isThere = this.distance() < NEAR;
      this.show();
    }, { passive: true });
    log.addEventListener('wheel', (event) => event.deltaY < 0 && leave(), { passive: true });
    newest.addEventListener('click', () => this.toEnd());
  }

  distance() {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight;
  }

  /** After the text has grown. */
  grown() {
    if (this.isThere) this.log.scrollTop = this.log.scrollHeight;
    this.show();
  }

  toEnd() {
    this.isThere = true;
    this.grown();
  }

  show() {
    this.newest.hidden = this.isThere || this.distance() < NEAR;
  }
}
