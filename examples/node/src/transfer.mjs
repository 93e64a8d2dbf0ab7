// Moves a register's state from one node to another, visible only with the settle at the end.
import { randomBytes } from 'node:crypto';
import { Away } from './node.mjs';

const LIMIT = String(1024 * 1024);
const SLICE = '1000';
const STRING_SLICE = 1024 * 1024;
const PATIENCE_MS = 30_000;

/** The source is no longer at that history, or the register is one for anarcho-heal (more than 5,000 keys). */
export class Moved extends Error {}

export const recordOf = (register) => Buffer.concat([Buffer.from('anrcho_version:{'), register, Buffer.from('}')]);
const is = (found, text) => String(found) === text;

/** Settles this history on the target, with what it lacks. Answers the settle's reply. `goal`: register, ballot, version, digest, source. */
export async function transfer(goal, target, dirty = '0', epoch = null) {
  const record = recordOf(goal.register);
  const settle = (mode, base = '', ops = '', state = []) =>
    target.call('settle', [record], [goal.ballot, goal.version, goal.digest, mode, base, ops, dirty, ...state], epoch, PATIENCE_MS);

  const page = await target.call('digest', [record], ['of'], epoch, PATIENCE_MS);
  const known = page[2][0][2];
  if (is(known, String(goal.digest))) return settle('confirm');
  let answer;
  for (const base of known.length ? [known, null] : [null]) {
    const reply = await snapshot(goal, record, [], base ? ['since', LIMIT, base] : ['all', LIMIT]);
    const [, , , , , , ops, multi, mode, log, listed] = reply;
    if (is(mode, 'many')) throw new Moved('it has more keys than one call takes');
    const states = await complete(goal, target, record, listed);
    const send = () => {
      const flat = states.flatMap(([name, form, expiry, elements]) => [name, form, expiry, elements.length, ...elements]);
      return settle(mode, is(mode, 'delta') ? base : '', ops, [multi, log.length, ...log, states.length, ...flat]);
    };
    answer = await send();
    if (is(answer[0], 'REFUSED') && String(answer[1]).includes('DUMP payload version')) {
      // An older server does not read a newer one's streams: they go entry by entry.
      for (const [index, state] of states.entries()) {
        if (is(state[1], 'dump')) states[index] = (await snapshot(goal, record, [state[0]], ['streams', LIMIT]))[10][0];
      }
      answer = await send();
    }
    if (is(answer[0], 'SETTLED')) break;
  }
  return answer;
}

async function snapshot(goal, record, keys, what) {
  const reply = await goal.source.call('snapshot', [record, ...keys], what, null, PATIENCE_MS);
  if (!is(reply[0], 'SNAPSHOT') || !is(reply[4], String(goal.version)) || !is(reply[5], String(goal.digest))) throw new Moved(String(reply[0]));
  return reply;
}

/** Fetches what did not fit into the first answer, and takes large keys over in slices. */
async function complete(goal, target, record, listed) {
  const done = [];
  let states = listed;
  while (states.length) {
    const later = states.filter((state) => is(state[1], 'later'));
    for (const state of states) {
      if (is(state[1], 'large')) done.push(await stage(goal, target, record, state));
      else if (!is(state[1], 'later')) done.push(state);
    }
    if (!later.length) break;
    const wanted = later.slice(0, 1000).map((state) => state[0]);
    states = [...(await snapshot(goal, record, wanted, ['keys', LIMIT]))[10], ...later.slice(1000)];
  }
  return done;
}

async function stage(goal, target, record, [name, , expiry, [form, length]]) {
  const staging = `anrcho_stage:${randomBytes(8).toString('hex')}`;
  const piece = async (position, count) => {
    const reply = await goal.source.call('snapshot', [record, name], ['slice', LIMIT, position, count], null, PATIENCE_MS);
    if (!is(reply[0], 'SLICE') || !is(reply[1], String(goal.version)) || !is(reply[2], String(goal.digest))) throw new Moved(String(reply[0]));
    return { next: String(reply[3]), elements: reply[4] };
  };
  const put = async (first, elements) => {
    const reply = await target.call('stage', [record, staging], [form, first, '60000', ...elements], null, PATIENCE_MS);
    if (!is(reply[0], 'STAGED')) throw new Away(String(reply));
    return reply[1];
  };
  let staged = '0';
  let first = '1';
  if (is(form, 'string')) {
    // The end comes first, so that the server makes room once.
    for (let place = Math.floor((Number(length) - 1) / STRING_SLICE) * STRING_SLICE; place >= 0; place -= STRING_SLICE, first = '0') {
      staged = await put(`${first}@${place}`, (await piece(place, STRING_SLICE)).elements);
    }
  } else {
    let position = '0';
    do {
      const { next, elements } = await piece(position, SLICE);
      if (elements.length) {
        staged = await put(first, elements);
        first = '0';
      }
      position = next;
    } while (position !== '0');
  }
  return [name, 'staged', expiry, [staging, form, staged]];
}
