import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { muranoAgentStarter } from '@torcello/api';
import { run } from '@torcello/test-support';
import type { Running } from '@torcello/test-support';

/** Debian's murano-agent, and why it cannot be started here. */
export function muranoAgentMissing(): string | undefined {
  const isThere = existsSync('/usr/lib/python3/dist-packages/muranoagent');
  return isThere ? undefined : 'murano-agent is not installed (apt-get install murano-agent)';
}

/**
 * Starts the real muranoagent with the configuration that the API made for its machine; only the folder of its storage is
 * another one. Release 10.0.0 cannot run a plan without the repair that the API's user data carries as well.
 */
export function startMuranoAgent(folder: string, conf: string): Running {
  mkdirSync(path.join(folder, 'storage'), { recursive: true });
  const [starter, file] = [path.join(folder, 'starter.py'), path.join(folder, 'agent.conf')];
  writeFileSync(starter, muranoAgentStarter);
  writeFileSync(file, conf.replace(/^storage = .*$/m, `storage = ${path.join(folder, 'storage')}`), { mode: 0o600 });
  return run('/usr/bin/python3', [starter, '--config-file', file, '--log-file', path.join(folder, 'agent.log')]);
}
