import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Api, sharedAccounts } from '@torcello/api';
import { connect, memoryDriver, type Transport } from '@torcello/messaging';
import { silentLogger, systemClock, systemRandom } from '@torcello/platform';
import { temporaryFolder } from '@torcello/test-support';
import { strToU8, zipSync } from 'fflate';

/**
 * Debian's `murano` command (python3-muranoclient), unchanged, against our API: every command of its table, what it
 * prints and with which exit code. Ids and times differ from run to run and are masked at their length.
 */

const program = '/usr/bin/murano';
const folder = temporaryFolder('murano-cli');
const environment: Record<string, string> = {};
let api: Api;
let transport: Transport;
let url = '';

before(async () => {
  assert.ok(existsSync(program), 'the murano command is missing: apt-get install python3-muranoclient');
  transport = await connect('memory://murano/', { drivers: [memoryDriver()] });
  api = await Api.open({
    dataDirectory: folder.path,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    accounts: () => sharedAccounts('memory://agents/'),
    planKey: () => undefined,
  });
  url = await api.listen({ host: '127.0.0.1', port: 0 });
  await api.attach(transport);
  environment['PATH'] = process.env['PATH'] ?? '';
  environment['HOME'] = folder.path;
  environment['LANG'] = 'C.UTF-8';
  environment['MURANO_URL'] = url;
  environment['OS_NO_CLIENT_AUTH'] = '1';
  environment['OS_AUTH_TOKEN'] = api.secrets.adminToken;
  writeFileSync(path.join(folder.path, 'web.zip'), packageZip('1.0.0', 'Web'));
  writeFileSync(path.join(folder.path, 'changed.zip'), packageZip('1.0.0', 'Changed'));
});

after(async () => {
  await api.stop();
  await transport.close();
  folder.remove();
});

function packageZip(version: string, name: string): Uint8Array {
  const application = `
properties: { type: object, additionalProperties: false, properties: { port: { type: integer, default: 8200 } } }
machines: { web: { min: 1, max: 5 } }
deploy: [{ role: web, steps: [{ name: start, command: ['true'] }] }]
destroy: [{ role: web, steps: [{ name: stop, command: ['true'] }] }]
`;
  const manifest = `Format: Torcello/1.0\nType: Application\nFullName: io.torcello.Web\nName: ${name}\nVersion: ${version}\nAuthor: us\nDescription: A web server\nTags: [http]\n`;
  return zipSync({ 'manifest.yaml': strToU8(manifest), 'application.yaml': strToU8(application) });
}

interface Said {
  readonly code: number;
  /** Standard output without the line about glance that is always there. */
  readonly text: string;
  readonly stderr: string;
}

function murano(...words: readonly string[]): Promise<Said> {
  return new Promise((resolve) => {
    const options = { cwd: folder.path, env: { ...environment } };
    execFile(program, ['--os-no-client-auth', ...words], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      const lines = stdout.split('\n').filter((line) => !line.startsWith('Could not initialize glance'));
      resolve({ code, text: lines.join('\n').trim(), stderr });
    });
  });
}

/** Runs a command that must go well, and compares what it prints. */
async function prints(words: readonly string[], expected: string): Promise<string> {
  const said = await murano(...words);
  assert.deepEqual(
    { code: said.code, text: masked(said.text), stderr: said.stderr },
    { code: 0, text: masked(expected.trim()), stderr: '' },
    words.join(' '),
  );
  return said.text;
}

/** Runs a command that must be refused with Murano's status, in a form that the client can read. */
async function refuses(words: readonly string[], says: RegExp): Promise<void> {
  const said = await murano(...words);
  assert.notEqual(said.code, 0, words.join(' '));
  assert.match(said.stderr, says, words.join(' '));
  assert.doesNotMatch(said.stderr + said.text, /Traceback|has no attribute|bytes-like|HTTP 5\d\d/, words.join(' '));
}

function masked(text: string): string {
  return text
    .replaceAll(/\b[0-9a-f]{32}\b/g, 'x'.repeat(32))
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/g, 'YYYY-MM-DDTHH:MM:SS');
}

function idIn(text: string): string {
  return /\b[0-9a-f]{32}\b/.exec(text)?.[0] ?? assert.fail(`no id in ${text}`);
}

function file(name: string, content: unknown): string {
  writeFileSync(path.join(folder.path, name), JSON.stringify(content));
  return name;
}

const row = 'x'.repeat(32);
const at = 'YYYY-MM-DDTHH:MM:SS';
const rule = (...widths: readonly number[]): string => `+${widths.map((width) => '-'.repeat(width + 2)).join('+')}+`;

function table(columns: readonly string[], ...rows: readonly (readonly string[])[]): string {
  const widths = columns.map((name, index) => Math.max(name.length, ...rows.map((cells) => cells[index]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' | ')} |`;
  const frame = rule(...widths);
  return [frame, line(columns), frame, ...rows.map(line), frame].join('\n');
}

const environmentColumns = ['ID', 'Name', 'Status', 'Created', 'Updated'];
const packageColumns = ['ID', 'Name', 'FQN', 'Author', 'Active', 'Is Public', 'Type', 'Version'];
const templateColumns = ['ID', 'Name', 'Created', 'Updated', 'Is public'];
const deploymentColumns = ['ID', 'State', 'Created', 'Updated', 'Finished'];
const webRow = [row, 'Web', 'io.torcello.Web', 'us', 'True', '', 'Application', '1.0.0'];

test('packages: import, list, paging, show, update, download, schema, categories', async () => {
  await prints(['package-list'], table(packageColumns));
  const importing = 'Importing package io.torcello.Web\n';
  const imported = await prints(
    ['package-import', 'web.zip', '-c', 'Web', '--exists-action', 'a'],
    importing + table(packageColumns, webRow),
  );
  const id = idIn(imported);
  const clash = 'Importing package io.torcello.Web failed. Package with the same name/classes is already registered.\n';
  await prints(['package-import', 'web.zip', '--exists-action', 's'], `${importing}${clash}Skipping.`);
  await prints(['package-import', 'changed.zip', '--exists-action', 'a'], `${importing}${clash}Exiting.`);
  await prints(['package-list', '--limit', '1', '--include-disabled'], table(packageColumns, webRow));
  await prints(['package-list', '--category', 'Web', '--tag', 'http'], table(packageColumns, webRow));
  await prints(['package-list', '--search', 'nothing'], table(packageColumns));
  // A bundle names files beside it.
  copyFileSync(path.join(folder.path, 'web.zip'), path.join(folder.path, 'io.torcello.Web.zip'));
  file('all.bundle', { Packages: [{ Name: 'io.torcello.Web' }] });
  const bundled = await prints(
    ['bundle-import', 'all.bundle', '--exists-action', 's'],
    `${importing}${clash}Skipping.`,
  );
  assert.match(bundled, /Skipping/);
  await refuses(['package-download', '/some/file.zip'], /not found/);
  const shown = await murano('package-show', id);
  assert.equal(shown.code, 0);
  assert.match(shown.text, /\| categories +\| Web +\|/);
  const updated = await murano('package-update', id, '--is-public', 'true', '--tags', 'a', 'b', '--description', 'new');
  assert.equal(updated.code, 0, updated.stderr);
  assert.match(updated.text, /\| is_public +\| True +\|/);
  assert.match(updated.text, /\| tags +\| a, b +\|/);
  assert.match(updated.text, /\| description +\| new +\|/);
  assert.equal((await murano('package-update', id, '--enabled', 'false')).code, 0);
  await prints(['package-list'], table(packageColumns));
  assert.equal((await murano('package-update', id, '--enabled', 'true')).code, 0);
  await prints(['package-download', id, 'got.zip'], 'Package downloaded to got.zip');
  assert.deepEqual(readFileSync(path.join(folder.path, 'got.zip')), readFileSync(path.join(folder.path, 'web.zip')));
  const schema = await murano('class-schema', 'io.torcello.Web');
  assert.equal(schema.code, 0, schema.stderr);
  assert.match(schema.text, /"port"/);
  await refuses(['class-schema', 'io.torcello.Lost'], /404/);
  await refuses(['package-show', row], /not found/);
  await refuses(['package-download', row, 'no.zip'], /not found/);
  await refuses(['package-import', 'web.zip', '-c', 'Lost', '--exists-action', 's'], /^$/);
  await prints(
    ['package-import', 'changed.zip', '--exists-action', 'u'],
    `${importing}${clash}Deleting package io.torcello.Web(${id})\n${importing}` +
      table(packageColumns, webRow.with(1, 'Changed')),
  );
});

test('categories', async () => {
  const names =
    'Application Servers,Big Data,Databases,Key-Value Storage,Load Balancers,Message Queue,Microsoft Services,SAP,Web';
  const rows = names.split(',').map((name) => [row, name]);
  const listed = await prints(['category-list'], table(['ID', 'Name'], ...rows));
  const made = await prints(['category-create', 'Zoo'], table(['ID', 'Name'], [row, 'Zoo']));
  await refuses(['category-create', 'Zoo'], /409/);
  const shown = await murano('category-show', idIn(made));
  assert.equal(shown.code, 0);
  assert.match(shown.text, /\| name +\| Zoo +\|/);
  assert.equal(masked((await murano('category-delete', idIn(made))).text), masked(listed));
  await refuses(['category-delete', row], /Unable to find and delete/);
});

test('environments, sessions, applications, model, deployments, actions', async () => {
  await prints(['environment-list'], table(environmentColumns));
  const made = await prints(['environment-create', 'shop'], table(environmentColumns, [row, 'shop', 'ready', at, at]));
  const e = idIn(made);
  await refuses(['environment-create', 'shop'], /409/);
  await prints(['environment-rename', e, 'store'], table(environmentColumns, [row, 'store', 'ready', at, at]));
  await prints(
    ['environment-show', 'store'],
    table(
      ['Property', 'Value'],
      ['acquired_by', 'None'],
      ['created', at],
      ['description_text', ''],
      ['id', row],
      ['name', 'store'],
      ['services', '[]'],
      ['status', 'ready'],
      ['tenant_id', 'torcello'],
      ['updated', at],
      ['version', '0'],
    ),
  );
  await refuses(['environment-show', 'lost'], /lost/);
  await prints(['app-show', e], table(['Id', 'Name', 'Type']));
  await refuses(['app-show', e, '--path', '/lost'], /404/);
  const session = await prints(
    ['environment-session-create', e],
    `Created new session:\n${table(['Property', 'Value'], ['id', row])}`,
  );
  const s = idIn(session);
  const app = { '?': { id: '===id1===', type: 'io.torcello.Web' }, port: 9000 };
  const patch = file('apps.json', [{ op: 'add', path: '/-', value: app }]);
  await prints(['environment-apps-edit', '--session-id', s, e, patch], '');
  const edited = file('model.json', [{ op: 'replace', path: '/services/0/port', value: 9001 }]);
  const model = await murano('environment-model-edit', '--session-id', s, e, edited);
  assert.equal(model.code, 0, model.stderr);
  assert.match(model.text, /"port": 9001/);
  // Without a session the client stumbles over its own empty header before it asks.
  await prints(['environment-model-show', e, '--session-id', s, '--path', '/name'], '"store"');
  await prints(['environment-model-show', e, '--session-id', s, '--path', '/services/0/port'], '9001');
  await refuses(['environment-model-show', e, '--session-id', s, '--path', '/lost'], /404/);
  const bad = file('bad.json', [{ op: 'replace', path: '/name', value: 'x' }]);
  await refuses(['environment-model-edit', '--session-id', s, e, bad], /400/);
  await refuses(['environment-deploy', '--session-id', row, e], /404/);
  const machines = await fetch(`${url}/v1/environments/${e}/machines`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-auth-token': api.secrets.adminToken },
    body: JSON.stringify({ role: 'web' }),
  });
  assert.equal(machines.status, 201);
  const deployed = await murano('environment-deploy', '--session-id', s, e);
  assert.equal(deployed.code, 0, deployed.stderr);
  assert.match(deployed.text, /\| status +\| deploying +\|/);
  assert.match(deployed.text, new RegExp(`\\| acquired_by +\\| ${s} +\\|`));
  const running = table(deploymentColumns, [row, 'running', at, at, '']);
  const listed = await prints(['deployment-list', e], running);
  await prints(['deployment-list', '--all-environments'], running);
  await refuses(['deployment-list', 'lost'], /lost/);
  await refuses(['environment-session-create', e], /403/);
  await refuses(['environment-action-call', e, '--action-id', 'x_y'], /404/);
  await refuses(['environment-action-get-result', e, '--task-id', row], /404/);
  await prints(['environment-action-get-result', e, '--task-id', idIn(listed)], 'Task id result: None');
  const called = await murano('static-action-call', 'io.torcello.Web', 'run', '--arguments', 'a=1');
  assert.equal(called.code, 0);
  assert.match(called.text, /^Waiting for result\.\.\.\n.*404/s);
  await prints(['environment-delete', '--abandon', e], table(environmentColumns));
  await refuses(['environment-delete', 'lost'], /Unable to find and delete/);
});

test('templates', async () => {
  await prints(['env-template-list'], table(templateColumns));
  const made = await prints(
    ['env-template-create', 'base', '--is-public'],
    table(templateColumns, [row, 'base', at, at, 'True']),
  );
  const t = idIn(made);
  await refuses(['env-template-create', 'base'], /409/);
  const app = file('template-app.json', { '?': { type: 'io.torcello.Web', id: 'app-1' }, port: 9002 });
  const added = await murano('env-template-add-app', t, app);
  assert.equal(added.code, 0, added.stderr);
  assert.match(added.text, /"port": 9002/);
  const created = await murano('env-template-create-env', t, 'from-template');
  assert.equal(created.code, 0, created.stderr);
  assert.match(created.text, /environment_id[^]*session_id/);
  const clone = await murano('env-template-clone', t, 'copy');
  assert.equal(clone.code, 0, clone.stderr);
  assert.match(clone.text, /\| is_public +\| +\|/);
  await refuses(['env-template-clone', idIn(clone.text), 'again'], /403/);
  const emptied = await murano('env-template-del-app', t, 'app-1');
  assert.equal(emptied.code, 0, emptied.stderr);
  assert.match(emptied.text, /\| services +\| \[\] +\|/);
  assert.equal((await murano('env-template-update', t, 'renamed')).code, 0);
  const shown = await murano('env-template-show', t);
  assert.match(shown.text, /\| name +\| renamed +\|/);
  await refuses(['env-template-show', row], /not found/);
  await prints(['env-template-delete', t], table(templateColumns, [row, 'copy', at, at, '']));
  await refuses(['env-template-delete', row], /not found/);
});

test('a wrong token is told and nothing more', async () => {
  const said = await murano('--os-auth-token', 'wrong', 'environment-list');
  assert.notEqual(said.code, 0);
  assert.match(said.stderr, /401|Authentication failed/);
});
