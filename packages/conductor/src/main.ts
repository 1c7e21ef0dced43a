import { amqp091Driver } from '@torcello/driver-amqp091';
import { handshakeAddress } from '@torcello/contracts';
import {
  type Transport,
  connect,
  isMessagingError,
  lazyDriver,
  missingForMailboxes,
  postalTransport,
} from '@torcello/messaging';
import { type Logger, hexId, jsonLogger, systemClock, systemRandom } from '@torcello/platform';
import { Conductor } from './conductor.js';
import { type ProgramOptions, UsageError, readOptions, usage } from './options.js';
import { httpDownload } from './packages/download.js';
import { type PlanSigner, openPlanKey } from './sign.js';

/** AMQP 1.0 is loaded when a URL asks for it. */
const drivers = [
  amqp091Driver(),
  lazyDriver(['amqp1', 'amqp1s'], '@torcello/driver-amqp10', async () =>
    (await import('@torcello/driver-amqp10')).amqp10Driver(),
  ),
];

/** Exit codes: 1 for a command line or a key that cannot be used, 4 for a broker that refuses. */
const exitUsage = 1;
const exitUnreachable = 4;

/** The program: resolves with its exit code once everything of it has ended. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const options = readOptions(args, process.env);
    if (options !== 'help') return await conduct(options);
    process.stdout.write(usage);
    return 0;
  } catch (error) {
    if (error instanceof UsageError) return fail(error.message, exitUsage);
    if (isMessagingError(error))
      return fail(`${error.code}: ${error.message}; ${brokerCure(error.code)}`, exitUnreachable);
    throw error;
  }
}

async function conduct(options: ProgramOptions): Promise<number> {
  const logger = jsonLogger({ clock: systemClock, write: (line) => process.stderr.write(line) });
  const ending = endSignal();
  const signer = await openKey(options.planKey);
  const holder = hexId(systemRandom);
  const transport = await openTransport(options.transport, { logger, holder, signal: ending });
  if (transport === undefined) return 0;
  const world = { clock: systemClock, random: systemRandom, logger };
  const { deploymentsMax } = options;
  const conductor = new Conductor({ transport, signer, holder, deploymentsMax, download: httpDownload, ...world });
  try {
    await conductor.start();
    process.stdout.write(`${JSON.stringify({ ready: true, holder })}\n`);
    await aborted(ending);
    await conductor.stop();
  } finally {
    await transport.close();
  }
  return 0;
}

/** Undefined when the program was told to end before there was a connection. */
async function openTransport(
  url: string,
  with_: { readonly logger: Logger; readonly holder: string; readonly signal: AbortSignal },
): Promise<Transport | undefined> {
  const { logger, holder, signal } = with_;
  try {
    const transport = await connect(url, { drivers, connectionName: 'torcello-conductor', logger, signal });
    const missing = missingForMailboxes(transport.capabilities);
    if (missing.length === 0) return transport;
    logger.info('the broker keeps no mailboxes: hints come from the API, and plans go to it', { missing });
    return postalTransport(transport, { address: handshakeAddress, owner: holder });
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

async function openKey(path: string): Promise<PlanSigner> {
  try {
    return await openPlanKey(path);
  } catch (error) {
    throw new UsageError(`the plan key ${path} cannot be used: ${(error as Error).message}`);
  }
}

function endSignal(): AbortSignal {
  const abort = new AbortController();
  const end = (): void => abort.abort();
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
  return abort.signal;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function brokerCure(code: string): string {
  if (code === 'LOGIN_REFUSED') return 'correct user and password in --transport';
  if (code === 'INVALID_URL') return 'correct --transport';
  return 'use a broker that can do this, or correct --transport';
}

function fail(line: string, exitCode: number): number {
  process.stderr.write(`torcello-conductor: ${line}\n`);
  return exitCode;
}
