// The editor of a hook's script. It is checked while it is typed and taken over when it is saved.

import { json, lines, Problem } from './api.js';
import { session } from './session.js';

const REST = 350;  // Milliseconds without a key before the text is checked.

export class Editor {
  constructor(root, { say, onSaved }) {
    Object.assign(this, { root, say, onSaved, name: '', asked: 0 });
    [this.choice, this.area, this.list, this.place, this.saveButton] =
      ['select', 'textarea', '.problems', '.place', '.save'].map((query) => root.querySelector(query));
    this.choice.addEventListener('change', () => this.open(this.choice.value));
    this.area.addEventListener('input', () => this.typed());
    for (const type of ['keyup', 'click', 'focus']) this.area.addEventListener(type, () => this.tellPlace());
    this.saveButton.addEventListener('click', () => this.save());
    root.addEventListener('keydown', (event) => {
      if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === 's') {
        event.preventDefault();
        this.save();
      }
    });
    this.list.addEventListener('click', ({ target }) => {
      const line = Number(target.closest('button')?.value);
      if (line) this.go(line);
    });
  }

  /** Scripts that there are. */
  offer(hooks) {
    const names = hooks.filter(({ is_script: is }) => is).map(({ name }) => name);
    if (names.join('\n') === [...this.choice.options].map(({ value }) => value).join('\n')) return;
    this.choice.replaceChildren(...names.map((name) => new Option(name, name, false, name === this.name)));
    this.choice.disabled = this.area.disabled = this.saveButton.disabled = !names.length;
    if (!names.length) this.area.placeholder = 'No script is loaded. Start the server with --policy FILE.rhai to edit one here.';
  }

  /** Opens a script; what was typed into another one is kept. */
  async open(name = this.name || this.choice.value) {
    if (!name) return;
    const isNew = this.name !== name;
    this.name = name;
    this.choice.value = name;
    if (!isNew && this.area.value) return;
    const draft = session.scripts[name];
    this.saveButton.textContent = draft === undefined ? 'Save' : 'Save *';
    if (draft !== undefined) this.area.value = draft;
    else {
      this.area.value = '';
      try {
        const answer = await json(`v1/script?name=${encodeURIComponent(name)}`);
        if (this.name !== name) return;
        this.area.value = answer?.text ?? '';
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        return this.show([error.message]);
      }
    }
    this.area.setSelectionRange(0, 0);
    this.area.scrollTop = 0;
    await this.check();
  }

  typed() {
    session.scripts[this.name] = this.area.value;
    this.saveButton.textContent = 'Save *';
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.check(), REST);
    this.tellPlace();
  }

  async check() {
    this.asked += 1;
    const asked = this.asked;
    try {
      const answer = await json('v1/script/check', { method: 'POST', body: { text: this.area.value } });
      if (asked === this.asked) this.show(lines(answer));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (asked === this.asked) this.show([error.message]);
    }
  }

  show(problems) {
    this.area.setAttribute('aria-invalid', String(problems.length > 0));
    if (!problems.length) {
      this.list.textContent = 'The checker finds nothing wrong.';
      this.list.classList.remove('wrong');
      return;
    }
    this.list.classList.add('wrong');
    this.list.replaceChildren(...problems.map((problem) => {
      const line = /\bline (\d+)/i.exec(problem)?.[1] ?? /:(\d+)(?::\d+)?:/.exec(problem)?.[1];
      const made = document.createElement(line ? 'button' : 'p');
      made.textContent = problem;
      if (line) Object.assign(made, { type: 'button', value: line, title: `Go to line ${line}` });
      return made;
    }));
  }

  async save() {
    if (!this.name) return;
    clearTimeout(this.timer);
    this.asked += 1;
    const name = this.name, text = this.area.value;
    try {
      const said = lines(await json('v1/script', { method: 'PUT', body: { name, text } }));
      if (session.scripts[name] === text) delete session.scripts[name];
      if (this.name === name && this.area.value === text) {
        this.saveButton.textContent = 'Save';
        this.show([]);
      }
      this.say(said.join(' ') || `${name} is saved and runs.`);
      this.onSaved();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.show(error.message.split('\n').filter(Boolean));
      this.say(`${name} was not saved.`, true);
    }
  }

  tellPlace() {
    const before = this.area.value.slice(0, this.area.selectionStart);
    const line = before.split('\n').length;
    this.place.textContent = `line ${line}, column ${before.length - before.lastIndexOf('\n')}`;
  }

  go(line) {
    const rows = this.area.value.split('\n');
    const start = rows.slice(0, line - 1).join('\n').length + (line > 1 ? 1 : 0);
    this.area.focus();
    this.area.setSelectionRange(start, start + (rows[line - 1]?.length ?? 0));
    this.area.scrollTop = (line - 4) * parseFloat(getComputedStyle(this.area).lineHeight);
    this.tellPlace();
  }
}
