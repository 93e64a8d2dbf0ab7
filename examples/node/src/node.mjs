// One node: a connection that is admitted before anything is asked over it, and opened again when it breaks.
import { createHash, randomBytes } from 'node:crypto';
import Redis from 'ioredis';

export const GENERATION = 1_000_000;
const MAX_CLOCK_OFFSET_MS = 500;
const USUAL_PURGE_AGE_MS = '3600000';

/** Why a node does not count. `sent`: whether a call may have run there. */
export class Away extends Error {
  constructor(why, sent = false) {
    super(why);
    this.sent = sent;
  }
}

/** Microseconds since 1970. */
export const nowUs = () => Math.round((performance.timeOrigin + performance.now()) * 1000);
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What is not there in time is away, and may have run. */
async function within(ms, answering) {
  let timer;
  answering.catch(() => {});
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Away('it does not answer', true)), ms);
  });
  try {
    return await Promise.race([answering, late]);
  } finally {
    clearTimeout(timer);
  }
}

const sha = (text) => createHash('sha1').update(text).digest('hex').slice(0, 16);
export const newFence = (epoch) => `${String(epoch).padStart(10, '0')}-${randomBytes(8).toString('hex')}`;
const memberId = (runId) => sha(`node\n${runId}`);

/** What `admit look` answers, and INFO. */
function lookOf(words, info) {
  const texts = words.map(String);
  const [, cluster, node, epoch, role, runId, members, fence, keys, at, scopes, flushed, purgeAge, decided, contract] = texts;
  const memberIds = members.split(',').filter(Boolean).map((member) => member.split('@')[0]);
  return { cluster, node, epoch: Number(epoch || 0), role, runId, members, memberIds, fence, keys: Number(keys), nowUs: Number(at), scopes, flushed, purgeAge, decided, contract, info };
}

/** `look` and `offsetMs` are of the present connection; `fence` is set while it may be asked, and `epoch` is whose answers count. */
export class Node {
  constructor(url, scripts, contract, answerTimeoutMs = 2000) {
    Object.assign(this, { url, scripts, contract, answerTimeoutMs, fence: null, look: null, redis: null });
    Object.assign(this, { why: 'not connected yet', epoch: 0, votes: false, slow: false, offsetMs: 0 });
    this.name = new URL(url).host;
  }

  /** Connects, loads the scripts and looks at the server. Nothing has been asked of the node before this has ended. */
  async open() {
    this.close(this.why);
    // Nothing is queued, sent again or connected again behind our back.
    const options = { lazyConnect: true, enableOfflineQueue: false, enableReadyCheck: false, retryStrategy: () => null, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0, connectTimeout: 1000, disableClientInfo: true };
    const redis = new Redis(this.url, options);
    redis.on('error', () => {});
    redis.on('end', () => this.redis === redis && this.close('the connection broke'));
    this.redis = redis;
    // A server that hangs accepts a connection and says nothing.
    await within(this.answerTimeoutMs, redis.connect());
    for (const { text } of Object.values(this.scripts).sort((one, other) => one.text.length - other.text.length)) await this.command('SCRIPT', 'LOAD', text);
    const info = Object.fromEntries(String(await this.command('INFO')).split('\r\n').filter((line) => line.includes(':')).map((line) => line.split(/:(.*)/s).slice(0, 2)));
    checkServer(info);
    const before = nowUs();
    const words = await this.admit('look');
    const after = nowUs();
    this.look = lookOf(words, info);
    const at = this.look.nowUs;
    this.offsetMs = at > after ? Math.floor((at - after) / 1000) : at < before ? -Math.floor((before - at) / 1000) : 0;
    if (Math.abs(this.offsetMs) > MAX_CLOCK_OFFSET_MS) throw new Away(`its clock differs from this machine's by ${this.offsetMs} ms; run NTP on both`);
    if (this.look.contract !== '' && this.look.contract !== this.contract) {
      throw new Away(`its cluster keeps contract ${this.look.contract} of the scripts and this program keeps ${this.contract}: use a version that keeps it`);
    }
  }

  close(why) {
    const redis = this.redis;
    Object.assign(this, { fence: null, votes: false, why, redis: null });
    redis?.disconnect();
    redis?.stream?.destroy(); // a node that hangs would never say goodbye
  }

  /** One command, sent once: nothing is ever sent again by itself. */
  async command(...words) {
    const redis = this.redis;
    if (!redis || redis.status === 'end') throw new Away(this.why);
    try {
      const reply = await within(this.answerTimeoutMs, redis.callBuffer(...words));
      this.slow = false;
      return reply;
    } catch (error) {
      if (error.name === 'ReplyError') throw new Away(error.message);
      if (redis === this.redis) this.close(error.message);
      throw error instanceof Away ? error : new Away(error.message, true);
    }
  }

  /** A script under the node's admission, if that is of this epoch (null: whichever). Answers the reply; throws Away. */
  async call(script, keys, args, epoch, leftMs) {
    for (let tries = 0; tries < 2; tries++) {
      if (this.fence === null) throw new Away(this.why);
      if (epoch !== null && epoch !== this.epoch) throw new Away('its epoch is another one');
      const deadlineMs = Math.floor(nowUs() / 1000 + leftMs) + this.offsetMs;
      let reply;
      try {
        reply = await this.command('EVALSHA', this.scripts[script].sha, keys.length, ...keys, this.fence, deadlineMs, ...args);
      } catch (error) {
        if (!error.message.includes('NOSCRIPT')) throw error;
        for (const { text } of Object.values(this.scripts)) await this.command('SCRIPT', 'LOAD', text);
        continue; // nothing ran
      }
      if (String(reply[0]) === 'FENCED') {
        this.close('its admission changed');
        throw new Away('FENCED its admission changed');
      }
      return reply;
    }
    throw new Away('it forgets the scripts');
  }

  admit(...args) {
    return this.command('EVALSHA', this.scripts.admit.sha, 0, ...args);
  }

  /** Admission, at every (re)connect; `cluster` is what the others belong to. */
  async enter(cluster) {
    let look = this.look;
    const runId = look.info.run_id;
    if (look.cluster !== cluster) throw new Away(look.keys === 0 ? 'it lost its data: fill it with anarcho-heal' : 'it belongs to another cluster, or holds other data');
    if (look.role === 'claimed') {
      await this.admit('demote', look.node, newFence(look.epoch), look.runId, look.fence);
    } else if (look.role === 'voter' && look.runId !== runId) {
      if (await this.keepsEveryWrite()) await this.admit('readmit', look.node, runId, newFence(look.epoch), look.runId);
      else await this.admit('demote', look.node, newFence(look.epoch), look.runId, look.fence);
    }
    this.look = look = lookOf(await this.admit('look'), look.info);
    if (!look.fence || look.cluster !== cluster || (look.role === 'voter' && look.runId !== runId)) throw new Away('its admission changed meanwhile');
    Object.assign(this, { epoch: look.epoch, fence: look.fence, votes: look.role === 'voter' });
    this.why = this.votes ? '' : 'it is being filled from the others and does not vote yet';
  }

  async keepsEveryWrite() {
    const setting = (name) => this.command('CONFIG', 'GET', name).then((reply) => String(reply[1]), () => '');
    return this.look.info.aof_enabled === '1' && (await setting('appendfsync')) === 'always' && (await setting('no-appendfsync-on-rewrite')) === 'no';
  }

  /** Takes a node that missed a generation to the one that `look` of another node tells. */
  async moveTo(look) {
    const first = Math.floor(look.epoch / GENERATION) * GENERATION;
    const reply = await this.admit('move', look.cluster, this.look.node, look.members, first, newFence(first), this.look.info.run_id, look.flushed, look.scopes, look.purgeAge);
    if (String(reply[0]) !== 'OK') throw new Away(`it does not move to the others' generation: ${reply}`);
    this.look = lookOf(await this.admit('look'), this.look.info);
  }
}

function checkServer(info) {
  const [major, minor] = (info.redis_version ?? '0.0').split('.').map(Number);
  if (major < 6 || (major === 6 && minor < 2)) throw new Away('its version is too old; Redis 6.2 is the oldest that works');
  if (info.cluster_enabled === '1') throw new Away('it runs in Redis Cluster mode; set cluster-enabled no');
  if (info.role !== 'master') throw new Away('it is a replica; nodes follow nobody: REPLICAOF NO ONE');
  if ((info.maxmemory_policy ?? 'noeviction') !== 'noeviction') throw new Away('its maxmemory-policy drops keys; set it to noeviction');
}

/** Initialises a new cluster where all nodes are fresh; answers the cluster's id. All ids follow from the servers' run ids. */
export async function form(nodes) {
  const inOrder = nodes.map((node) => ({ node, id: memberId(node.look.info.run_id) })).sort((one, other) => (one.id < other.id ? -1 : 1));
  const members = inOrder.map(({ id }) => id);
  const cluster = sha(['cluster', ...members].join('\n'));
  for (const { node, id } of inOrder) {
    const reply = await node.admit('claim', cluster, id, members.join(','), node.look.info.run_id, '', USUAL_PURGE_AGE_MS);
    if (String(reply[0]) !== 'OK') throw new Away(`${node.name} cannot be claimed: ${reply}`);
  }
  for (const { node } of inOrder) await node.admit('start', cluster, newFence(1));
  return cluster;
}
