import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { exitCodes } from '../src/exit-codes.js';
import { everyCommand, torcelloProgram } from '../src/program.js';
import { commandReference, referenceMarks } from './command-reference.js';
import { testContext, torcello } from './support.js';

const { context } = testContext({}, () => undefined);
const program = torcelloProgram({ context, exitCode: exitCodes.ok });
/** These hand every argument to a program of its own. */
const passThrough: ReadonlySet<string> = new Set(['api', 'conductor', 'broker', 'agent']);

test('every command has a description and answers --help', async () => {
  for (const command of everyCommand(program)) {
    assert.notEqual(command.description(), '', command.name());
    if (passThrough.has(command.name())) continue;
    const names: string[] = [];
    for (let at = command; at.parent !== null; at = at.parent) names.unshift(at.name());
    const result = await torcello([...names, '--help']);
    assert.equal(result.exitCode, 0, names.join(' '));
    assert.match(result.stdout, /^Usage: torcello/);
  }
});

test('every verb takes --json', () => {
  const verbs = everyCommand(program).filter(
    (command) => command.commands.length === 0 && !passThrough.has(command.name()),
  );
  for (const verb of verbs)
    assert.ok(
      verb.options.some(({ long }) => long === '--json'),
      verb.name(),
    );
});

test('the reference in the README is the one of the code', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const [from, to] = referenceMarks;
  assert.equal(readme.slice(readme.indexOf(from) + from.length, readme.indexOf(to)), commandReference(program));
});
