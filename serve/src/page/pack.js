// A reply in few letters, for the storage of a tab, which has room for five million.

import { join } from './bytes.js';

const FLAGS = ['gone', 'beyond', 'picked'];
const round = (value, digits) => (typeof value === 'number' && Number.isFinite(value) ? Number(value.toFixed(digits)) : null);
const candidates = (all) => all.map(({ units, bytes, logprob }) => [units, bytes, round(logprob, 4)]);
const unpacked = (all) => all.map(([units, bytes, logprob]) => ({ units, bytes, logprob: logprob ?? -Infinity }));

/** Steps of a reply. Candidates are kept of the newest `most` tokens only: they are ten times as long as the rest. */
export function pack(steps, most) {
  return steps.map((step, at) => {
    if (step.kind !== 'token') return step;
    const { text } = join(step.before < 0 ? [] : steps[step.before].left, step.bytes);
    const packed = [
      step.units, step.bytes, round(step.confidence, 5), round(step.entropy, 3), round(step.agreement, 4), step.leader,
      FLAGS.reduce((bits, flag, place) => bits + (step[flag] ? 1 << place : 0), 0), at - step.before, text === step.text ? null : step.text,
    ];
    if (at >= steps.length - most) {
      packed.push(step.members.map(({ name, probability }) => [name, round(probability, 5)]), candidates(step.alternatives), step.candidates.map(candidates));
    }
    return packed;
  });
}

export function unpack(packed) {
  const steps = [];
  packed.forEach((one, at) => {
    if (!Array.isArray(one)) {
      steps.push(one);
      return;
    }
    const [units, bytes, confidence, entropy, agreement, leader, flags, back, other, members = [], alternatives = [], lists = []] = one;
    const before = at - back, known = before < 0 ? null : steps[before];
    const { text, left } = join(known?.left ?? [], bytes);
    const step = {
      kind: 'token', units, bytes, left, before, index: known ? known.index + 1 : 0, text: other ?? text, confidence, logprob: Math.log(confidence), leader,
      entropy: entropy ?? undefined, agreement: agreement ?? undefined, members: members.map(([name, probability]) => ({ name, probability })),
      alternatives: unpacked(alternatives), candidates: lists.map(unpacked),
    };
    FLAGS.forEach((flag, place) => { step[flag] = Boolean(flags & (1 << place)); });
    steps.push(step);
  });
  return steps;
}
