import { removeFolder } from '@torcello/test-support';
import { mkdtemp } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

/** A folder that goes with everything in it at the end of the block. */
export async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'torcello-agent-'));
  return { path: folder, [Symbol.asyncDispose]: async () => removeFolder(folder) };
}
