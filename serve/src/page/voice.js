// What a screen reader hears: whole sentences that can no longer be taken back, every few seconds at most.

const PAUSE = 5000;
const LONGEST = 600;

export class Voice {
  constructor(root) {
    Object.assign(this, { root, said: 0, next: 0 });
  }

  begin() {
    this.said = 0;
    this.next = performance.now() + PAUSE;
    this.say('Writing.');
  }

  /** While a reply is written; `read` gives the text that stands for sure. */
  progress(read) {
    if (performance.now() < this.next) return;
    this.next = performance.now() + PAUSE;
    const text = read();
    const fresh = text.slice(this.said);
    const end = Math.max(...['. ', '! ', '? ', '\n'].map((sign) => fresh.lastIndexOf(sign))) + 1;
    if (end <= 0) return;
    this.said += end;
    this.say(fresh.slice(Math.max(0, end - LONGEST), end));
  }

  end(text, words) {
    this.say(`${text.slice(this.said).slice(-LONGEST)} ${words}`.trim());
  }

  say(text) {
    this.root.textContent = text;
  }
}
