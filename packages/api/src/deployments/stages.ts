import { stageName } from '@torcello/contracts';
import type { DeploymentAction, DeploymentMachine, DeploymentService, Stage } from '@torcello/contracts';
import { Refusal } from '../errors.js';

/** The stages of all services, each with the machines of its role. */
export function makeStages(
  action: DeploymentAction,
  services: readonly DeploymentService[],
  machines: readonly DeploymentMachine[],
): readonly Stage[] {
  const byRole = groupByRole(machines);
  return services.flatMap((service) => {
    const stages = (action === 'deploy' ? service.definition.deploy : service.definition.destroy) ?? [];
    return stages.map((stage) => ({
      name: `${service.id}/${stageName(stage)}`,
      needs: (stage.needs ?? []).map((need) => `${service.id}/${need}`),
      machines: byRole.get(stage.role) ?? [],
      failuresMax: stage.failuresMax ?? 0,
    }));
  });
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
