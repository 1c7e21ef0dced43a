import { formatStageAddress, stageName } from '@torcello/contracts';
import type {
  DeploymentAction,
  DeploymentMachine,
  DeploymentService,
  Stage,
  StageDefinition,
} from '@torcello/contracts';
import { batchSize } from './order.js';
import type { DeployOptions } from './order.js';
import { Refusal } from '../errors.js';

/**
 * The stages of all services, each with the machines of its role. A stage in batches becomes a row of stages of one
 * group, each needing the one before, with the gate between two of them as a stage on the machines of the batch.
 */
export function makeStages(
  action: DeploymentAction,
  services: readonly DeploymentService[],
  machines: readonly DeploymentMachine[],
  options: DeployOptions = {},
): readonly Stage[] {
  const byRole = groupByRole(machines);
  return services.flatMap((service) => {
    const stages = (action === 'deploy' ? service.definition.deploy : service.definition.destroy) ?? [];
    const rows = new Map(
      stages.map((stage) => [
        stageName(stage),
        rollOut(service.id, stage, { machines: byRole.get(stage.role) ?? [], options }),
      ]),
    );
    return [...rows.values()].flatMap(({ row, needs }) =>
      row.map((stage, place) => ({
        ...stage,
        needs: place > 0 ? [row[place - 1]?.name ?? ''] : needs.map((need) => rows.get(need)?.row.at(-1)?.name ?? need),
      })),
    );
  });
}

/** One stage of an application as the row of stages that it runs as, without their needs. */
function rollOut(
  serviceId: string,
  stage: StageDefinition,
  of: { readonly machines: readonly string[]; readonly options: DeployOptions },
): { readonly row: readonly Omit<Stage, 'needs'>[]; readonly needs: readonly string[] } {
  const { machines, options } = of;
  const address = { serviceId, stage: stageName(stage), isGate: false };
  const failuresMax = options.maxFailures ?? stage.failuresMax ?? 0;
  const needs = stage.needs ?? [];
  const batch = options.batch ?? stage.batch;
  if (batch === undefined) return { row: [{ name: formatStageAddress(address), machines, failuresMax }], needs };
  const batches = inBatches(machines, batchSize(batch, machines.length));
  const group = formatStageAddress(address);
  const row = batches.flatMap((members, place) => {
    const own = { machines: members, failuresMax, group };
    const name = formatStageAddress({ ...address, batch: place + 1 });
    const gate = formatStageAddress({ ...address, batch: place + 1, isGate: true });
    const hasGate = stage.gate !== undefined && place < batches.length - 1;
    return hasGate
      ? [
          { ...own, name },
          { ...own, name: gate },
        ]
      : [{ ...own, name }];
  });
  return { row, needs };
}

function inBatches(machines: readonly string[], size: number): readonly (readonly string[])[] {
  const batches: (readonly string[])[] = [];
  for (let from = 0; from < machines.length; from += size) batches.push(machines.slice(from, from + size));
  return batches.length === 0 ? [[]] : batches;
}

/** @throws Refusal machines_unfit that names the role, the numbers and the command that cures it. */
export function checkMachines(
  environmentName: string,
  services: readonly DeploymentService[],
  machines: readonly DeploymentMachine[],
): void {
  const byRole = groupByRole(machines);
  for (const service of services) {
    for (const [role, { min = 1, max }] of Object.entries(service.definition.machines)) {
      const there = byRole.get(role)?.length ?? 0;
      if (there < min) {
        throw new Refusal(
          'machines_unfit',
          `${service.type} needs ${min} ${machinesOf(role, min)}, ${environmentName} has ${there}`,
          {
            cure: `torcello machine add ${environmentName} --role ${role} --count ${min - there}`,
          },
        );
      }
      if (max !== undefined && there > max) {
        throw new Refusal(
          'machines_unfit',
          `${service.type} takes at most ${max} ${machinesOf(role, max)}, ${environmentName} has ${there}`,
        );
      }
    }
  }
}

function machinesOf(role: string, count: number): string {
  return `${count === 1 ? 'machine' : 'machines'} of the role ${role}`;
}

function groupByRole(machines: readonly DeploymentMachine[]): ReadonlyMap<string, readonly string[]> {
  const byRole = new Map<string, string[]>();
  for (const machine of machines) {
    const ids = byRole.get(machine.role);
    if (ids === undefined) byRole.set(machine.role, [machine.id]);
    else ids.push(machine.id);
  }
  return byRole;
}
