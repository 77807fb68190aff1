// Reaching tokens: by pointer, and by the arrow keys. One token at most can be focused; all others are plain text.

export class Tokens {
  /** `onShow(turn, at)` when a token is opened, `onCurrent(turn, at)` when another one becomes the current one. */
  constructor(turns, { onShow, onCurrent }) {
    Object.assign(this, { turns, onShow, onCurrent, turn: null, at: -1 });
    const { root } = turns;
    root.addEventListener('click', ({ target }) => {
      const span = target.closest('.t');
      // Who selects text does not open anything.
      if (!span || !getSelection().isCollapsed) return;
      this.select(turns.turnOf(span), Number(span.dataset.at));
      this.onShow(this.turn, this.at);
    });
    root.addEventListener('keydown', (event) => this.key(event));
  }

  get reply() {
    return this.turn && this.turns.view(this.turn)?.reply;
  }

  /** Makes a token the current one. */
  select(turn, at, takesFocus = true) {
    this.release();
    Object.assign(this, { turn, at });
    const view = this.turns.view(turn), step = view?.reply.steps[at], span = view?.span(at);
    if (!span) return;
    span.classList.add('current');
    span.tabIndex = -1;
    if (span.getAttribute('role') !== 'deletion') span.setAttribute('role', 'button');
    const chance = `confidence ${Math.round(step.confidence * 100)} %`;
    span.setAttribute('aria-label', `${step.text || 'half a character'}, ${chance}${step.leader ? `, ${step.leader} leads` : ''}${step.gone ? ', taken back' : ''}`);
    if (takesFocus) span.focus({ preventScroll: true });
    span.scrollIntoView({ block: 'nearest' });
    this.onCurrent(turn, at);
  }

  release() {
    const span = this.turn && this.turns.view(this.turn)?.span(this.at);
    if (!span) return;
    span.classList.remove('current');
    for (const name of ['tabindex', 'aria-label']) span.removeAttribute(name);
    if (span.getAttribute('role') === 'button') span.removeAttribute('role');
  }

  forget() {
    this.release();
    Object.assign(this, { turn: null, at: -1 });
  }

  /** The next or the last token before, struck out ones included. False at an end. */
  move(direction, takesFocus = true) {
    const steps = this.reply?.steps ?? [];
    for (let at = this.at + direction; at >= 0 && at < steps.length; at += direction) {
      if (steps[at].kind === 'token' && this.turns.view(this.turn).span(at)?.offsetParent) {
        this.select(this.turn, at, takesFocus);
        return true;
      }
    }
    return false;
  }

  /** The token above or below. */
  moveLine(direction) {
    const view = this.turns.view(this.turn);
    const here = view.span(this.at).getClientRects()[0];
    let best = -1, distance = Infinity, top = null;
    for (let at = this.at + direction, seen = 0; at >= 0 && at < view.reply.steps.length && seen < 400; at += direction, seen += 1) {
      const rect = view.reply.steps[at].kind === 'token' ? view.span(at)?.getClientRects()[0] : null;
      if (!rect || Math.abs(rect.top - here.top) < here.height / 2) continue;
      if (top !== null && Math.abs(rect.top - top) > here.height / 2) break;
      top = rect.top;
      if (Math.abs(rect.left - here.left) < distance) [best, distance] = [at, Math.abs(rect.left - here.left)];
    }
    if (best >= 0) this.select(this.turn, best);
  }

  key(event) {
    const root = event.target.closest('.reply');
    if (!root || event.target.closest('.note') || event.ctrlKey || event.metaKey || event.altKey) return;
    const turn = this.turns.turnOf(root);
    const steps = this.turns.view(turn).reply.steps;
    const end = (from, direction) => {
      this.select(turn, from);
      if (steps[from]?.kind !== 'token') this.move(direction);
    };
    const isHere = this.turn === turn && this.at >= 0 && this.at < steps.length;
    const acts = {
      ArrowRight: () => (isHere ? this.move(1) : end(0, 1)),
      ArrowLeft: () => (isHere ? this.move(-1) : end(steps.length - 1, -1)),
      ArrowDown: () => (isHere ? this.moveLine(1) : end(0, 1)),
      ArrowUp: () => (isHere ? this.moveLine(-1) : end(steps.length - 1, -1)),
      Home: () => end(0, 1),
      End: () => end(steps.length - 1, -1),
      Enter: () => (isHere ? this.onShow(turn, this.at, true) : end(0, 1)),
      ' ': () => isHere && this.onShow(turn, this.at, true),
    };
    const act = acts[event.key];
    if (!act || !steps.length) return;
    event.preventDefault();
    act();
  }
}
