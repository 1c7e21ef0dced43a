import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';
import { read, root } from './tidy/sources.js';

/*
 * What a user pays for the library: bytes of each entry with all that it needs, minified and compressed, and no package of
 * anybody else's. A budget that is too small is raised on purpose, in the commit that needs it.
 */

interface Budget {
  readonly entry: string;
  readonly compressedBytesMax: number;
}

const budgets: readonly Budget[] = [
  { entry: 'packages/messaging/src/index.ts', compressedBytesMax: 48_000 },
  { entry: 'packages/messaging/src/murano-common/index.ts', compressedBytesMax: 15_000 },
  { entry: 'packages/messaging/src/testing/index.ts', compressedBytesMax: 60_000 },
  { entry: 'packages/driver-amqp091/src/index.ts', compressedBytesMax: 24_000 },
  { entry: 'packages/otel/src/index.ts', compressedBytesMax: 6_000 },
];

for (const { entry, compressedBytesMax } of budgets) {
  test(`${entry} is at most ${compressedBytesMax} bytes, compressed`, async (context) => {
    const bundle = await rolldown({
      input: join(root, entry),
      platform: 'node',
      resolve: { conditionNames: ['source', 'import', 'node'] },
      external: ['@opentelemetry/api'],
      logLevel: 'silent',
    });
    const { output } = await bundle.generate({ format: 'esm', codeSplitting: false, minify: true });
    await bundle.close();
    const { length } = gzipSync(output[0].code);
    context.diagnostic(`${length} bytes of ${compressedBytesMax}`);
    assert.ok(length <= compressedBytesMax, `${length} bytes`);
    assert.ok(length > compressedBytesMax / 3, `${length} bytes: the budget is too large to hold anything`);
  });
}

for (const name of ['messaging', 'driver-amqp091', 'platform', 'amqp091']) {
  test(`${name} depends on nothing but packages of ours`, () => {
    const { dependencies = {} } = JSON.parse(read(`packages/${name}/package.json`)) as {
      readonly dependencies?: Readonly<Record<string, string>>;
    };
    const foreign = Object.keys(dependencies).filter((dependency) => !dependency.startsWith('@torcello/'));
    assert.deepEqual(foreign, []);
  });
}
