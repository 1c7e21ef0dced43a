import { handshakeAddress } from '@torcello/contracts/agent';
import { connect, type Driver, isMessagingError, missingForMailboxes, postalTransport } from '@torcello/messaging';
import { jsonLogger, systemClock, systemNetwork, systemRandom, type Logger } from '@torcello/platform';
import path from 'node:path';
import { Agent } from './agent.js';
import { help, readCommandLine } from './command-line.js';
import type { CommandLine } from './command-line.js';
import { lockData } from './data-lock.js';
import { AgentError } from './errors.js';
import { askHttpDate } from './http-date.js';
import { joinOrLoad } from './join.js';
import type { StoredIdentity } from './identity.js';
import { agentVersion } from './version.js';

/** What the program takes from the process it runs in. */
export interface ProgramWorld {
  /** Arguments without Node and the file. */
  readonly words: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly hostname: string;
  readonly nodePath: string;
  readonly drivers: readonly Driver[];
  /** Aborts at the first SIGTERM or SIGINT. */
  readonly stop: AbortSignal;
  readonly writeOut: (text: string) => void;
  readonly writeError: (text: string) => void;
}

type RunCommand = Extract<CommandLine, { readonly command: 'run' }>;

/** Runs the agent until it is told to stop; the answer is the process's exit code. */
export async function runProgram(world: ProgramWorld): Promise<number> {
  try {
    const commandLine = readCommandLine(world.words, world.environment);
    if (commandLine.command === 'help') world.writeOut(help);
    else if (commandLine.command === 'version') world.writeOut(`${agentVersion}\n`);
    else await runAgent(commandLine, world);
    return 0;
  } catch (error) {
    return complain(error, world);
  }
}

async function runAgent(commandLine: RunCommand, world: ProgramWorld): Promise<void> {
  const { joinLine, renewsLogin = false } = commandLine;
  const dataFolder = path.resolve(commandLine.dataFolder);
  const lock = await lockData(dataFolder);
  try {
    const identity = await joinOrLoad(joinLine, { dataFolder, agentVersion, hostname: world.hostname, renewsLogin });
    await serve(dataFolder, identity, world);
  } finally {
    await lock.release();
  }
}

/** Resolves after a stop that was asked for. Rejects with what made the agent end by itself. */
async function serve(dataFolder: string, identity: StoredIdentity, world: ProgramWorld): Promise<void> {
  const logger = jsonLogger({ clock: systemClock, write: world.writeError });
  const end = new AbortController();
  const asked = (): void => end.abort();
  world.stop.addEventListener('abort', asked, { once: true });
  if (world.stop.aborted) asked();
  const ended = new Promise<void>((resolve) => end.signal.addEventListener('abort', () => resolve(), { once: true }));
  const agent = makeAgent({ dataFolder, identity, world, logger, onFatal: (error) => end.abort(error) });
  try {
    await Promise.race([agent.start(), ended]);
    if (!end.signal.aborted) {
      world.writeOut(`${JSON.stringify({ ready: true, machine: identity.machineName })}\n`);
      await ended;
    }
  } finally {
    await agent.stop();
  }
  if (end.signal.reason instanceof AgentError) throw end.signal.reason;
}

function makeAgent(options: {
  readonly dataFolder: string;
  readonly identity: StoredIdentity;
  readonly world: ProgramWorld;
  readonly logger: Logger;
  readonly onFatal: (error: AgentError) => void;
}): Agent {
  const { dataFolder, identity, world, logger, onFatal } = options;
  const { PATH, HOME, LANG } = world.environment;
  return new Agent({
    dataFolder,
    identity,
    agentVersion,
    clock: systemClock,
    logger,
    askServerTime: (signal) => askHttpDate(identity.api, systemClock, signal),
    nodePath: world.nodePath,
    hostEnvironment: {
      PATH: PATH ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: HOME ?? '/',
      LANG: LANG ?? 'C.UTF-8',
    },
    connect: async (purpose, signal) => {
      const transport = await connect(identity.transportUrl, {
        drivers: world.drivers,
        connectionName: `torcello-agent ${identity.machineName} ${purpose}`,
        clock: systemClock,
        random: systemRandom,
        network: systemNetwork,
        logger,
        signal,
      });
      const missing = missingForMailboxes(transport.capabilities);
      if (missing.length === 0) return transport;
      logger.info('the broker keeps no mailboxes: the API is told that this agent runs, and calls it', { missing });
      return postalTransport(transport, { address: handshakeAddress, owner: identity.machineId });
    },
    onFatal,
  });
}

function complain(error: unknown, world: ProgramWorld): number {
  if (error instanceof AgentError) {
    world.writeError(`torcello-agent: ${error.message}\n`);
    return error.exitCode;
  }
  if (isMessagingError(error)) {
    world.writeError(`torcello-agent: the broker: ${error.message} (${error.code})\n`);
    return 4;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  world.writeError(`torcello-agent: this is a defect of the program: ${text}\n`);
  return 1;
}
