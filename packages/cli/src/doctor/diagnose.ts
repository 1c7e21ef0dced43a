import type { ApiClient } from '../client/api-client.js';
import { CliError } from '../cli-error.js';
import type { CliContext } from '../context.js';
import type { ApiExamination, Diagnosis, Finding, TransportCheck } from './finding.js';

/** Agents and API refuse to judge time beyond this. */
const offsetMsMax = 5_000;

export interface DiagnoseOptions {
  readonly context: Pick<CliContext, 'clock'>;
  readonly client: ApiClient;
  /** Of this command. */
  readonly version: string;
  /** The broker to look at when no API answers. */
  readonly transport: string | undefined;
  readonly checkTransport: (url: string) => Promise<TransportCheck>;
}

/** Asks the API; where none answers, looks at the broker itself. */
export async function diagnose(options: DiagnoseOptions): Promise<Diagnosis> {
  const { context, client, version } = options;
  const askedAtMs = context.clock.now();
  try {
    const told = await client.http.json<ApiExamination>('/v1/doctor');
    const answeredAtMs = context.clock.now();
    return ofApi(told, { url: client.http.address.url, version, askedAtMs, answeredAtMs });
  } catch (error) {
    if (!(error instanceof CliError) || error.code !== 'unreachable') throw error;
    return await withoutApi(options, error);
  }
}

function ofApi(
  told: ApiExamination,
  asked: {
    readonly url: string;
    readonly version: string;
    readonly askedAtMs: number;
    readonly answeredAtMs: number;
  },
): Diagnosis {
  const { url, version, askedAtMs, answeredAtMs } = asked;
  const uncertaintyMs = (answeredAtMs - askedAtMs) / 2;
  const offsetMs = Math.round(Date.parse(told.now) - (askedAtMs + uncertaintyMs));
  const { transport, carrier = null, missing = [] } = told;
  return {
    version,
    node: process.version,
    api: { url, version: told.version, node: told.node },
    clock: { offsetMs, uncertaintyMs: Math.ceil(uncertaintyMs) },
    transport,
    carrier,
    missing,
    findings: [
      { check: 'api', level: 'ok', text: `the API at ${url} answers` },
      versionFinding(version, told.version),
      clockFinding(offsetMs, uncertaintyMs),
      ...told.findings,
    ],
  };
}

function versionFinding(own: string, api: string): Finding {
  if (own === api)
    return { check: 'versions', level: 'ok', text: `this command and the API are both of version ${own}` };
  const text = `this command is of version ${own}, the API of ${api}`;
  return { check: 'versions', level: 'warning', text, cure: 'use the command of the version that the API has' };
}

function clockFinding(offsetMs: number, uncertaintyMs: number): Finding {
  const text = `the clock of the API differs from this machine's by ${offsetMs} ms (± ${Math.ceil(uncertaintyMs)} ms)`;
  if (Math.abs(offsetMs) - uncertaintyMs <= offsetMsMax) return { check: 'clock', level: 'ok', text };
  return { check: 'clock', level: 'warning', text, cure: 'set the clocks of both machines, by NTP for instance' };
}

async function withoutApi(options: DiagnoseOptions, error: CliError): Promise<Diagnosis> {
  const { transport, version, checkTransport } = options;
  const found = transport === undefined ? undefined : await checkTransport(transport);
  const noApi: Finding = {
    check: 'api',
    level: 'failed',
    text: error.message,
    cure: error.cure ?? 'torcello up',
  };
  return {
    version,
    node: process.version,
    api: null,
    clock: null,
    transport: found === undefined ? null : stateOf(found),
    carrier: found?.reached === true ? found.carrier : null,
    missing: found?.reached === true ? found.missing : [],
    findings: [noApi, ...(found === undefined ? [] : brokerFindings(found))],
  };
}

function stateOf(found: TransportCheck): Diagnosis['transport'] {
  if (!found.reached) return { url: found.url, state: 'not reached' };
  return { url: found.url, state: 'reached', capabilities: found.capabilities };
}

function brokerFindings(found: TransportCheck): readonly Finding[] {
  if (!found.reached) {
    const text = `the broker at ${found.url} cannot be used: ${found.text} (${found.code})`;
    return [{ check: 'broker', level: 'failed', text, cure: 'start it, or correct --transport or TORCELLO_TRANSPORT' }];
  }
  const how =
    found.carrier === 'mailboxes'
      ? 'mailboxes: plans would wait at the broker'
      : `handshake: it lacks ${found.missing.join(', ')}, so plans would wait in the database of the API`;
  return [
    { check: 'broker', level: 'ok', text: `the broker at ${found.url} is reached` },
    { check: 'carrier', level: 'ok', text: how },
  ];
}
