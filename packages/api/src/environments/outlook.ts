import type { Stage } from '@torcello/contracts';
import { parseStageAddress } from '@torcello/contracts';
import type { Context } from '../context.js';
import { machinesOf } from '../deployments/accept.js';
import type { DeployOptions } from '../deployments/order.js';
import { checkMachines, makeStages } from '../deployments/stages.js';
import type { MachineRow } from '../database/tables.js';
import type { Presence } from '../machines/presence.js';
import { expiresAtMs } from '../mailboxes/contact.js';
import type { EndParts } from '../mailboxes/end-parts.js';
import { isoTime } from '../times.js';
import type { Environments } from './environments.js';
import { resolveServices, visiblePackages } from './resolve.js';
import { parseServices } from './services.js';
import { standingServices } from './standing-services.js';

type Json = Readonly<Record<string, unknown>>;

/** What a deployment of this session would do: which machines in which order, who is off, what expires when. */
export async function deploymentOutlook(
  parts: {
    readonly context: Context;
    readonly environments: Environments;
    readonly presence: Presence;
    readonly mailboxEnds: Pick<EndParts, 'lifetimeMs'>;
  },
  question: { readonly environment: string; readonly session: string | undefined; readonly options: DeployOptions },
): Promise<Json> {
  const { context, environments, presence, mailboxEnds } = parts;
  const { db } = context.store;
  const environment = await environments.find(question.environment);
  const text =
    question.session === undefined
      ? await standingServices(db, environment)
      : (await environments.session(environment.id, question.session)).services;
  const services = await resolveServices(db, parseServices(text), visiblePackages(context.owners, environment.id));
  const machines = await machinesOf(db, environment.id);
  checkMachines(environment.name, services, machines);
  const stages = inOrder(makeStages('deploy', services, machines, question.options));
  const rows = await db.selectFrom('machines').selectAll().where('environment_id', '=', environment.id).execute();
  const views = new Map(
    rows.map((row) => {
      const judged = presence.judge({ joinedAtMs: row.joined_at, lastHeartbeatAtMs: row.last_heartbeat_at });
      const mailbox = viewMailboxEnd(row, mailboxEnds.lifetimeMs);
      return [row.id, { id: row.id, name: row.name, role: row.role, index: row.place, ...judged, ...mailbox }] as const;
    }),
  );
  const { deliverWithinMs, supersedes } = question.options;
  return {
    environment: { id: environment.id, name: environment.name },
    ...(deliverWithinMs === undefined
      ? {}
      : { deliverWithinMs, startBy: isoTime(context.clock.now() + deliverWithinMs) }),
    ...(supersedes === undefined ? {} : { supersedes }),
    stages: stages.map((stage, order) => ({
      order: order + 1,
      ...viewStage(stage),
      machines: stage.machines.flatMap((id) => views.get(id) ?? []),
    })),
    off: [...views.values()].filter((machine) => machine.state !== 'online'),
  };
}

/** When its mailbox ends, and the plans in it, unless the machine is heard of. */
function viewMailboxEnd(row: MachineRow, lifetimeMs: number): Json {
  return row.mailbox_closed_at === null
    ? { mailboxExpiresAt: isoTime(expiresAtMs(row, lifetimeMs)) }
    : { isMailboxEnded: true };
}

function viewStage(stage: Stage): Json {
  const { serviceId, stage: name, batch, isGate } = parseStageAddress(stage.name);
  return {
    name: stage.name,
    service: serviceId,
    stage: name,
    ...(batch === undefined ? {} : { batch }),
    isGate,
    needs: stage.needs,
    failuresMax: stage.failuresMax,
  };
}

/** Each stage behind everything that it needs; otherwise as the application lists them. */
function inOrder(stages: readonly Stage[]): readonly Stage[] {
  const ordered: Stage[] = [];
  const names = new Set<string>();
  while (ordered.length < stages.length) {
    const next = stages.filter((stage) => !names.has(stage.name) && stage.needs.every((need) => names.has(need)));
    if (next.length === 0) break;
    for (const stage of next) names.add(stage.name);
    ordered.push(...next);
  }
  return ordered;
}
