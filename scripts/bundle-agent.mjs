/**
 * Makes the agent one file that needs nothing but Node: packages/agent/dist/torcello-agent.mjs, from the sources. Prints
 * its size and SHA-256.
 */
import { createHash } from 'node:crypto';
import { bundle } from './lib/bundle.mjs';

const file = 'packages/agent/dist/torcello-agent.mjs';
const code = await bundle({ input: 'packages/agent/src/main.ts', file });
const bytes = Buffer.from(code);
console.log(`${file}: ${bytes.length} bytes, SHA-256 ${createHash('sha256').update(bytes).digest('hex')}`);
