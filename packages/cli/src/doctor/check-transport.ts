import { spawn } from 'node:child_process';
import { CliError } from '../cli-error.js';
import type { CliContext } from '../context.js';
import { plainEnvironment } from '../plant/control-plane.js';
import { programBin } from '../plant/program-bins.js';
import type { TransportCheck } from './finding.js';

/** Lets the API's own program connect once: it has the drivers. */
export async function checkTransport(context: Pick<CliContext, 'env'>, url: string): Promise<TransportCheck> {
  const env = { ...plainEnvironment(context.env), TORCELLO_TRANSPORT: url };
  const { stdout, stderr } = await output(programBin('api'), env);
  try {
    return JSON.parse(stdout) as TransportCheck;
  } catch {
    throw new CliError('bad_answer', `the broker could not be looked at: ${stderr.trim() || 'no answer'}`);
  }
}

function output(
  script: string,
  env: Readonly<Record<string, string>>,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve, reject) => {
    const stdio = ['ignore', 'pipe', 'pipe'] as const;
    const child = spawn(process.execPath, [script, '--check-transport'], { stdio: [...stdio], env });
    const texts = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (text: string) => (texts[name] += text));
    }
    child.once('error', reject);
    child.once('close', () => resolve(texts));
  });
}
