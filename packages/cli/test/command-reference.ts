import { readFile, writeFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import { exitCodeMeanings, exitCodes } from '../src/exit-codes.js';
import { everyCommand, torcelloProgram } from '../src/program.js';
import { testContext } from './support.js';

/** What stands between these two in the README is made by this file; run it to write it anew. */
export const referenceMarks = ['<!-- reference -->', '<!-- /reference -->'] as const;

export function commandReference(program: Command): string {
  const verbs = everyCommand(program).filter((command) => command.commands.length === 0 || command.name() === 'agent');
  const codes = Object.entries(exitCodeMeanings).map(([code, meaning]) => `- \`${code}\`: ${meaning}`);
  return [
    '',
    '',
    ...verbs.filter((verb) => verb.name() !== 'help').flatMap(describe),
    '## Exit codes',
    '',
    ...codes,
    '',
    '',
  ].join('\n');
}

function describe(command: Command): readonly string[] {
  const names: string[] = [];
  for (let at: Command | null = command; at !== null; at = at.parent) names.unshift(at.name());
  const args = command.registeredArguments.map((argument) =>
    argument.required ? `<${argument.name()}>` : `[${argument.name()}${argument.variadic ? '...' : ''}]`,
  );
  const options = command.options.map(({ flags, description }) => `- \`${flags}\`: ${description}`);
  return [
    `### \`${[...names, ...args].join(' ')}\``,
    '',
    `${command.description()}.`,
    '',
    ...options,
    ...(options.length > 0 ? [''] : []),
  ];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const file = new URL('../README.md', import.meta.url);
  const [from, to] = referenceMarks;
  const readme = await readFile(file, 'utf8');
  const { context } = testContext({}, () => undefined);
  const reference = commandReference(torcelloProgram({ context, exitCode: exitCodes.ok }));
  const [before, after] = [readme.slice(0, readme.indexOf(from) + from.length), readme.slice(readme.indexOf(to))];
  await writeFile(file, before + reference + after);
}
