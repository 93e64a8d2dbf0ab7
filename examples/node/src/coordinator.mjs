// The algorithm of the contract (W1-W4, R1-R4), driven over the nodes.
import { randomBytes } from 'node:crypto';
import { ofRegister, plan as planOf } from './commands.mjs';
import { CannotConnect, CommandError, Indeterminate, NoQuorum, NotApplied, Refused, ReplyLost } from './errors.mjs';
import { Away, form, GENERATION, newFence, Node, nowUs, sleep } from './node.mjs';
import { load } from './scripts.mjs';
import { Moved, recordOf, transfer } from './transfer.mjs';

const [REPLY_LIMIT, RETRY_WINDOW_MS, MAX_OFFSET_MS] = ['4096', '60000', '500']; // the same for all coordinators
const HEDGE_MS = 50;
const READS = 2;

const word = (reply) => String(reply[0]);
const at = (reply, index) => String(reply[index]);
const generationOf = (epoch) => Math.floor(epoch / GENERATION);
const encoded = (commands) => [commands.length, ...commands.flatMap((command) => [command.length, ...command])];
const isError = (reply) => reply instanceof Error;

/** R2: the same settle, nothing after it, and no key that is due since. */
function holds(reply, other) {
  const isSettled = at(reply, 2) !== '' && at(reply, 3) === at(reply, 4);
  return isSettled && [2, 3, 4, 5].every((index) => at(reply, index) === at(other, index)) && Number(other[7]) <= Number(at(reply, 2).slice(0, 13));
}

/** Answers of a round, in the order in which they arrive. */
class Answers {
  constructor(calls) {
    this.pending = new Map(calls);
    this.done = new Map();
    for (const [node, call] of calls) {
      call.then((reply) => reply, (error) => (error instanceof Away ? [error.sent ? 'UNKNOWN' : 'NOTSENT', error.message] : Promise.reject(error))).then((reply) => {
        this.pending.delete(node);
        this.done.set(node, reply);
        this.wake?.();
      });
    }
  }

  /** Until another answer has come, or so many ms have passed. */
  async next(ms) {
    let timer;
    await new Promise((resolve) => {
      this.wake = resolve;
      timer = setTimeout(resolve, Math.max(0, ms));
    });
    clearTimeout(timer);
  }

  of(status) {
    return new Map([...this.done].filter(([, reply]) => word(reply) === status));
  }
}

/** `await Coordinator.connect(urls)`, then `await coordinator.execute('INCR', 'k')`, any number at once. Replies are Buffers, numbers, null or lists. */
export class Coordinator {
  static async connect(urls, { lua, timeoutMs = 5000 } = {}) {
    const self = new Coordinator();
    const { scripts, contract } = load(lua);
    self.nodes = urls.map((url) => new Node(url, scripts, contract));
    Object.assign(self, { timeoutMs, majority: Math.floor(urls.length / 2) + 1, id: randomBytes(8).toString('hex'), sequence: 0, lastUs: 0, queues: new Map(), closed: false });
    const refused = {};
    await Promise.all(self.nodes.map((node) => node.open().catch((error) => (refused[node.name] = error.message))));
    const there = self.nodes.filter((node) => !(node.name in refused));
    try {
      await self.#form(there, refused);
    } catch (error) {
      self.close();
      throw error instanceof Away ? new CannotConnect(error.message) : error;
    }
    const newest = there.map((node) => node.look).filter((look) => look.cluster === self.cluster).reduce((one, other) => (other.epoch > one.epoch ? other : one));
    self.members = [...newest.memberIds].sort().join(',');
    if (newest.memberIds.length !== urls.length) throw new CannotConnect(`the cluster has ${newest.memberIds.length} nodes and the list names ${urls.length}; name each of them: ${newest.members}`);
    self.scopes = newest.scopes.split(',').slice(0, -1).map((scope) => Buffer.from(scope, 'hex'));
    for (const node of self.nodes) self.#attend(node, there.includes(node));
    const end = Date.now() + 2000;
    while (self.#voters().voters.length < self.majority || (Date.now() < end && there.some((node) => node.why === 'not connected yet'))) {
      if (Date.now() > end) {
        self.close();
        throw new CannotConnect(`fewer than ${self.majority} nodes can vote: ${self.#failures({})}`);
      }
      await sleep(5);
    }
    return self;
  }

  async #form(there, refused) {
    if (new Set(there.map((node) => node.look.info.run_id)).size < there.length) throw new CannotConnect('two addresses lead to the same server; name each once');
    const clusters = new Set(there.filter((node) => node.look.cluster && node.look.role !== 'claimed').map((node) => node.look.cluster));
    if (clusters.size > 1) throw new CannotConnect(`the nodes belong to several clusters: ${[...clusters]}`);
    if (clusters.size === 1) {
      [this.cluster] = clusters;
      const claimed = there.filter((node) => node.look.role === 'claimed');
      if (claimed.length && there.length === this.nodes.length && there.every((node) => node.look.keys <= 2 && node.look.cluster === this.cluster)) {
        for (const node of claimed) {
          await node.admit('start', this.cluster, newFence(1)); // whoever initialised them did not live to start them all
          await node.open();
        }
      }
      return;
    }
    if (Object.keys(refused).length) throw new CannotConnect(`a new cluster starts only when all nodes answer and are empty; ${JSON.stringify(refused)}`);
    const foreign = there.find((node) => !node.look.cluster && node.look.keys);
    if (foreign) throw new CannotConnect(`${foreign.name} holds ${foreign.look.keys} keys of somebody else; empty it`);
    this.cluster = await form(there);
    await Promise.all(there.map((node) => node.open()));
  }

  /** Keeps a node's connection: opens and admits it again whenever it breaks. */
  async #attend(node, isOpen) {
    while (!this.closed) {
      try {
        if (!isOpen) await node.open();
        const looks = this.nodes.filter((other) => other.fence !== null).map((other) => other.look);
        const newest = looks.reduce((one, other) => (one && one.epoch >= other.epoch ? one : other), null);
        if (newest && generationOf(newest.epoch) > generationOf(node.look.epoch) && newest.memberIds.includes(node.look.node)) await node.moveTo(newest);
        await node.enter(this.cluster);
        while (node.fence !== null && !this.closed) await sleep(20);
      } catch (error) {
        node.close(error.message); // whatever it is, the node does not count until the next try
      }
      isOpen = false;
      await sleep(100 + Math.random() * 100);
    }
    node.close('closed');
  }

  close() {
    this.closed = true;
    for (const node of this.nodes) node.close('closed');
  }

  /** The newest epoch among those that vote, and who votes under it: only their answers count together. */
  #voters() {
    const epoch = Math.max(0, ...this.nodes.filter((node) => node.votes).map((node) => node.epoch));
    const voters = this.nodes.filter((node) => node.votes && node.epoch === epoch);
    for (const node of this.nodes) if (node.votes && generationOf(node.epoch) < generationOf(epoch)) node.close('it missed a generation');
    const changed = voters.find((node) => [...node.look.memberIds].sort().join(',') !== this.members);
    if (changed) throw new NotApplied(`the cluster has other members since: connect again with ${changed.look.members}`);
    return { epoch, voters };
  }

  #failures(why) {
    const all = this.nodes.filter((node) => why[node.name] || node.why).map((node) => `${node.name}: ${why[node.name] || node.why}`);
    return all.join('; ') || 'no round decided in time';
  }

  ballot() {
    this.lastUs = Math.max(nowUs(), this.lastUs + 1);
    return `${String(this.lastUs).padStart(16, '0')}-${this.id}`;
  }

  observe(ballot) {
    this.lastUs = Math.max(this.lastUs, Number(String(ballot).slice(0, 16)));
  }

  /** Runs one command and answers its reply. Linearizable. */
  async execute(...words) {
    const plan = planOf(words, Math.floor(nowUs() / 1000), this.scopes);
    if (plan.special) return this.#random(plan);
    const { replies } = await (plan.access === 'read' ? this.#read(plan) : this.#write(plan));
    if (isError(replies[0])) throw new CommandError(replies[0].message);
    return replies[0];
  }

  /** What a node would choose by itself is chosen by a read, and what was chosen is applied at the digest that was read. */
  async #random(plan) {
    for (const end = Date.now() + this.timeoutMs; Date.now() < end; ) {
      const look = ofRegister(plan.register, 'read', plan.keys, [['SRANDMEMBER', ...plan.original.slice(1)]]);
      const { replies, digest } = await this.#read(look);
      if (isError(replies[0])) throw new CommandError(replies[0].message);
      const chosen = Array.isArray(replies[0]) ? replies[0] : replies[0] === null ? [] : [replies[0]];
      if (plan.special === 'SRANDMEMBER' || !chosen.length) return replies[0];
      if (Number(plan.original[2] ?? 1) < 0) throw new Refused('value is out of range, must be positive');
      const remove = { ...ofRegister(plan.register, 'write', plan.keys, [['SREM', plan.keys[0], ...chosen]]), expected: digest };
      if ((await this.#write(remove)).replies !== null) return replies[0];
    }
    throw new NotApplied('the key changes too fast');
  }

  /** One op of this coordinator is in flight per register; the others wait. */
  #write(plan) {
    const id = plan.register.toString('latin1');
    const before = this.queues.get(id) ?? Promise.resolve();
    const result = before.then(() => this.#commit(plan));
    const settled = result.then(() => {}, () => {});
    this.queues.set(id, settled);
    settled.then(() => this.queues.get(id) === settled && this.queues.delete(id));
    return result;
  }

  // W1-W4.

  async #commit(plan) {
    const state = { op: `${this.id}-${(++this.sequence).toString(16).padStart(16, '0')}`, keep: false, ran: false, why: {}, generation: null };
    const end = Date.now() + this.timeoutMs;
    for (let rounds = 1, aloneSince = null; ; rounds++) {
      const decided = await this.#round(plan, state, end);
      if (decided) {
        if (decided.replies === null) throw new ReplyLost('applied, but the reply was too long to be remembered');
        return { ...decided, replies: Array.isArray(decided.replies) ? decided.replies : null }; // MISMATCH
      }
      const isLonely = this.#voters().voters.length < this.majority;
      aloneSince = isLonely ? aloneSince ?? Date.now() : null;
      if (Date.now() > end || (aloneSince !== null && Date.now() - aloneSince > 1000)) {
        const why = this.#failures(state.why);
        if (state.ran) throw new Indeterminate(`the outcome is not known: ${why}`);
        throw new (isLonely ? NoQuorum : NotApplied)(`not applied: ${why}`);
      }
      await sleep(Math.random() * Math.min(0.5 * 2 ** Math.min(rounds, 8), 100));
    }
  }

  /** One ballot, one apply to each node, and where that is not enough one settle. Null: another, under a new ballot and the same op id (W3). */
  async #round(plan, state, end) {
    const { epoch, voters } = this.#voters();
    if (state.ran && state.generation !== generationOf(epoch)) throw new Indeterminate('the cluster went on to another generation meanwhile');
    if (voters.length < this.majority) return null;
    state.generation = generationOf(epoch);
    const ballot = this.ballot();
    const isRead = plan.access === 'read';
    const delivery = plan.timed ? `t${Math.floor(nowUs() / 1000) + Math.min(...voters.map((node) => node.offsetMs)) - 10}` : '';
    const flags = (state.keep ? 'k' : '') + (isRead ? 'r' : '') + plan.flags + delivery;
    const args = [ballot, state.op, flags, plan.expected, '0', REPLY_LIMIT, RETRY_WINDOW_MS, MAX_OFFSET_MS, plan.lowestExpiryMs, ...encoded(plan.commands)];
    const keys = [recordOf(plan.register), ...plan.keys];
    const answers = new Answers(voters.map((node) => [node, node.call('apply', keys, args, epoch, end - Date.now())]));
    const round = { plan, state, end, epoch, voters, ballot, isRead, answers };
    let verdict = await this.#collect(round);
    if (verdict === 'settle') verdict = await this.#settle(round);
    if (verdict) return verdict;
    const expiring = this.#prepareRetry(round);
    if (expiring) await sleep(Math.min(Math.max(0, expiring + 1 - nowUs() / 1000), Math.max(0, end - Date.now())));
    return null;
  }

  async #collect({ state, end, isRead, answers }) {
    const [n, m] = [this.nodes.length, this.majority];
    for (let hedged = false, hedgeEnds = null; ; ) {
      this.#note(answers, state);
      const [acks, absents] = [answers.of('ACK'), answers.of('ABSENT')];
      const overtaken = answers.of('NACK').size + answers.of('EXPIRING').size;
      const agree = new Set([...acks.values()].map((ack) => `${ack[3]} ${ack[4]}`)).size <= 1;
      const pending = answers.pending.size;
      if (acks.size === n && agree) {
        // W1. A retry may find a reply forgotten on one node and known on another.
        const ack = [...acks.values()].find((ack) => ack[7] !== null) ?? [...acks.values()][0];
        return { replies: ack[7], digest: at(ack, 4) };
      }
      const needed = isRead ? m : n;
      if (!state.keep && absents.size >= needed) return { replies: [...absents.values()][0][1], digest: '' }; // R3
      const unanimity = !hedged && agree && acks.size + pending === n;
      if (acks.size >= m && !unanimity) return 'settle';
      const enough = acks.size + pending >= m || (!state.keep && absents.size + pending >= needed);
      const heard = acks.size + absents.size + overtaken;
      const left = end - Date.now();
      if (!pending || !enough || (hedged && heard >= m) || left <= 0) return null;
      if (hedgeEnds === null && heard >= m) hedgeEnds = Date.now() + ([...answers.pending.keys()].every((node) => node.slow) ? 0 : HEDGE_MS);
      await answers.next(hedgeEnds === null || hedged ? left : Math.min(left, hedgeEnds - Date.now()));
      if (hedgeEnds !== null && !hedged && Date.now() >= hedgeEnds) {
        hedged = true;
        for (const node of answers.pending.keys()) node.slow = true;
      }
    }
  }

  #note(answers, state) {
    for (const [node, reply] of answers.done) {
      if (word(reply) === 'EXPIRING' && Number(reply[1]) > nowUs() / 1000 + 1000) {
        answers.done.set(node, ['LOST', 'a key is gone there that is not due']); // its data was changed behind the protocol
      }
      if (!['ACK', 'ABSENT', 'NACK', 'EXPIRING'].includes(word(reply))) state.why[node.name] = reply.map(String).join(' ');
    }
  }

  /** W2: what the highest acknowledgement holds is settled under this ballot. */
  async #settle({ plan, end, epoch, voters, ballot, answers }) {
    const acks = answers.of('ACK');
    const rank = (one, other) => Math.sign(Buffer.compare(one[1], other[1])) || Number(one[3]) - Number(other[3]) || Buffer.compare(one[4], other[4]);
    const [source, winner] = [...acks].reduce((best, ack) => (rank(ack[1], best[1]) > 0 ? ack : best));
    const goal = { register: plan.register, ballot, version: winner[3], digest: winner[4], source };
    const same = [...acks].filter(([, ack]) => at(ack, 3) === at(winner, 3) && at(ack, 4) === at(winner, 4)).map(([node]) => node);
    // Nodes that are away, or late, are remembered as missing it by those that take it.
    const dirty = answers.done.size < this.nodes.length ? '1' : '0';
    const confirm = [ballot, goal.version, goal.digest, 'confirm', '', '', dirty];
    const swallow = (moving) => moving.catch((error) => (error instanceof Away ? Promise.reject(error) : ['MOVED', error.message]));
    const calls = [];
    for (const node of voters) {
      if (same.includes(node) || !answers.done.has(node)) calls.push([node, node.call('settle', [recordOf(plan.register)], confirm, epoch, end - Date.now())]);
      else if (same.length < this.majority && acks.has(node)) calls.push([node, swallow(transfer(goal, node, dirty, epoch))]);
    }
    const settles = new Answers(calls);
    const accepted = () => settles.of('SETTLED').size;
    for (let ends = end; settles.pending.size && accepted() < this.majority && accepted() + settles.pending.size >= this.majority && Date.now() < ends; ) {
      await settles.next(ends - Date.now());
      if (settles.of('NACK').size) ends = Math.min(ends, Date.now() + HEDGE_MS); // a higher ballot is about: the rest is not worth a long wait
    }
    for (const reply of settles.of('NACK').values()) this.observe(reply[1]);
    if (settles.of('CONFLICT').size) throw new Indeterminate('CONFLICT: some coordinator has used a ballot twice; stop and look');
    if (accepted() < this.majority) return null;
    this.#repair(goal, settles);
    return { replies: winner[7], digest: at(winner, 4) };
  }

  /** What the round leaves behind: whether the op may have run somewhere, and what the next ballot must be above. */
  #prepareRetry({ state, voters, ballot, isRead, answers }) {
    let expiring = 0;
    this.#note(answers, state);
    for (const node of voters) {
      const reply = answers.done.get(node) ?? ['UNKNOWN', 'it has not answered yet'];
      const mayHaveRun = word(reply) === 'UNKNOWN' || (word(reply) === 'ACK' && at(reply, 5) !== '') || (word(reply) === 'NACK' && at(reply, 1) === ballot);
      state.ran ||= mayHaveRun && !isRead;
      if (word(reply) === 'NACK') this.observe(reply[1]);
      if (word(reply) === 'EXPIRING') {
        expiring = Math.max(expiring, Number(reply[1]));
        this.lastUs = Math.max(this.lastUs, (Number(reply[1]) + 1) * 1000);
      }
    }
    state.keep ||= !isRead || answers.of('ABSENT').size > 0;
    return expiring;
  }

  async #repair(goal, settles) {
    for (const end = Date.now() + 2000; settles.pending.size && Date.now() < end; ) await settles.next(end - Date.now());
    const accepted = settles.of('SETTLED');
    for (const node of this.nodes) if (!accepted.has(node) && node.fence !== null) await this.#mend(goal, node);
  }

  async #mend(goal, node) {
    try {
      await transfer(goal, node);
    } catch (error) {
      if (!(error instanceof Away || error instanceof Moved)) throw error;
      // For anarcho-heal, which is told on every node that answers.
      const mark = this.ballot();
      for (const other of this.nodes) if (other.fence !== null) await other.admit('mark', other.fence, goal.register, mark).catch(() => {});
    }
  }

  // R1-R4.

  async #read(plan) {
    for (let tries = 0; tries < READS; tries++) {
      const { decided, again } = await this.#readRound(plan);
      if (decided) return decided;
      if (!again) break;
    }
    return this.#write(ofRegister(plan.register, 'read', plan.keys, plan.commands));
  }

  async #readRound(plan) {
    const { epoch, voters } = this.#voters();
    const args = [Math.floor(Math.max(nowUs(), this.lastUs) / 1000), ...encoded(plan.commands)];
    const keys = [recordOf(plan.register), ...plan.keys];
    const answers = new Answers(voters.map((node) => [node, node.call('read', keys, args, epoch, this.timeoutMs)]));
    const [n, m] = [this.nodes.length, this.majority];
    const own = () => [...answers.done.values()].filter((reply) => !['UNKNOWN', 'NOTSENT'].includes(word(reply))).length;
    for (let hedgeEnds = null; ; ) {
      const reads = answers.of('READ');
      const absents = answers.of('ABSENT');
      const all = [...reads.values()];
      if (reads.size === n && all.every((reply) => [1, 4, 5].every((index) => at(reply, index) === at(all[0], index)))) return { decided: { replies: all[0][6], digest: at(all[0], 5) } }; // R1
      const found = [...reads].find(([, reply]) => all.filter((other) => holds(reply, other)).length >= m);
      if (found) {
        this.#repairAfterRead(plan.register, ...found, answers); // R2
        return { decided: { replies: found[1][6], digest: at(found[1], 5) } };
      }
      if (absents.size >= m) {
        if (reads.size) this.#settleDoubt(plan.register);
        return { decided: { replies: [...absents.values()][0][1], digest: '' } }; // R3
      }
      if (own() >= m && hedgeEnds === null) hedgeEnds = Date.now() + ([...answers.pending.keys()].every((node) => node.slow) ? 0 : HEDGE_MS);
      if (!answers.pending.size || (hedgeEnds !== null && Date.now() >= hedgeEnds)) break;
      await answers.next(hedgeEnds === null ? this.timeoutMs : hedgeEnds - Date.now());
    }
    for (const node of answers.pending.keys()) node.slow = true;
    for (const reply of answers.of('READ').values()) this.observe(reply[1]);
    return { again: !answers.pending.size && own() >= m && !answers.of('EXPIRING').size };
  }

  async #repairAfterRead(register, source, reply, answers) {
    for (const end = Date.now() + 2000; answers.pending.size && Date.now() < end; ) await answers.next(end - Date.now());
    const reads = answers.of('READ');
    const stale = [...answers.done].filter(([node, other]) => !['UNKNOWN', 'NOTSENT'].includes(word(other)) && !(reads.has(node) && holds(reply, other)));
    // Somebody is at work there under a higher ballot, or died.
    if (stale.some(([node, other]) => reads.has(node) && at(other, 1) > at(reply, 2))) return this.#settleDoubt(register);
    const goal = { register, ballot: at(reply, 2), version: reply[4], digest: reply[5], source };
    for (const [node] of stale) await this.#mend(goal, node);
  }

  /** A register that nodes hold differently: a slow read of nothing completes or overrules what is there. */
  async #settleDoubt(register) {
    await sleep(50);
    await this.#write(ofRegister(register, 'read', [], [])).catch(() => {});
  }
}
