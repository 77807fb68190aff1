// Fusions and policies with their knobs. A change takes effect at the next step of every text that is being written.

import { json, lines, Problem } from './api.js';

const SOON = 120;  // Milliseconds a knob rests before it is sent.

export class Policies {
  /** `say(text, isProblem)` tells the person; `onHooks(hooks)` hears of what there is; `onEdit(name)` opens a script. */
  constructor(root, { say, onHooks, onEdit }) {
    Object.assign(this, { root, say, onHooks, onEdit, hooks: [], pending: new Map() });
    root.addEventListener('change', ({ target }) => this.change(target));
    root.addEventListener('input', ({ target }) => this.turn(target));
    root.addEventListener('click', ({ target }) => {
      const name = target.closest('button[data-edit]')?.dataset.edit;
      if (name !== undefined) this.onEdit(name);
      const knob = target.closest('button[data-reset]');
      if (knob) this.reset(knob);
    });
  }

  async refresh() {
    try {
      const answer = await json('v1/hooks');
      this.hooks = answer?.hooks ?? [];
    } catch (error) {
      if (error instanceof Problem) this.say(error.message, true);
      return;
    }
    this.onHooks(this.hooks);
    // A redraw would take the knob out of the hand that turns it.
    if (this.root.contains(document.activeElement) && document.activeElement.matches('input[type=range], input[type=number]')) return;
    this.draw();
  }

  draw() {
    const focused = this.root.contains(document.activeElement) ? document.activeElement.id : '';
    const fusions = this.hooks.filter(({ role }) => role === 'fusion');
    const policies = this.hooks.filter(({ role }) => role !== 'fusion');
    const parts = [];
    if (fusions.length) parts.push(fusionChoice(fusions), ...knobsOf(fusions.find(({ active }) => active)));
    parts.push(element('h3', '', 'Policies'));
    if (!policies.length) parts.push(element('p', 'soft', 'None is loaded.'));
    for (const hook of policies) parts.push(policy(hook));
    this.root.replaceChildren(...parts);
    if (focused) document.getElementById(focused)?.focus();
  }

  change(target) {
    if (target.matches('select.fusion')) this.send({ fusion: target.value });
    else if (target.dataset.policy !== undefined) this.send({ policy: target.dataset.policy, running: target.checked });
  }

  turn(target) {
    const { hook, knob } = target.dataset;
    if (knob === undefined || target.value === '' || !target.validity.valid) return;
    const value = Number(target.value);
    for (const twin of target.closest('.knob').querySelectorAll('input')) if (twin !== target) twin.value = String(value);
    this.later(hook, knob, value);
  }

  reset(button) {
    const { hook, reset } = button.dataset;
    const value = Number(button.value);
    for (const input of button.closest('.knob').querySelectorAll('input')) input.value = String(value);
    this.later(hook, reset, value);
  }

  later(hook, knob, value) {
    const name = JSON.stringify([hook, knob]);
    clearTimeout(this.pending.get(name));
    this.pending.set(name, setTimeout(() => this.send({ hook, knob, value }, true), SOON));
  }

  async send(change, isKnob = false) {
    try {
      const said = lines(await json('v1/hooks', { method: 'POST', body: change }));
      this.say(said.join(' ') || 'Changed.');
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.say(error.message, true);
    }
    if (!isKnob) await this.refresh();
  }
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function fusionChoice(fusions) {
  const label = element('label', 'field', 'Fusion');
  const select = element('select', 'fusion');
  select.id = 'fusion';
  for (const { name, active } of fusions) {
    const option = element('option', '', name);
    option.value = name;
    option.selected = active;
    select.append(option);
  }
  label.append(select, element('small', 'soft', fusions.find(({ active }) => active)?.description ?? ''));
  return label;
}

function policy(hook) {
  const section = element('section', 'policy');
  const label = element('label', 'run');
  const box = element('input');
  const id = (what) => `${what}-${hook.name}`;
  Object.assign(box, { type: 'checkbox', checked: hook.active, id: id('run') });
  box.dataset.policy = hook.name;
  label.append(box, element('span', '', hook.name));
  const head = element('div', 'head');
  head.append(label);
  if (hook.state && !['running', 'idle'].includes(hook.state)) head.append(element('span', 'tag', hook.state));
  if (hook.is_script) {
    const edit = element('button', 'quiet', 'Edit');
    Object.assign(edit, { type: 'button', id: id('edit') });
    edit.dataset.edit = hook.name;
    edit.setAttribute('aria-label', `Edit the script ${hook.name}`);
    head.append(edit);
  }
  section.append(head);
  if (hook.description) section.append(element('p', 'soft', hook.description));
  section.append(...knobsOf(hook));
  return section;
}

function knobsOf(hook) {
  return (hook?.knobs ?? []).map((knob, place) => {
    const box = element('div', 'knob');
    const id = `knob-${hook.name}-${place}`;
    const label = element('label', '', knob.name.replaceAll('_', ' '));
    label.htmlFor = id;
    const made = (type, step) => {
      const input = element('input');
      Object.assign(input, { type, min: knob.minimum ?? '', max: knob.maximum ?? '', step, value: knob.value });
      Object.assign(input.dataset, { hook: hook.name, knob: knob.name });
      return input;
    };
    const bounds = [knob.minimum, knob.maximum], span = knob.maximum - knob.minimum;
    const isWhole = [...bounds, knob.default].every(Number.isInteger) && span > 4;
    const range = made('range', isWhole ? 1 : span / 200 || 'any');
    const number = made('number', 'any');
    range.id = id;
    // JSON has no infinity: without bounds there is nothing to slide between.
    range.hidden = !bounds.every(Number.isFinite);
    number.setAttribute('aria-label', `${hook.name}, ${knob.name}`);
    const reset = element('button', 'quiet', '↺');
    Object.assign(reset, { type: 'button', value: knob.default, title: `Back to ${knob.default}` });
    reset.setAttribute('aria-label', `${knob.name} back to ${knob.default}`);
    Object.assign(reset.dataset, { hook: hook.name, reset: knob.name });
    box.append(label, range, number, reset);
    return box;
  });
}
