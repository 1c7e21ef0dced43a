import type { Broker } from '../broker.js';
import { policyFrom, policyRow } from '../policy/policy.js';
import type { Policy, PolicyKind } from '../policy/policy.js';
import { PolicyRefused } from '../policy/policy-refused.js';
import { HttpError } from './http-error.js';
import { freshName } from './route.js';

type Row = Readonly<Record<string, unknown>>;

interface PolicyWish {
  readonly kind: PolicyKind;
  readonly policy: Policy;
}

/** RabbitMQ keeps the operator's policies among its parameters, under this word. */
const operatorComponent = 'operator_policy';

/** A policy of the operator as one of the parameters. */
export function operatorRow(policy: Policy): Row {
  const { vhost, name, ...value } = policyRow(policy);
  return { vhost, component: operatorComponent, name, value };
}

/**
 * The policies of definitions, all checked. What this broker has not must not vanish in silence: other parameters (of
 * federation, shovels, limits of virtual hosts) are refused.
 * @throws HttpError 400.
 */
export function policiesOf(parts: {
  readonly policies: readonly Row[];
  readonly parameters: readonly Row[];
}): PolicyWish[] {
  const wishes = parts.policies.map((row) => policyWish('policy', row, row));
  for (const row of parts.parameters) {
    if (row['component'] !== operatorComponent) {
      throw new HttpError(
        400,
        `this broker has no parameters of ${String(row['component'])}; take them out of the definitions`,
      );
    }
    const { value } = row;
    if (typeof value !== 'object' || value === null) throw new HttpError(400, 'the value of a parameter is no object');
    wishes.push(policyWish('operator_policy', row, value as Row));
  }
  return wishes;
}

/** Makes the policies, or changes those that are there. @throws HttpError 400. */
export function putPolicies(broker: Broker, wishes: readonly PolicyWish[]): void {
  for (const { kind, policy } of wishes) {
    const vhost = broker.vhosts.get(policy.vhost);
    if (vhost === undefined) throw new HttpError(400, `there is no vhost '${policy.vhost}'`);
    told(() => vhost.putPolicy(kind, policy));
  }
}

/** A policy that was checked, to be made. @throws HttpError 400. */
export function policyWish(kind: PolicyKind, { name, vhost }: Row, value: Row): PolicyWish {
  if (typeof name !== 'string' || typeof vhost !== 'string') throw new HttpError(400, 'a policy needs name and vhost');
  const at = { vhost, name: freshName('policy', name) };
  return { kind, policy: told(() => policyFrom(kind, at, value)) };
}

function told<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof PolicyRefused) throw new HttpError(400, error.message);
    throw error;
  }
}
