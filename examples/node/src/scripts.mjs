// The scripts of lua/, pasted by the rule of the contract: the fragments of the USES line, then the file, byte for byte.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** lua/ of a checkout, or the one that was copied beside this package, or ANARCHO_LUA. */
export function folder() {
  const here = path.dirname(fileURLToPath(import.meta.url));
  const places = [process.env.ANARCHO_LUA, path.join(here, '../lua'), path.join(here, '../../../lua')];
  const found = places.find((place) => place && existsSync(path.join(place, 'apply.lua')));
  if (!found) throw new Error('no folder lua: name it in ANARCHO_LUA');
  return found;
}

/** {scripts: {name: {sha, text}}, contract}: the number is that of the contract that the scripts keep. */
export function load(lua = folder()) {
  const scripts = {};
  for (const file of readdirSync(lua).filter((file) => file.endsWith('.lua'))) {
    const body = readFileSync(path.join(lua, file));
    const uses = body.toString('latin1').match(/^-- USES(.*)$/m)[1].trim().split(/\s+/);
    const text = Buffer.concat([...uses.map((part) => readFileSync(path.join(lua, 'lib', `${part}.lua`))), body]);
    scripts[path.basename(file, '.lua')] = { sha: createHash('sha1').update(text).digest('hex'), text };
  }
  const contract = readFileSync(path.join(lua, 'lib/contract.lua'), 'utf8').match(/local contract = '(\d+)'/)[1];
  return { scripts, contract };
}
