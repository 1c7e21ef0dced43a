import path from 'node:path';
import type { Clock } from '@torcello/platform';
import type { MachineView } from '../client/views.js';
import { plainEnvironment } from '../plant/control-plane.js';
import type { DataFolderFiles } from '../plant/data-folder.js';
import { programBin } from '../plant/program-bins.js';
import type { Supervisor } from '../supervisor/supervisor.js';

export interface LocalAgents {
  /** When the process of each machine's agent was started: machine name to milliseconds since 1970. */
  readonly startedAtMs: ReadonlyMap<string, number>;
  /** Settles when all have joined, or with why one could not. */
  readonly ready: Promise<void>;
}

/** Starts an agent for every machine as a child process of this one: the provider `local`, for trying out. */
export function startLocalAgents(
  machines: readonly MachineView[],
  options: {
    readonly supervisor: Supervisor;
    readonly files: DataFolderFiles;
    readonly clock: Clock;
    readonly env: Readonly<Record<string, string | undefined>>;
  },
): LocalAgents {
  const { supervisor, files, clock, env } = options;
  const startedAtMs = new Map<string, number>();
  const script = programBin('agent');
  const starts = machines.map(({ name, joinLine }) => {
    const args = ['--data', path.join(files.folder, 'agents', name)];
    const environment = { ...plainEnvironment(env), TORCELLO_JOIN: joinLine ?? '' };
    return supervisor.start({
      name: `agent ${name}`,
      group: 'agents',
      program: () => ({ script, args, env: environment }),
      logFile: path.join(files.logs, `agent-${name}.log`),
      clock,
      onEvent: (event) => {
        if (event.type === 'started' && !startedAtMs.has(name)) startedAtMs.set(name, event.atMs);
      },
    });
  });
  return { startedAtMs, ready: Promise.all(starts).then(() => undefined) };
}
