import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from './free-port.js';
import { run, type Running } from './process.js';

/**
 * Which of Proton's example brokers. The one in C survives everything and settles what it sends beforehand; the one in
 * Python also makes nodes that it names itself, as oslo.messaging needs them. (The one in C++ crashes when a connection
 * is cut, and starves readers beside one that has no credit.)
 */
export type ProtonFlavour = 'c' | 'python';

/** One of Qpid Proton's example brokers: AMQP 1.0, queues in memory that are made by the first link. */
export interface ProtonBroker {
  readonly host: '127.0.0.1';
  readonly port: number;
  /** `amqp1://127.0.0.1:PORT`. */
  readonly url: string;
  /** SIGKILL; what it kept is gone. */
  kill(): Promise<void>;
  /** Starts it again after `kill`, empty, on the same port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const examples = '/usr/share/proton/examples';
const needs: Readonly<Record<ProtonFlavour, { readonly files: readonly string[]; readonly packages: string }>> = {
  c: {
    files: [`${examples}/c/broker.c`, '/usr/include/proton/proactor.h'],
    packages: 'libqpid-proton11-dev-examples gcc',
  },
  python: {
    files: [`${examples}/python/broker.py`, '/usr/lib/python3/dist-packages/proton'],
    packages: 'libqpid-proton11-dev-examples python3-qpid-proton',
  },
};

/** Why the broker cannot be run here, or undefined. */
export function protonMissing(flavour: ProtonFlavour): string | undefined {
  const { files, packages } = needs[flavour];
  if (files.every((file) => existsSync(file))) return undefined;
  return `Proton's example broker is not installed (apt-get install ${packages})`;
}

/** Compiles the example where that has not been done yet, and starts it on a free port. */
export async function startProtonBroker(flavour: ProtonFlavour): Promise<ProtonBroker> {
  const missing = protonMissing(flavour);
  if (missing !== undefined) throw new Error(missing);
  const port = await freePort();
  const boot = async (): Promise<Running> => {
    const broker = start(flavour, port);
    await Promise.race([listening(port), broker.exited.then(() => Promise.reject(endedEarly(broker)))]);
    return broker;
  };
  let broker = await boot();
  return {
    host: '127.0.0.1',
    port,
    url: `amqp1://127.0.0.1:${port}`,
    kill: () => broker.stop('SIGKILL'),
    restart: async () => {
      broker = await boot();
    },
    stop: () => broker.stop('SIGKILL'),
  };
}

function start(flavour: ProtonFlavour, port: number): Running {
  const [file = ''] = needs[flavour].files;
  if (flavour === 'python') return run('/usr/bin/python3', [file, '-a', `127.0.0.1:${port}`]);
  // Beside its source lie the certificates that it looks for.
  return run(compiled(file), ['127.0.0.1', String(port)], { cwd: path.dirname(file) });
}

/** Kept for later runs, under a name that only a whole program gets. */
function compiled(source: string): string {
  const folder = path.join(tmpdir(), `torcello-proton-${process.getuid?.() ?? 'user'}`);
  const program = path.join(folder, 'broker');
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const fresh = `${program}.${process.pid}`;
  const libraries = ['-lqpid-proton', '-lpthread'];
  execFileSync('gcc', ['-O1', '-w', '-o', fresh, source, ...libraries], { stdio: 'pipe' });
  renameSync(fresh, program);
  return program;
}

/** Polls: its own line says nothing to a pipe until much more was written. */
async function listening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt += 1) {
    if (await accepts(port)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing listens on port ${port} after 30 s`);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

function endedEarly(broker: Running): Error {
  const { stdout, stderr } = broker.output();
  return new Error(`Proton's example broker ended before it listened\n${stdout}\n${stderr}`);
}
