import { CompileError } from '../compile/compile-error.js';

/** Fetches the bytes behind a URL. Rejects with a CompileError when trying again cannot help, else with any error. */
export type Download = (request: DownloadRequest) => Promise<Uint8Array>;

export interface DownloadRequest {
  readonly url: string;
  /** Sent as a bearer token. */
  readonly token: string;
  /** More is not read. */
  readonly bytesMax: number;
  readonly signal: AbortSignal;
}

/** Answers that will not change by asking again: not allowed, not found, gone. */
const finalStatuses: ReadonlySet<number> = new Set([401, 403, 404, 410]);

/** Over HTTP. Redirects are not followed: the token is for one server. */
export const httpDownload: Download = async ({ url, token, bytesMax, signal }) => {
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}` }, redirect: 'error', signal });
  if (finalStatuses.has(response.status)) {
    await response.body?.cancel();
    throw new CompileError(
      'PACKAGE_NOT_FOUND',
      { file: 'package' },
      {
        problem: `the API answered ${response.status} for ${new URL(url).pathname}`,
        cure: 'import the package again',
      },
    );
  }
  if (!response.ok || response.body === null) throw new Error(`the API answered ${response.status} for a package`);
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    sizeBytes += chunk.length;
    if (sizeBytes > bytesMax) throw tooLarge(bytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

function tooLarge(bytesMax: number): CompileError {
  return new CompileError(
    'PACKAGE_UNREADABLE',
    { file: 'package' },
    {
      problem: `it has over ${bytesMax} bytes (packageBytesMax)`,
      cure: 'take large files out of the package and let a script fetch them',
    },
  );
}
