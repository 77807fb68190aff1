// How units are drawn, and how long a reply may be. An empty field is what the server was started with.

import { session } from './session.js';

const NUMBERS = ['temperature', 'top_p', 'top_k', 'min_p', 'repeat_penalty', 'seed', 'max_tokens'];

const MOST = 2 ** 32 - 1;

/** Fills the form from the session, and keeps what is typed. */
export function connect(form, about, onChange) {
  for (const field of form.elements) {
    if (!field.name) continue;
    field.value = session.parameters[field.name] ?? '';
    const usual = about?.defaults?.[field.name] ?? (field.name === 'max_tokens' ? about?.max_tokens : undefined);
    if (typeof usual === 'number') field.placeholder = String(Math.round(usual * 1e4) / 1e4);
  }
  form.oninput = ({ target }) => {
    session.parameters[target.name] = target.value;
    target.setAttribute('aria-invalid', String(!target.checkValidity()));
    onChange();
  };
  form.onsubmit = (event) => event.preventDefault();
}

/** The fields of a request. `given` tokens do not count against the length that the person asked for. */
export function fields(given, about) {
  const found = {};
  for (const name of NUMBERS) {
    const text = String(session.parameters[name] ?? '').trim();
    if (text !== '' && Number.isFinite(Number(text))) found[name] = Number(text);
  }
  const length = found.max_tokens ?? about?.max_tokens;
  if (given > 0 && length !== undefined) found.max_tokens = Math.min(length + given, MOST);
  const stop = String(session.parameters.stop ?? '').split('\n').filter(Boolean).map(unescape);
  if (stop.length) found.stop = stop;
  return found;
}

function unescape(text) {
  return text.replace(/\\([nt\\])/g, (_, letter) => ({ n: '\n', t: '\t', '\\': '\\' })[letter]);
}
