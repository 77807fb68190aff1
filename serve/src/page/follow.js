// Keeps the newest text in sight, as long as the reader is there.

const NEAR = 32;  // Pixels from the end at which a reader counts as being there.

export class Follow {
  /** `log` scrolls, `content` grows in it, `newest` leads back to the end. */
  constructor(log, content, newest) {
    Object.assign(this, { log, newest, isThere: true, top: 0 });
    const leave = () => this.distance() > 0 && this.set(false);
    log.addEventListener('wheel', (event) => event.deltaY < 0 && leave(), { passive: true });
    log.addEventListener('scroll', () => {
      // Only a reader moves up. That the end moves away is growth: of text, or of blocks whose height had been a guess.
      const isUp = log.scrollTop < this.top - 2;
      this.top = log.scrollTop;
      if (this.distance() < NEAR) this.set(true);
      else if (isUp) this.set(false);
      else this.show();
    }, { passive: true });
    newest.addEventListener('click', () => this.toEnd());
    const observer = new ResizeObserver(() => this.grown());
    observer.observe(content);
    observer.observe(log);
    this.set(true);
  }

  distance() {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight;
  }

  set(isThere) {
    this.isThere = isThere;
    // Who reads further up sees nothing move; at the end the browser's own anchor would move up by itself.
    this.log.style.overflowAnchor = isThere ? 'none' : 'auto';
    this.show();
  }

  /** After the text, or the room for it, has changed. */
  grown() {
    if (this.isThere) {
      this.log.scrollTop = this.log.scrollHeight;
      this.top = this.log.scrollTop;
    }
    this.show();
  }

  toEnd() {
    this.set(true);
    this.grown();
  }

  show() {
    this.newest.hidden = this.isThere || this.distance() < NEAR;
  }
}
