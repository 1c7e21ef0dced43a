import { execFileSync } from 'node:child_process';
import { root } from './run.mjs';

const programs = [
  { name: 'torcello up', args: ['packages/cli/bin/torcello.js', 'up'] },
  { name: 'torcello api', args: ['packages/api/bin/torcello-api.js'] },
  { name: 'torcello conductor', args: ['packages/conductor/bin/torcello-conductor.js'] },
  { name: 'torcello broker', args: ['packages/broker/bin/torcello-broker.js'] },
  { name: 'torcello agent', args: ['packages/agent/bin/torcello-agent.js'] },
];

/** `docs/settings.md` as the built programs want it. */
export function settingsDocument() {
  return [
    '# Settings',
    '',
    '<!-- written by scripts/docs.mjs from the programs; a test compares -->',
    '',
    'Every program is set by its options. Secrets may stand in the environment instead, where other users cannot see them:',
    '`TORCELLO_TRANSPORT` for the URL of the broker, `TORCELLO_JOIN` for a join line, `TORCELLO_BROKER_USER` and',
    '`TORCELLO_BROKER_PASSWORD` for the first login of a new broker. The `torcello` command finds address and token in the',
    'data folder; `TORCELLO_URL` and `TORCELLO_TOKEN` override them.',
    ...programs.flatMap(({ name, args }) => ['', `## ${name}`, '', '```text', helpOf(args), '```']),
    '',
  ].join('\n');
}

function helpOf([script, ...words]) {
  const env = { ...process.env, NO_COLOR: '1', COLUMNS: '100' };
  return execFileSync(process.execPath, [`${root}${script}`, ...words, '--help'], { env, encoding: 'utf8' }).trim();
}
