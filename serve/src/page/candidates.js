// The panel of one token: what each member would have written, and what they came to together.

import { visible } from './bytes.js';

const percent = (p) => (p >= 0.9995 ? '100 %' : p >= 0.0995 ? `${(p * 100).toFixed(0)} %` : p >= 0.000_05 ? `${(p * 100).toFixed(p >= 0.00995 ? 1 : 2)} %` : '< 0.01 %');
const chance = (logprob) => (typeof logprob === 'number' ? Math.exp(logprob) : 0);
const digits = (value, most) => (typeof value === 'number' && Number.isFinite(value) ? value.toFixed(most) : '–');

export class Candidates {
  /** `onPick(at, alternative)`, `onMove(direction)`. */
  constructor(root, { onPick, onMove }) {
    Object.assign(this, { root, onPick, onMove, at: -1, reply: null });
    root.addEventListener('click', (event) => {
      const button = event.target.closest('button[data-list]');
      if (button) this.pick(button);
    });
    root.addEventListener('keydown', (event) => this.key(event));
  }

  show(reply, at, names) {
    const step = reply?.steps[at];
    if (!step || step.kind !== 'token') return this.clear();
    const focused = document.activeElement?.closest?.('button[data-list]');
    const place = focused && this.root.contains(focused) ? [focused.dataset.list, Number(focused.dataset.rank)] : null;
    Object.assign(this, { reply, at });
    const said = new Map(step.members.map(({ name, probability }) => [name, probability]));
    this.lists = [
      { name: 'Fused', own: step.confidence, all: step.alternatives },
      ...(names.length > 1 || step.candidates.length > 1
        ? step.candidates.map((all, member) => ({ name: names[member] ?? `member ${member + 1}`, member, own: said.get(names[member]), all }))
        : []),
    ];
    const parts = [heading(step), figures(step)];
    if (!step.alternatives.length) {
      parts.push(element('p', 'soft', 'The candidates of this token are no longer known. Choose one of a newer token, or write the reply again.'));
    } else {
      parts.push(element('p', 'hint', 'Choose a candidate: the text goes on from there.'));
      const columns = element('div', 'columns');
      columns.append(...this.lists.map((list, place) => column(list, place, step)));
      parts.push(columns);
    }
    this.root.replaceChildren(...parts);
    if (place) this.focus(...place);
  }

  clear() {
    this.at = -1;
    this.reply = null;
    this.root.replaceChildren(element('p', 'soft', 'Click a token of a reply, or move to it with the arrow keys and press Enter, to see what each member would have written there.'));
  }

  pick(button) {
    const found = this.lists[Number(button.dataset.list)].all[Number(button.dataset.rank)];
    if (found) this.onPick(this.reply, this.at, found);
  }

  focus(list = 0, rank = 0) {
    const of = [...this.root.querySelectorAll(`button[data-list="${list}"]`)];
    (of[Math.min(rank, of.length - 1)] ?? this.root.querySelector('button'))?.focus();
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      const all = [...this.root.querySelectorAll('button[data-list]')];
      const next = all[all.indexOf(document.activeElement) + step];
      if (next) next.focus();
      event.preventDefault();
    }
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (move) {
      this.onMove(move);
      event.preventDefault();
    }
  }
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function heading(step) {
  const title = element('h2');
  title.append(`Token ${step.index + 1} `, element('bdi', 'piece', visible(step.bytes)));
  if (step.gone) title.append(element('span', 'tag', 'taken back'));
  if (step.picked) title.append(element('span', 'tag', 'picked by you'));
  return title;
}

function figures(step) {
  const list = element('dl', 'figures');
  const add = (name, value) => {
    const pair = element('div');
    pair.append(element('dt', '', name), element('dd', '', value));
    list.append(pair);
  };
  add('confidence', percent(step.confidence));
  add('agreement', digits(step.agreement, 2));
  add('entropy', `${digits(step.entropy, 2)} nats`);
  if (step.leader) add('leader', step.leader);
  return list;
}

function column({ name, member, own, all }, list, step) {
  const section = element('section', `column l${member === undefined ? 'x' : member % 6}`);
  const title = element('h3', '', name);
  const rows = element('ol');
  section.append(title, rows);
  title.id = `column-${list}`;
  rows.setAttribute('aria-labelledby', title.id);
  const written = String(step.units);
  all.forEach((one, rank) => rows.append(row(one, chance(one.logprob), list, rank, String(one.units) === written)));
  if (typeof own === 'number' && !all.some((one) => String(one.units) === written)) {
    const item = element('li', 'own');
    item.append(element('bdi', 'piece', visible(step.bytes)), element('span', 'p', percent(own)));
    item.title = 'What was written here';
    rows.append(item);
  }
  return section;
}

function row(one, probability, list, rank, isWritten) {
  const item = document.createElement('li');
  const button = element('button');
  const bar = element('span', 'bar');
  button.type = 'button';
  Object.assign(button.dataset, { list, rank });
  bar.style.setProperty('--part', String(Math.max(0, Math.min(1, probability))));
  const text = visible(one.bytes);
  button.append(bar, element('bdi', one.bytes.length ? 'piece' : 'piece end', text), element('span', 'p', percent(probability)));
  button.setAttribute('aria-label', `${text}, ${percent(probability)}${isWritten ? ', written here' : ''}`);
  if (isWritten) button.setAttribute('aria-current', 'true');
  item.append(button);
  return item;
}
