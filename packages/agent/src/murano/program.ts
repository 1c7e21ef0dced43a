import { connect, isMessagingError } from '@torcello/messaging';
import { jsonLogger, systemClock, systemNetwork, systemRandom } from '@torcello/platform';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { lockData } from '../data-lock.js';
import { AgentError } from '../errors.js';
import type { ProgramWorld } from '../program.js';
import { readAgentConf, type MuranoSettings } from './agent-conf.js';
import { MuranoAgent } from './murano-agent.js';

/** True when these are words for the agent of Murano's plans. */
export function isForMurano(words: readonly string[]): boolean {
  return words.some((word) => word === '--murano' || word.startsWith('--murano='));
}

const muranoHelp = `Usage: torcello-agent --murano FILE

Takes plans of Murano's formats 2.0.0 to 2.2.0 from an engine of Murano's, in the place of murano-agent.

  --murano FILE   murano-agent's own configuration file, usually /etc/murano/agent.conf. A group [torcello] in it may
                  name transport_url, python, plan_seconds and download_bytes_max. The environment variable
                  TORCELLO_TRANSPORT stands above all other ways to name the broker

When it is ready it prints one line of JSON, {"ready":true,"queue":NAME}. The log is JSON, on standard error. SIGTERM and
SIGINT end the agent and leave a running plan running; the next start goes on with it.
`;

/** Runs the agent until it is told to stop; the answer is the process's exit code. */
export async function runMuranoProgram(world: ProgramWorld): Promise<number> {
  try {
    const file = readWords(world.words);
    if (file === undefined) world.writeOut(muranoHelp);
    else await serve(await readSettings(file, world), world);
    return 0;
  } catch (error) {
    if (error instanceof AgentError) {
      world.writeError(`torcello-agent: ${error.message}\n`);
      return error.exitCode;
    }
    if (!isMessagingError(error)) throw error;
    world.writeError(`torcello-agent: the broker: ${error.message} (${error.code})\n`);
    return 4;
  }
}

/** The configuration file; undefined where help is asked for. */
function readWords(words: readonly string[]): string | undefined {
  try {
    const options = { murano: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const;
    const { values } = parseArgs({ args: [...words], options });
    return values.help === true ? undefined : (values.murano ?? '');
  } catch (error) {
    throw new AgentError('USAGE', `${(error as Error).message} (see --murano --help)`, error);
  }
}

async function readSettings(file: string, world: ProgramWorld): Promise<MuranoSettings> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new AgentError('USAGE', `${file} cannot be read: name murano-agent's agent.conf with --murano FILE`, cause);
  });
  const settings = readAgentConf(text);
  const transportUrl = world.environment['TORCELLO_TRANSPORT'] ?? settings.transportUrl;
  return { ...settings, transportUrl, storage: path.resolve(settings.storage) };
}

async function serve(settings: MuranoSettings, world: ProgramWorld): Promise<void> {
  const lock = await lockData(settings.storage);
  const end = new AbortController();
  const ended = new Promise<void>((resolve) => end.signal.addEventListener('abort', () => resolve(), { once: true }));
  world.stop.addEventListener('abort', () => end.abort(), { once: true });
  if (world.stop.aborted) end.abort();
  const agent = makeAgent(settings, world, (error) => end.abort(error));
  try {
    await Promise.race([agent.start(), ended]);
    if (!end.signal.aborted) world.writeOut(`${JSON.stringify({ ready: true, queue: settings.inputQueue })}\n`);
    await ended;
  } finally {
    await agent.stop();
    await lock.release();
  }
  if (end.signal.reason instanceof AgentError) throw end.signal.reason;
}

function makeAgent(settings: MuranoSettings, world: ProgramWorld, onFatal: (error: AgentError) => void): MuranoAgent {
  const logger = jsonLogger({ clock: systemClock, write: world.writeError });
  const { PATH, HOME, LANG } = world.environment;
  return new MuranoAgent({
    settings,
    clock: systemClock,
    random: systemRandom,
    logger,
    hostEnvironment: {
      PATH: PATH ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: HOME ?? '/',
      LANG: LANG ?? 'C.UTF-8',
    },
    connect: (signal) =>
      connect(settings.transportUrl, {
        drivers: world.drivers,
        needs: ['returns'],
        connectionName: `torcello-agent ${settings.inputQueue}`,
        clock: systemClock,
        random: systemRandom,
        network: systemNetwork,
        logger,
        signal,
      }),
    onFatal,
  });
}
