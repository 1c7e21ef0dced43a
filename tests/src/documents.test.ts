import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { MemoryStore, startBroker } from '@torcello/broker';
import { run, temporaryFolder } from '@torcello/test-support';
import { read, root, trackedFiles } from './tidy/sources.js';

/*
 * Every block of TypeScript or JavaScript in the documents compiles and runs as it stands. A block that names RabbitMQ's
 * address runs over a broker of ours; one that names AMQP 1.0's is only compiled.
 */

interface Block {
  readonly name: string;
  readonly code: string;
}

const blocks: readonly Block[] = trackedFiles()
  .filter((file) => /^(README\.md|(docs|examples)\/.*\.md|packages\/[^/]+\/README\.md)$/.test(file))
  .flatMap((file) =>
    Array.from(read(file).matchAll(/^```(?:ts|js|typescript|javascript)\n([\s\S]*?)^```$/gm), ([, code = ''], at) => ({
      name: `${file}, block ${at + 1}`,
      code,
    })),
  );

const folder = temporaryFolder('documents');
after(() => folder.remove());
symlinkSync(join(root, 'node_modules'), join(folder.path, 'node_modules'));
const fileOf = (at: number): string => join(folder.path, `block-${at}.mts`);

const users = [{ name: 'guest', password: 'guest' }];
const broker = await startBroker({ store: new MemoryStore(), users, permits: ['transient_nonexcl_queues'] });
after(() => broker.stop());
const { port } = await broker.listen({ host: '127.0.0.1', port: 0 });

blocks.forEach(({ code }, at) => {
  const url = `rabbit://guest:guest@127.0.0.1:${port}/`;
  writeFileSync(fileOf(at), code.replaceAll(/(?:rabbit|amqps?):\/\/[^'"`\s]*/g, url));
});

test('there are blocks in the documents, also in the library’s', () => {
  assert.ok(blocks.length >= 8, `${blocks.length} blocks`);
  assert.ok(blocks.some(({ name }) => name.startsWith('packages/messaging/README.md')));
});

test('every block compiles', async () => {
  const config = {
    extends: join(root, 'tsconfig.base.json'),
    compilerOptions: {
      noEmit: true,
      composite: false,
      isolatedDeclarations: false,
      typeRoots: [join(root, 'node_modules/@types')],
    },
    files: blocks.map((_, at) => fileOf(at)),
  };
  const place = join(folder.path, 'tsconfig.json');
  writeFileSync(place, JSON.stringify(config));
  const compiler = run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', place]);
  const { code } = await compiler.exited;
  const said = compiler.output().stdout;
  assert.equal(
    code,
    0,
    blocks.reduce((text, { name }, at) => text.replaceAll(`block-${at}.mts`, name), said),
  );
});

for (const [at, { name, code }] of blocks.entries()) {
  if (code.includes('amqp1://')) continue;
  test(`${name} runs`, async () => {
    const cwd = join(folder.path, `run-${at}`);
    mkdirSync(cwd);
    const args = ['--import', join(root, 'node_modules/tsx/dist/loader.mjs'), '--conditions=source', fileOf(at)];
    // A block may be a test itself: it is nobody's child then.
    const block = run(process.execPath, args, { cwd, env: { NODE_TEST_CONTEXT: '' } });
    const { stdout, stderr } = await block.exited.then(() => block.output());
    assert.equal(block.child.exitCode, 0, `${stdout}\n${stderr}`);
  });
}
