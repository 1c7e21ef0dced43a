import type { DeploymentMachine, DeploymentModel, DeploymentService } from '@torcello/contracts';

/** A value of JSON: what properties, expressions and templates are made of. */
export type Value = null | boolean | number | string | readonly Value[] | { readonly [name: string]: Value };

/** The names that expressions and templates may use; nothing else is there. */
export interface Scope {
  readonly inputs: Value;
  readonly machine: MachineScope;
  /** All machines of the environment, by role, in the order of their index. */
  readonly machines: { readonly [role: string]: readonly MachineScope[] };
  readonly environment: { readonly id: string; readonly name: string };
  readonly service: { readonly id: string; readonly type: string };
  readonly [root: string]: Value;
}

export type MachineScope = {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly index: number;
};

export const scopeRoots: readonly string[] = ['inputs', 'machine', 'machines', 'environment', 'service'];

/** What is the same for every machine of a service; made once, because `machines` may be long. */
export function serviceScope(model: DeploymentModel, service: DeploymentService): Omit<Scope, 'machine'> {
  const byRole = new Map<string, MachineScope[]>();
  for (const machine of model.machines.toSorted((one, other) => one.index - other.index)) {
    const known = byRole.get(machine.role);
    if (known === undefined) byRole.set(machine.role, [machineScope(machine)]);
    else known.push(machineScope(machine));
  }
  return {
    inputs: service.properties as Value,
    machines: Object.fromEntries(byRole),
    environment: { id: model.environment.id, name: model.environment.name },
    service: { id: service.id, type: service.type },
  } as Omit<Scope, 'machine'>;
}

export function machineScope({ id, name, role, index }: DeploymentMachine): MachineScope {
  return { id, name, role, index };
}
