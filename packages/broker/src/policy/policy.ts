import { globsFromRegex } from '../access/name-pattern.js';
import type { NamePattern } from '../access/name-pattern.js';
import { checkPolicyKeys } from './policy-keys.js';
import type { PolicyDefinition } from './policy-keys.js';
import { PolicyRefused } from './policy-refused.js';

/** Who made a policy: users of the virtual host, or the operator, whose numbers cannot be passed. */
export type PolicyKind = 'policy' | 'operator_policy';
export const policyKinds: readonly PolicyKind[] = ['policy', 'operator_policy'];

/** What a policy is for; RabbitMQ's words. */
export const policyTargets = ['all', 'queues', 'classic_queues', 'quorum_queues', 'exchanges'] as const;
export type PolicyTarget = (typeof policyTargets)[number];

/** Rules for everything in a virtual host whose name matches, as they are kept. */
export interface Policy {
  readonly vhost: string;
  readonly name: string;
  /** As it was given: a regular expression that means a set of globs. */
  readonly pattern: string;
  readonly globs: NamePattern;
  readonly applyTo: PolicyTarget;
  readonly definition: PolicyDefinition;
  /** Of all that match only the highest counts. */
  readonly priority: number;
}

type Row = Readonly<Record<string, unknown>>;

/** Reads a policy as RabbitMQ's management interface and definitions write it. @throws PolicyRefused. */
export function policyFrom(kind: PolicyKind, at: { readonly vhost: string; readonly name: string }, row: Row): Policy {
  const { pattern, priority = 0, definition } = row;
  const refuse = (why: string): PolicyRefused => new PolicyRefused(`policy '${at.name}': ${why}`);
  if (at.name === '') throw refuse('it needs a name');
  if (typeof pattern !== 'string') throw refuse('pattern is not a string');
  const globs = globsFromRegex(pattern);
  if (globs === undefined) throw refuse(`pattern '${pattern}' is not understood: ${patternRule}`);
  if (typeof priority !== 'number' || !Number.isSafeInteger(priority)) throw refuse('priority is not a whole number');
  if (typeof definition !== 'object' || definition === null || Array.isArray(definition)) {
    throw refuse('definition is no object');
  }
  const { vhost, name } = at;
  const applyTo = targetOf(row['apply-to'] ?? 'all');
  if (applyTo === undefined) throw refuse(`apply-to is none of ${policyTargets.join(', ')}`);
  checkPolicyKeys(kind, definition, refuse);
  return { vhost, name, pattern, globs, applyTo, definition: definition as PolicyDefinition, priority };
}

const patternRule =
  "this broker runs no regular expressions; it reads names, '.*', '^', '$' and alternatives, with a backslash before each dot";

function targetOf(value: unknown): PolicyTarget | undefined {
  return policyTargets.find((known) => known === value);
}

/** The policy as RabbitMQ shows it. */
export function policyRow({ vhost, name, pattern, applyTo, definition, priority }: Policy): Row {
  return { vhost, name, pattern, 'apply-to': applyTo, definition, priority };
}
