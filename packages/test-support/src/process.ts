import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/** A program under test. Its output is kept for the report of a failure. */
export interface Running {
  readonly pid: number;
  readonly child: ChildProcess;
  /** Resolves with the first line of standard output that `matches`; rejects when the program ends before. */
  line(matches: (line: string) => boolean): Promise<string>;
  /** What it wrote so far. */
  output(): { readonly stdout: string; readonly stderr: string };
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** Sends the signal and resolves when the process is gone. Safe after its end. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Starts a program with the test's own environment plus `env`. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Running {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (child.pid === undefined) throw new Error(`${command} could not be started`);
  let [stdout, stderr] = ['', ''];
  const watchers = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    for (const watch of watchers) watch();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  const line = (matches: (line: string) => boolean): Promise<string> =>
    new Promise((resolve, reject) => {
      const watch = (): void => {
        const found = stdout.split('\n').slice(0, -1).find(matches);
        if (found === undefined) return;
        watchers.delete(watch);
        resolve(found);
      };
      watchers.add(watch);
      watch();
      void exited.then(({ code, signal }) =>
        reject(new Error(`${command} ended (${String(code ?? signal)}) before the line came\n${stdout}\n${stderr}`)),
      );
    });
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    child.kill(signal);
    await exited;
  };
  return { pid: child.pid, child, line, output: () => ({ stdout, stderr }), exited, stop };
}
