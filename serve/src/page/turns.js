// Turns in the page: what the person wrote, replies, and below each reply what can be done with it.

import { ReplyView } from './view.js';
import { endingInWords } from './reply.js';
import { chooseVersion, replyOf, session, turns } from './session.js';

const AGAIN = ['length', 'stopped', 'reloaded', 'lost', 'cut', 'failed', 'refused', 'policy', 'stop'];

export class Turns {
  /** `acts` has `again(turn)`, `goOn(turn)`, `chosen()`, `say(text)`, and `busy()`: the turn that is being written. */
  constructor(root, acts) {
    Object.assign(this, { root, acts, views: new Map(), leaders: [] });
    root.addEventListener('click', (event) => {
      const button = event.target.closest('.below button, .note button');
      if (!button) return;
      if (button.parentElement.classList.contains('note')) {
        button.setAttribute('aria-expanded', String(button.getAttribute('aria-expanded') !== 'true'));
        return;
      }
      const turn = this.turnOf(button);
      if (turn) this.act(button.dataset.act, turn);
    });
  }

  /** The turn that an element belongs to. */
  turnOf(element) {
    const article = element.closest('article');
    return [...this.views].find(([, view]) => view.article === article)?.[0];
  }

  view(turn) {
    return this.views.get(turn)?.view;
  }

  /** Draws all turns that are not there yet, and removes those that are gone. */
  draw() {
    const now = turns();
    for (const [turn, { article }] of this.views) {
      if (!now.includes(turn)) {
        article.remove();
        this.views.delete(turn);
      }
    }
    this.root.dataset.mode = session.mode;
    now.forEach((turn, place) => {
      let found = this.views.get(turn);
      if (!found) {
        found = turn.role === 'user' ? asked(turn) : this.answered(turn, place);
        this.views.set(turn, found);
      }
      if (this.root.children[place] !== found.article) this.root.insertBefore(found.article, this.root.children[place] ?? null);
      if (turn.role === 'assistant') {
        if (found.view.reply !== replyOf(turn)) found.view.show(replyOf(turn));
        this.below(turn);
      }
    });
  }

  answered(turn, place) {
    const article = document.createElement('article');
    article.className = 'turn assistant';
    const text = document.createElement('div');
    text.className = 'reply';
    text.tabIndex = 0;
    text.setAttribute('role', 'group');
    text.setAttribute('aria-label', `Reply ${Math.ceil((place + 1) / 2)}. Arrow keys move from token to token, Enter shows its candidates.`);
    const below = document.createElement('div');
    below.className = 'below';
    article.append(text, below);
    return { article, below, view: new ReplyView(text, replyOf(turn), this.leaders) };
  }

  /** The line below a reply. */
  below(turn) {
    const { below } = this.views.get(turn);
    const reply = replyOf(turn);
    const isBusy = this.acts.busy() === turn;
    const parts = [];
    if (reply.problem) {
      const said = document.createElement('p');
      said.className = 'problem';
      said.setAttribute('role', 'alert');
      said.textContent = reply.standing ? `${reply.problem} The text so far stands.` : reply.problem;
      parts.push(said);
    }
    if (!isBusy && reply.finish) {
      const facts = document.createElement('span');
      facts.className = 'soft facts';
      const back = reply.retractions ? ` · ${count(reply.retractions, 'retraction')}` : '';
      facts.textContent = `${count(reply.standing, 'token')}${back} · ${endingInWords(reply.finish)}`;
      parts.push(facts);
      if (AGAIN.includes(reply.finish.kind)) parts.push(button('go-on', reply.standing ? 'Continue' : 'Try again'));
      parts.push(button('again', 'Write again'));
      if (reply.standing) parts.push(button('copy', 'Copy'));
    }
    if (!isBusy && turn.versions.length > 1) {
      const shown = document.createElement('span');
      shown.className = 'soft';
      shown.textContent = `${turn.at + 1} of ${turn.versions.length}`;
      const back = button('back', '‹', 'The version before'), next = button('next', '›', 'The next version');
      back.disabled = turn.at === 0;
      next.disabled = turn.at === turn.versions.length - 1;
      const group = document.createElement('span');
      group.className = 'versions';
      group.setAttribute('role', 'group');
      group.setAttribute('aria-label', 'Versions of this reply');
      group.append(back, shown, next);
      parts.push(group);
    }
    const focused = below.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    below.replaceChildren(...parts);
    if (focused) (below.querySelector(`[data-act="${focused}"]:enabled`) ?? below.querySelector('button:enabled'))?.focus();
  }

  async act(what, turn) {
    if (this.acts.busy() && what !== 'copy') return this.acts.say('Something is being written. Stop it first.');
    if (what === 'again') this.acts.again(turn);
    if (what === 'go-on') this.acts.goOn(turn);
    if (what === 'back' || what === 'next') {
      chooseVersion(turn, turn.at + (what === 'back' ? -1 : 1));
      this.draw();
      this.acts.chosen();
    }
    if (what === 'copy') {
      try {
        await navigator.clipboard.writeText(replyOf(turn).text());
        this.acts.say('Copied.');
      } catch {
        this.acts.say('The browser does not let this page copy. Select the text instead.');
      }
    }
  }
}

export const count = (number, what) => `${number.toLocaleString('en')} ${what}${number === 1 ? '' : 's'}`;

function button(act, text, label) {
  const made = document.createElement('button');
  made.type = 'button';
  made.className = 'quiet';
  made.dataset.act = act;
  made.textContent = text;
  if (label) made.setAttribute('aria-label', label);
  return made;
}

function asked(turn) {
  const article = document.createElement('article');
  article.className = 'turn user';
  const text = document.createElement('div');
  text.className = 'asked';
  text.dir = 'auto';
  text.textContent = turn.text;
  article.append(text);
  return { article };
}
