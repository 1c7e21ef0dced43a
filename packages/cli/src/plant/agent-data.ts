import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { parseJoinLine } from '@torcello/contracts';
import { usageError } from '../cli-error.js';
import type { CliContext } from '../context.js';
import { defaultDataFolder } from './data-folder.js';

/**
 * The folder of an agent that was started without `--data`: one for each machine that was joined from here, so that
 * several can be tried out side by side. Without a join line the only one there is.
 * @throws CliError when there are none or several.
 */
export async function agentDataFolder(
  context: Pick<CliContext, 'cwd' | 'env'>,
  args: readonly string[],
): Promise<string> {
  const agents = path.resolve(context.cwd, defaultDataFolder, 'agents');
  const text = joinArgument(args) ?? context.env['TORCELLO_JOIN'];
  if (text !== undefined && text !== '') {
    const line = parseJoinLine(text);
    if (line === undefined || !/^[0-9A-Za-z-]{1,64}$/.test(line.machine)) {
      throw usageError('the join line is not whole', 'copy the whole line that torcello machine add printed');
    }
    return path.join(agents, line.machine);
  }
  const [only, ...others] = await readdir(agents).catch(() => []);
  if (only !== undefined && others.length === 0) return path.join(agents, only);
  throw usageError(
    only === undefined ? 'no agent was joined from here yet' : `${others.length + 1} agents were joined from here`,
    only === undefined ? 'torcello agent --join LINE' : `name one: torcello agent --data ${path.join(agents, only)}`,
  );
}

function joinArgument(args: readonly string[]): string | undefined {
  const joined = args.find((arg) => arg.startsWith('--join='));
  if (joined !== undefined) return joined.slice('--join='.length);
  const at = args.indexOf('--join');
  return at === -1 ? undefined : args[at + 1];
}
