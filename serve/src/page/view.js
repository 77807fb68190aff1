// Draws a reply. The model may change a thousand times a second; the page is touched once per animation frame.
//
// Tokens stand in blocks that end where a line ends, so that the browser lays out and paints only the blocks in sight
// (`content-visibility`). No token has a listener of its own.

const BLOCK = 150;       // Tokens after which a block ends at the next line break,
const LONG_BLOCK = 700;  // or at the next word, if no line break comes.

const UNSURE = [0.9, 0.6, 0.3, 0.1];

export function level(value) {
  return UNSURE.filter((limit) => value < limit).length;
}

export class ReplyView {
  /** `leaders` are the names of the members, whose order gives them their colours; names that turn up are added. */
  constructor(root, reply, leaders) {
    Object.assign(this, { root, leaders });
    this.spans = [];
    this.show(reply);
  }

  /** Draws another reply from the beginning. */
  show(reply) {
    this.reply = reply;
    this.spans = [];
    this.drawn = 0;
    this.root.replaceChildren();
    this.block = null;
    this.flush();
  }

  /** Brings the page to where the reply is. */
  flush() {
    const { steps, changed } = this.reply;
    for (const at of changed) if (at < this.drawn) this.dress(at);
    changed.clear();
    for (; this.drawn < steps.length; this.drawn += 1) {
      const step = steps[this.drawn];
      const element = step.kind === 'token' ? document.createElement('span') : note(step);
      this.spans[this.drawn] = element;
      if (step.kind === 'token') {
        element.dataset.at = this.drawn;
        this.dress(this.drawn);
      }
      this.place(step, element);
    }
  }

  place(step, element) {
    const text = step.text ?? '';
    if (!this.block || (this.size >= LONG_BLOCK && /^\s/.test(text))) this.open();
    this.block.append(element);
    this.size += 1;
    if (this.size >= BLOCK && step.kind === 'token' && text.endsWith('\n')) this.block = null;
  }

  open() {
    this.block = document.createElement('div');
    this.block.className = 'block';
    this.block.dir = 'auto';
    this.size = 0;
    this.root.append(this.block);
  }

  dress(at) {
    const step = this.reply.steps[at];
    const span = this.spans[at];
    if (!span || step.kind !== 'token') return;
    if (step.leader && !this.leaders.includes(step.leader)) this.leaders.push(step.leader);
    const leader = this.leaders.indexOf(step.leader);
    let names = `t c${level(step.confidence)} a${level(step.agreement ?? 1)} l${leader < 0 ? 'x' : leader % 6}`;
    if (step.gone) names += ' gone';
    if (step.beyond) names += ' beyond';
    if (step.picked) names += ' picked';
    if (!step.text) names += ' empty';
    else if (step.text.includes('\n') && !step.text.trim()) names += ' break';
    // What turns the writing direction around does so in its own token only.
    if (/[\u202a-\u202e\u2066-\u2069]/.test(step.text)) names += ' alone';
    if (span.classList.contains('current')) names += ' current';
    span.className = names;
    if (step.gone) span.setAttribute('role', 'deletion');
    if (span.textContent !== step.text) span.textContent = step.text;
  }

  span(at) {
    return this.spans[at];
  }
}

/** A retraction, an adjustment or a notice: a small sign, with its words a key press away. */
function note(step) {
  const box = document.createElement('span');
  const sign = document.createElement('button');
  const words = document.createElement('span');
  box.className = `note ${step.kind}`;
  sign.type = 'button';
  sign.setAttribute('aria-expanded', 'false');
  words.className = 'words';
  if (step.kind === 'retract') {
    const tokens = `${step.tokens} ${step.tokens === 1 ? 'token' : 'tokens'}`;
    sign.textContent = step.reason ? `⌫ ${step.reason}` : '⌫';
    sign.setAttribute('aria-label', `${tokens} taken back by ${step.policy || 'a policy'}: ${step.reason || 'no reason given'}`);
    words.textContent = `${tokens} taken back by ${step.policy || 'a policy'}${step.reason ? `: ${step.reason}` : ''}`;
  } else {
    sign.textContent = step.sign;
    sign.setAttribute('aria-label', `${step.title}. ${step.text}`);
    words.textContent = step.text ? `${step.title}: ${step.text}` : step.title;
  }
  box.append(sign, words);
  return box;
}
