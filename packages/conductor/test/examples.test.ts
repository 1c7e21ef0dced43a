import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { PlanPayload, PlanStep } from '@torcello/contracts';
import { freePort } from '@torcello/test-support';
import { readPackage } from '../src/compile/package-content.js';
import { ServiceCompiler } from '../src/compile/service-compiler.js';
import { type Order, exampleFolder, exampleModel } from './support/world.js';
import { filesIn } from './support/zip.js';

/** The plans of an example, by machine, for one action. */
function plansFor(order: Order): ReadonlyMap<string, PlanPayload> {
  const { model, stages } = exampleModel(order);
  const [service] = model.services;
  assert.ok(service !== undefined);
  const content = readPackage(new Map(Object.entries(filesIn(exampleFolder(order.example)))));
  const compiler = new ServiceCompiler(model, service, content);
  return new Map(
    stages.flatMap((stage) =>
      model.machines
        .filter(({ id }) => stage.machines.includes(id))
        .map((machine) => [machine.name, compiler.compile({ planId: 'plan', stage: stage.name, machine })] as const),
    ),
  );
}

/** Does on this machine what an agent does with a step: files first, then the command; rejects when it fails. */
async function runStep(step: PlanStep, folder: string): Promise<string> {
  for (const { path, mode, body, remove } of step.files) {
    const target = join(folder, path);
    if (remove === true) await rm(target, { force: true });
    else {
      await writeFile(target, Buffer.from(body, 'base64'));
      await chmod(target, mode);
    }
  }
  if (step.command === undefined) return '';
  const [program = '', ...args] = step.command;
  const env = {
    PATH: process.env['PATH'] ?? '',
    TORCELLO_NODE: process.execPath,
    TORCELLO_FOLDER: folder,
    ...step.env,
  };
  const { stdout } = await promisify(execFile)(program, args, { cwd: folder, env, timeout: step.timeoutMs });
  return stdout;
}

async function runPlan(plan: PlanPayload | undefined, folder: string): Promise<string> {
  assert.ok(plan !== undefined);
  let output = '';
  for (const step of plan.steps) output += await runStep(step, folder);
  return output;
}

async function textOf(url: string): Promise<string> {
  return await (await fetch(url)).text();
}

/** The first of two neighbours that were free a moment ago. */
async function twoFreePorts(): Promise<number> {
  for (;;) {
    const port = await freePort();
    const neighbour = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      neighbour.once('error', () => resolve(false));
      neighbour.listen(port + 1, '127.0.0.1', () => neighbour.close(() => resolve(true)));
    });
    if (isFree && port < 60_000) return port;
  }
}

async function freshFolder(): Promise<string> {
  return await mkdtemp(join(tmpdir(), 'torcello-example-'));
}

test('hello-web runs, survives a second start with other words, and leaves nothing behind', async () => {
  const folder = await freshFolder();
  const port = await freePort();
  const order = { id: 'd', example: 'hello-web', machines: { web: 1 } };
  const properties = { port, greeting: 'Grüezi "all"', host: '127.0.0.1' };
  const url = `http://127.0.0.1:${port}/`;
  try {
    const output = await runPlan(plansFor({ ...order, properties }).get('web-1'), folder);
    assert.match(output, /says: Grüezi "all" from web-1 in trial/);
    const again = plansFor({ ...order, properties: { ...properties, greeting: 'Bye' } }).get('web-1');
    await runPlan(again, folder);
    assert.equal(await textOf(url), 'Bye from web-1 in trial\n');
    await runPlan(plansFor({ ...order, properties, action: 'destroy' }).get('web-1'), folder);
    await assert.rejects(textOf(url));
    assert.deepEqual(await readdir(folder), []);
  } finally {
    await runPlan(plansFor({ ...order, properties, action: 'destroy' }).get('web-1'), folder);
    await rm(folder, { recursive: true });
  }
});

test('hello-web says which port is taken', async () => {
  const folder = await freshFolder();
  const other = createServer();
  const port = await freePort();
  await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
  try {
    const properties = { port, greeting: 'Hello', host: '127.0.0.1' };
    const plan = plansFor({ id: 'd', example: 'hello-web', machines: { web: 1 }, properties }).get('web-1');
    await assert.rejects(runPlan(plan, folder), (error) => {
      assert.match(
        (error as { stderr?: string }).stderr ?? '',
        new RegExp(`port ${port} on 127.0.0.1 is taken; set another`),
      );
      return true;
    });
  } finally {
    await new Promise((resolve) => other.close(resolve));
    await rm(folder, { recursive: true });
  }
});

test('two-roles: the web machines count in the database, and everything goes in the other order', async () => {
  const folders = new Map<string, string>();
  for (const name of ['db-1', 'web-1', 'web-2']) folders.set(name, await freshFolder());
  const webPort = await twoFreePorts();
  const dbPort = await freePort();
  const properties = { dbPort, webPort, dbHost: '127.0.0.1', host: '127.0.0.1' };
  const order = { id: 'd', example: 'two-roles', machines: { db: 1, web: 2 }, properties };
  const destroy = plansFor({ ...order, action: 'destroy' });
  assert.deepEqual([...destroy.keys()], ['web-1', 'web-2', 'db-1']);
  try {
    const deploy = plansFor(order);
    for (const [name, plan] of deploy) await runPlan(plan, folders.get(name) ?? '');
    assert.equal(await textOf(`http://127.0.0.1:${webPort}/`), 'web-1 counts 2\n');
    assert.equal(await textOf(`http://127.0.0.1:${webPort + 1}/`), 'web-2 counts 2\n');
  } finally {
    for (const [name, plan] of destroy) await runPlan(plan, folders.get(name) ?? '');
    for (const folder of folders.values()) {
      assert.deepEqual(await readdir(folder), []);
      await rm(folder, { recursive: true });
    }
  }
});
