import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import type { DeploymentMachine, PlanPayload } from '@torcello/contracts';
import { CompileError } from '../src/compile/compile-error.js';
import { readPackage } from '../src/compile/package-content.js';
import { ServiceCompiler } from '../src/compile/service-compiler.js';
import { type Order, exampleFolder, exampleModel } from './support/world.js';
import { filesIn } from './support/zip.js';

/** Every plan of an example's deployment and destruction, with the bodies of unchanged files as digests. */
function plansOf(order: Order, files: Readonly<Record<string, Uint8Array>>): readonly unknown[] {
  return (['deploy', 'destroy'] as const).flatMap((action) => {
    const { model, stages } = exampleModel({ ...order, action });
    const [service] = model.services;
    assert.ok(service !== undefined);
    const compiler = new ServiceCompiler(model, service, readPackage(new Map(Object.entries(files))));
    return stages.flatMap((stage) =>
      stage.machines.map((id) => {
        const machine = model.machines.find((candidate) => candidate.id === id);
        assert.ok(machine !== undefined);
        return readable(compiler.compile({ planId: `plan of ${id}`, stage: stage.name, machine }));
      }),
    );
  });
}

function readable(plan: PlanPayload): unknown {
  const steps = plan.steps.map((step) => ({
    ...step,
    files: step.files.map(({ path, mode, body, remove }) => {
      const bytes = Buffer.from(body, 'base64');
      const shown = path.endsWith('.json')
        ? { text: bytes.toString() }
        : { sha256: createHash('sha256').update(bytes).digest('hex').slice(0, 16) };
      return { path, mode: `0${mode.toString(8)}`, ...(remove === true ? { remove } : shown) };
    }),
  }));
  return { ...plan, steps };
}

const goldens: readonly Order[] = [
  { id: 'hello', example: 'hello-web', machines: { web: 2 } },
  {
    id: 'two',
    example: 'two-roles',
    machines: { db: 1, web: 2 },
    properties: { dbPort: 8400, webPort: 8300, dbHost: '127.0.0.1', host: '127.0.0.1' },
  },
];

for (const order of goldens) {
  test(`the plans of ${order.example} are the golden ones (UPDATE_GOLDEN=1 writes them anew)`, () => {
    const path = new URL(`golden/${order.example}.json`, import.meta.url);
    const plans = plansOf(order, filesIn(exampleFolder(order.example)));
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, `${JSON.stringify(plans, null, 2)}\n`);
    assert.deepEqual(JSON.parse(JSON.stringify(plans)), JSON.parse(readFileSync(path, 'utf8')));
  });
}

const machine: DeploymentMachine = { id: 'm', name: 'web-1', role: 'web', index: 0, mailbox: 'box', enrolment: 1 };

/** Compiles a package of one stage with these steps. */
function compile(steps: string, files: Readonly<Record<string, string>> = {}, stage: string = 'web'): PlanPayload {
  const yaml = `machines: { web: {} }\ndeploy:\n  - role: web\n    steps:\n${steps.replaceAll(/^/gm, '      ')}\n`;
  const bytes = Object.entries({ 'application.yaml': yaml, ...files }).map(
    ([name, text]) => [name, new TextEncoder().encode(text)] as const,
  );
  const content = readPackage(new Map(bytes));
  const { definition } = content.application;
  const service = {
    id: 's',
    type: 't',
    properties: { port: 8200, name: 'x', paths: '../up', nul: 'a\0b' },
    package: { id: 'p', digest: 'd', path: '/p' },
    definition,
  };
  const model = {
    deploymentId: 'd',
    action: 'deploy' as const,
    environment: { id: 'e', name: 'trial' },
    services: [service],
    machines: [machine],
    filesUrl: 'http://127.0.0.1/',
    filesToken: 't',
  };
  return new ServiceCompiler(model, service, content).compile({ planId: 'plan', stage: `s/${stage}`, machine });
}

test('a step has defaults, and typed values become text', () => {
  const [step] = compile(`- name: run
  command: [echo, "\${{ inputs.port }}", 5, true]
  env: { PORT: "\${{ inputs.port + 1 }}", FLAG: true, COUNT: 3 }`).steps;
  assert.deepEqual(step, {
    name: 'run',
    files: [],
    command: ['echo', '8200', '5', 'true'],
    env: { PORT: '8201', FLAG: 'true', COUNT: '3' },
    timeoutMs: 600_000,
    onInterrupt: 'fail',
  });
});

test('a script lies next to the files and runs from there, with its arguments', () => {
  const [step] = compile('- { name: run, script: go.sh, args: ["a b", "${{ machine.name }}"], timeout: 1m30s }', {
    'scripts/go.sh': '#!/bin/sh\n',
  }).steps;
  assert.deepEqual(step?.command, ['./go.sh', 'a b', 'web-1']);
  assert.deepEqual(step?.files, [{ path: 'go.sh', mode: 0o700, body: Buffer.from('#!/bin/sh\n').toString('base64') }]);
  assert.equal(step?.timeoutMs, 90_000);
});

test('a step is left out where its condition is false', () => {
  const steps = `- { name: a, command: [true], when: "machine.index == 0" }
- { name: b, command: [true], when: "machine.index > 0" }
- { name: c, command: [true], when: "\${{ inputs.name == 'x' }}" }`;
  assert.deepEqual(
    compile(steps).steps.map(({ name }) => name),
    ['a', 'c'],
  );
});

test('the same order gives the same plan', () => {
  const steps = '- { name: a, command: ["${{ machines.web.map(m, m.name).join(",") }}"] }'.replaceAll('","', "','");
  assert.deepEqual(compile(steps), compile(steps));
});

const failures: readonly (readonly [string, string, string, Readonly<Record<string, string>>?])[] = [
  ['- { name: a }', 'DEFINITION_INVALID', 'application.yaml:5:'],
  ['- { name: a, command: [x], frob: 1 }', 'DEFINITION_INVALID', 'frob'],
  ['- { name: a, command: [x }', 'DEFINITION_INVALID', 'application.yaml:5:'],
  ['- { name: a, command: [x], timeout: soon }', 'DEFINITION_INVALID', 'application.yaml:5:43'],
  ['- { name: a, command: [x], onInterrupt: check }', 'DEFINITION_INVALID', 'check'],
  ['- { name: a, files: [{ path: p, source: none }] }', 'FILE_MISSING', 'the package has no file files/none'],
  ['- { name: a, script: none.sh }', 'FILE_MISSING', 'application.yaml:5:28: the package has no file scripts/none.sh'],
  ['- { name: a, command: ["${{ inputs.prot }}"] }', 'EXPRESSION_FAILED', 'application.yaml:5:42: ${{ inputs.prot }}'],
  ['- { name: a, command: [x], when: "inputs.port" }', 'VALUE_UNSUITABLE', '"when" has to be true or false'],
  ['- { name: a, command: [x], env: { A: "${{ inputs }}" } }', 'VALUE_UNSUITABLE', 'a map cannot stand in a text'],
  ['- { name: a, command: ["${{ inputs.nul }}"] }', 'VALUE_UNSUITABLE', 'zero byte'],
  ['- { name: a, files: [{ path: "${{ inputs.paths }}", remove: true }] }', 'STEP_INVALID', 'cannot be used'],
  ['- { name: a, files: [{ path: p, remove: true }, { path: p, remove: true }] }', 'STEP_INVALID', 'lays down p twice'],
  [
    '- { name: a, files: [{ path: p, template: t }] }',
    'TEMPLATE_FAILED',
    'files/t:1:4: undefined variable: nope',
    { 'files/t': '{{ nope }}' },
  ],
  [
    '- { name: a, files: [{ path: p, source: big }] }',
    'PLAN_TOO_LARGE',
    'planBytesMax',
    { 'files/big': 'x'.repeat(1_048_577) },
  ],
];

for (const [steps, code, message, files] of failures) {
  test(`the step ${steps.slice(0, 60)} fails with ${code}`, () => {
    assert.throws(
      () => compile(steps, files),
      (error) => {
        assert.ok(error instanceof CompileError, String(error));
        assert.equal(error.code, code);
        assert.ok(error.message.includes(message), error.message);
        return true;
      },
    );
  });
}

test('a stage that the package does not have is refused by name', () => {
  assert.throws(() => compile('- { name: a, command: [x] }', {}, 'db'), { code: 'STAGE_UNKNOWN' });
});

test('a template that is no text is refused', () => {
  const files = new Map<string, Uint8Array>([['application.yaml', Uint8Array.of(0xff, 0xfe)]]);
  assert.throws(() => readPackage(files), { code: 'PACKAGE_UNREADABLE' });
  assert.throws(() => readPackage(new Map()), { code: 'PACKAGE_UNREADABLE' });
});
