import type { Command } from 'commander';
import path from 'node:path';
import { ownVersion } from '../own-version.js';
import { checkTransport } from '../doctor/check-transport.js';
import { diagnose } from '../doctor/diagnose.js';
import type { Diagnosis, Finding } from '../doctor/finding.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { safeText } from '../output/text.js';
import { dataFolderFiles, defaultDataFolder, readRunningAddress } from '../plant/data-folder.js';
import { apiCommand, type CommandRun, type CommonOptions } from './command-kit.js';

interface DoctorOptions extends CommonOptions {
  readonly transport?: string;
}

/** `torcello doctor`: what works, how plans get to agents, what is missing, and the cure. */
export function doctorCommand(run: CommandRun): Command {
  const command = apiCommand<DoctorOptions>(
    run,
    'doctor',
    'say what works, how plans get to agents, and what is missing, each with its cure; exit code 4 when API or broker is away',
    async ({ context, client, printer, options }) => {
      const files = dataFolderFiles(path.resolve(context.cwd, options.data ?? defaultDataFolder));
      const named = options.transport ?? context.env['TORCELLO_TRANSPORT'];
      const transport = named || (await readRunningAddress(files))?.transport;
      const check = (url: string) => checkTransport(context, url);
      const found = await diagnose({ context, client, version: ownVersion, transport, checkTransport: check });
      printer.answer(found, () => lines(found));
      return exitCodeOf(found);
    },
  );
  return command.option('--transport <url>', 'the broker to look at when no API answers (also by TORCELLO_TRANSPORT)');
}

function exitCodeOf({ findings }: Diagnosis): ExitCode {
  return findings.some(({ level }) => level === 'failed') ? exitCodes.unreachable : exitCodes.ok;
}

const marks: Readonly<Record<Finding['level'], string>> = { ok: 'ok     ', warning: 'warning', failed: 'FAILED ' };

function lines({ transport, findings }: Diagnosis): readonly string[] {
  const told = findings.flatMap(({ level, check, text, cure }) => [
    `${marks[level]}  ${check.padEnd(10)}  ${safeText(text)}`,
    ...(level === 'ok' || cure === undefined ? [] : [`${' '.repeat(21)}try: ${safeText(cure)}`]),
  ]);
  return transport?.capabilities === undefined ? told : [...told, ...capabilityLines(transport.capabilities)];
}

function capabilityLines(capabilities: Readonly<Record<string, boolean | number>>): readonly string[] {
  const entries = Object.entries(capabilities);
  const has = entries.filter(([, value]) => value !== false && value !== 0);
  const lacks = entries.filter(([, value]) => value === false || value === 0).map(([name]) => name);
  const named = has.map(([name, value]) => (value === true ? name : `${name} ${value}`));
  return ['', `the transport can   ${named.join(', ')}`, `the transport lacks ${lacks.join(', ') || 'nothing'}`];
}
