import { parseJoinLine, type JoinAnswer, type JoinLine, type JoinRequest } from '@torcello/contracts/agent';
import { createPublicKey } from 'node:crypto';
import { AgentError } from './errors.js';
import { postJson, type HttpAnswer } from './http-post.js';
import {
  digestOfToken,
  loadIdentity,
  openAgentKey,
  readJoinAnswer,
  saveIdentity,
  type StoredIdentity,
} from './identity.js';
import { agentLimits } from './limits.js';
import { ShapeError, fields, optional, readJson, text } from './shape.js';

export interface JoinFacts {
  readonly dataFolder: string;
  readonly agentVersion: string;
  readonly hostname: string;
  /** The same line asks the API again, which may have another broker by now. Default: it changes nothing. */
  readonly renewsLogin?: boolean;
}

/**
 * The agent's place in the fleet: the stored one, or a new one for a join line. The same line again changes nothing, so
 * that a unit file may carry it; a new line for the same machine renews the login.
 * @throws AgentError
 */
export async function joinOrLoad(line: string | undefined, facts: JoinFacts): Promise<StoredIdentity> {
  const stored = await loadIdentity(facts.dataFolder);
  if (line === undefined) {
    if (stored !== undefined) return stored;
    const message = `${facts.dataFolder} holds no agent yet: start it once with --join LINE, the line that "torcello machine add" prints`;
    throw new AgentError('NOT_JOINED', message);
  }
  const parsed = readLine(line);
  if (stored === undefined) return await join(parsed, facts);
  if (stored.machine !== parsed.machine) {
    const message = `${facts.dataFolder} belongs to machine ${stored.machineName}: take another folder with --data`;
    throw new AgentError('JOINED_ELSEWHERE', message);
  }
  const isSame = stored.tokenDigest === digestOfToken(parsed.token);
  return isSame && facts.renewsLogin !== true ? stored : await join(parsed, facts);
}

/** Trades the one-time token for mailbox and login. An answer that got lost comes again for the same key and token. */
async function join(line: JoinLine, facts: JoinFacts): Promise<StoredIdentity> {
  const url = joinUrl(line.api);
  const publicKey = await openAgentKey(facts.dataFolder);
  const { machine, token } = line;
  const { agentVersion, hostname } = facts;
  const request: JoinRequest = { machine, token, publicKey, agentVersion, hostname };
  const answer = readAnswer(await post(url, request), line);
  const identity = { ...answer, api: line.api, machine, tokenDigest: digestOfToken(token) };
  await saveIdentity(facts.dataFolder, identity);
  return identity;
}

function readLine(text_: string): JoinLine {
  const line = parseJoinLine(text_.trim());
  if (line !== undefined) return line;
  throw new AgentError('USAGE', 'this is no join line: it starts with "tcjoin1." and has to be copied whole');
}

function joinUrl(api: string): URL {
  const url = URL.canParse('v1/join', `${api}/`) ? new URL('v1/join', `${api.replace(/\/+$/, '')}/`) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new AgentError('USAGE', 'the join line names no HTTP address: make a new one');
  }
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  if (url.protocol === 'https:' || isLoopback) return url;
  const message = `the join line leads to ${url.origin}: without TLS only addresses of this machine (loopback) are allowed`;
  throw new AgentError('INSECURE_ADDRESS', message);
}

async function post(url: URL, request: JoinRequest): Promise<HttpAnswer> {
  const bounds = { bytesMax: agentLimits.joinAnswerBytesMax.value, timeoutMs: agentLimits.joinTimeoutMs.value };
  try {
    return await postJson(url, request, bounds);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    const message = `the API at ${url.origin} does not answer (${why}): check that it runs and can be reached, then try again`;
    throw new AgentError('API_UNREACHABLE', message, error);
  }
}

function readAnswer({ status, body }: HttpAnswer, line: JoinLine): JoinAnswer {
  if (status >= 500) {
    throw new AgentError(
      'API_UNREACHABLE',
      `the API at ${line.api} answers ${status}${detailOf(body)}: try again later`,
    );
  }
  if (status !== 200 && status !== 201) throw refusal(status, body, line);
  try {
    const answer = readJoinAnswer(body);
    createPublicKey(answer.planKey);
    return answer;
  } catch (error) {
    const why = error instanceof ShapeError ? error.message : 'the plan key cannot be read';
    throw new AgentError('JOIN_REFUSED', `the answer of ${line.api} is not that of a Torcello API: ${why}`, error);
  }
}

function refusal(status: number, body: Buffer, line: JoinLine): AgentError {
  const cure = `make a new line with "torcello machine join-line ${line.machine}"`;
  if (status === 401) return new AgentError('TOKEN_UNKNOWN', `the join line is not valid any more: ${cure}`);
  if (status === 409) {
    const message = `the join line was used by another agent already: if that was not you, look after that machine; ${cure}`;
    return new AgentError('TOKEN_USED', message);
  }
  if (status === 404)
    return new AgentError(
      'JOIN_REFUSED',
      `there is no machine ${line.machine} at ${line.api}: it may have been removed`,
    );
  return new AgentError('JOIN_REFUSED', `the API at ${line.api} refused the join with ${status}${detailOf(body)}`);
}

const problem = fields({ detail: optional(text), title: optional(text), cure: optional(text) });

/** What a problem document says, shown as harmless text. */
function detailOf(body: Buffer): string {
  try {
    const { detail, title, cure } = readJson(body, problem);
    const words = [detail ?? title, cure].filter((part) => part !== undefined).join('; ');
    // oxlint-disable-next-line no-control-regex -- a terminal must not obey what a server sends
    return words === '' ? '' : `, "${words.slice(0, 300).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, ' ')}"`;
  } catch (error) {
    if (error instanceof ShapeError) return '';
    throw error;
  }
}
