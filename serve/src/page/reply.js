// One reply as it was written: steps in the order in which they happened, text that was taken back included.
//
// A token step knows the step before it in the text of that time (`before`), so that the pieces that lead to any token, one
// that was taken back too, can be found without looking at what happened later.

import { byteLength, join } from './bytes.js';
import { pack, unpack } from './pack.js';

export class Reply {
  constructor() {
    this.steps = [];
    this.last = -1;         // The step of the last token that stands.
    this.standing = 0;      // Tokens that stand.
    this.told = 0;          // Pieces that this request has told so far,
    this.expected = 0;      // and how many of them are already here, since they were given.
    this.committed = 0;     // Bytes that can no longer be taken back.
    this.retractions = 0;
    this.finish = null;     // { kind, reason } once it is over.
    this.by = null;         // The models that its units are of.
    this.problem = '';      // A sentence, if the request failed.
    this.changed = new Set();  // Steps that a view has to draw again.
  }

  /** A reply that begins with the pieces up to step `at`, and then perhaps another one. */
  static from(source, at, picked = null) {
    const reply = new Reply();
    for (const index of source.path(at)) {
      const step = source.steps[index];
      reply.place({ ...step, gone: false });
    }
    if (picked) reply.place(picked);
    reply.by = source.by;
    reply.expected = reply.standing;
    return reply;
  }

  /** Indices of the token steps up to and including `at`, in order. */
  path(at = this.last) {
    const found = [];
    for (let index = at; index >= 0; index = this.steps[index].before) found.push(index);
    return found.reverse();
  }

  /** Pieces as the server takes them. */
  given(at = this.last) {
    return this.path(at).map((index) => this.steps[index].units);
  }

  text(at = this.last) {
    return this.path(at).map((index) => this.steps[index].text).join('');
  }

  place(step) {
    const left = this.last < 0 ? [] : this.steps[this.last].left;
    const { text, left: rest } = join(left, step.bytes);
    this.steps.push({ ...step, kind: 'token', text, left: rest, before: this.last, index: this.standing });
    this.last = this.steps.length - 1;
    this.standing += 1;
  }

  /** A request begins that goes on from what stands. */
  begin() {
    this.told = 0;
    this.expected = this.standing;
    this.finish = null;
    this.problem = '';
  }

  token({ piece, event = {}, committed = 0 }) {
    this.committed = committed;
    if (!piece) return;
    const step = {
      bytes: piece.bytes, units: piece.units, logprob: piece.logprob,
      alternatives: piece.alternatives ?? [], candidates: piece.members ?? [],
      confidence: event.confidence ?? Math.exp(piece.logprob), entropy: event.entropy, agreement: event.agreement,
      leader: event.leader ?? '', members: event.members ?? [],
    };
    this.told += 1;
    if (this.told <= this.expected && this.retell(step)) return;
    this.place(step);
  }

  /** A given piece, told with what the members gave it. False when it is another one than was given. */
  retell(step) {
    const path = this.path();
    const at = path[this.told - 1];
    const known = this.steps[at];
    if (String(known.bytes) === String(step.bytes)) {
      this.steps[at] = { ...known, ...step };
      this.changed.add(at);
      return true;
    }
    for (const index of path.slice(this.told - 1)) this.take(index);
    this.expected = 0;
    return false;
  }

  take(index) {
    const step = this.steps[index];
    step.gone = true;
    this.changed.add(index);
    if (this.last === index || this.last > index) this.last = step.before;
    this.standing = this.last < 0 ? 0 : this.steps[this.last].index + 1;
  }

  retract({ index, units = 0, event = {} }) {
    // `index` counts units. Where units are bytes a token has several.
    const path = this.path();
    let total = 0;
    for (const at of path) total += this.steps[at].units.length;
    const byUnits = total === index + units;
    let left = units, tokens = 0;
    while (left > 0 && path.length) {
      const at = path.pop();
      left -= byUnits ? this.steps[at].units.length : 1;
      this.take(at);
      tokens += 1;
    }
    this.retractions += 1;
    this.steps.push({ kind: 'retract', tokens, policy: event.policy ?? '', reason: event.reason ?? '' });
  }

  /** An adjustment, a reload, a notice. */
  mark(event) {
    const step = mark(event);
    if (step) this.steps.push(step);
  }

  done({ finish, text }) {
    this.finish = ending(finish);
    if (typeof text !== 'string') return;
    this.committed = byteLength(text);
    const shown = this.text();
    if (shown === text) return;
    // What a stop string hid is shown as what it is; what ended in half a character ends in U+FFFD; a template trims.
    if (shown.startsWith(text)) this.cut(shown.length - text.length);
    else if (this.last >= 0 && text.startsWith(shown)) this.amend(this.last, this.steps[this.last].text + text.slice(shown.length));
    else if (shown.trimStart() === text.trimStart()) this.amend(this.path()[0], this.steps[this.path()[0]].text.trimStart());
  }

  /** Takes `length` characters off the end that were written and do not belong to the text. */
  cut(length) {
    while (length > 0 && this.last >= 0) {
      const at = this.last, step = this.steps[at];
      if (step.text.length > length) {
        this.amend(at, step.text.slice(0, -length));
        return;
      }
      length -= step.text.length;
      step.beyond = true;
      this.changed.add(at);
      this.last = step.before;
      this.standing -= 1;
    }
  }

  amend(at, text) {
    this.steps[at].text = text;
    this.changed.add(at);
  }

  /** For the storage of the tab: see `pack`. */
  store(most) {
    const { last, standing, committed, retractions, finish, problem, by } = this;
    return { steps: pack(this.steps, most), last, standing, committed, retractions, finish, problem, by };
  }

  static revive(stored) {
    const finish = stored.finish ?? { kind: 'reloaded', reason: '' };
    return Object.assign(new Reply(), stored, { steps: unpack(stored.steps), finish });
  }
}

function mark(event) {
  switch (event.type) {
    case 'adjust': {
      const number = (value) => (typeof value === 'number' ? value.toFixed(2) : '?');
      const what = `temperature ${number(event.temperature)}, repeat penalty ${number(event.repeat_penalty)}`;
      return { kind: 'mark', sign: '◇', title: `${event.policy}: ${what}`, text: event.reason ?? '' };
    }
    case 'reload':
      return { kind: 'mark', sign: '↻', title: `${event.file ?? event.hook} reloaded`, text: `version ${event.version}` };
    case 'notice':
      return { kind: 'mark', sign: 'i', title: 'Notice', text: event.text ?? '' };
    default:
      return null;
  }
}

/** Why a reply ended: `{"kind": "policy", "reason": "too long"}`. */
export function ending(finish) {
  return { kind: String(finish?.kind ?? 'end'), reason: String(finish?.reason ?? '') };
}

const ENDINGS = {
  end: 'complete', eos: 'complete', stop: 'ended at a stop string', length: 'as long as it may be', cut: 'cut by the server',
  policy: 'ended by a policy', failed: 'a member failed', stopped: 'stopped by you', reloaded: 'cut by a reload of the page',
  lost: 'cut by a lost connection', refused: 'not written',
};

export function endingInWords({ kind, reason }) {
  const words = ENDINGS[kind] ?? kind;
  return reason ? `${words}: ${reason}` : words;
}
