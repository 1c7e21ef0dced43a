import { matchesName } from '../access/name-pattern.js';
import type { CommitLog } from '../store/commit-log.js';
import { recordKey, recordKinds } from '../topology-records.js';
import { isApplicable, mergedDefinition } from './policy-keys.js';
import type { PolicyDefinition } from './policy-keys.js';
import { policyKinds } from './policy.js';
import type { Policy, PolicyKind } from './policy.js';

/** What a policy may apply to. */
export interface PolicySubject {
  readonly name: string;
  readonly type: 'classic' | 'quorum' | 'exchange';
}

/** What of a virtual host's policies holds for one thing. */
export interface AppliedPolicies {
  readonly policy: Policy | undefined;
  readonly operatorPolicy: Policy | undefined;
  /** Both in one. */
  readonly definition: PolicyDefinition;
}

/** A policy as it lies in the store. */
export interface PolicyRecord {
  readonly kind: PolicyKind;
  readonly policy: Policy;
}

/** The policies of one virtual host, kept in the commit log. */
export class Policies {
  readonly #log: CommitLog;
  /** By kind and name, those that count first in front. */
  readonly #kinds: Readonly<Record<PolicyKind, Policy[]>> = { policy: [], operator_policy: [] };

  constructor(log: CommitLog) {
    this.#log = log;
  }

  all(kind: PolicyKind): readonly Policy[] {
    return this.#kinds[kind];
  }

  get(kind: PolicyKind, name: string): Policy | undefined {
    return this.#kinds[kind].find((policy) => policy.name === name);
  }

  get isEmpty(): boolean {
    return policyKinds.every((kind) => this.#kinds[kind].length === 0);
  }

  put(kind: PolicyKind, policy: Policy): void {
    this.recover({ kind, policy });
    const record: PolicyRecord = { kind, policy };
    this.#log.append({ kind: 'put-entity', key: keyOf(kind, policy), value: JSON.stringify(record) });
  }

  /** The policy that went; undefined when there was none. */
  delete(kind: PolicyKind, name: string): Policy | undefined {
    const policies = this.#kinds[kind];
    const at = policies.findIndex((policy) => policy.name === name);
    const [policy] = at < 0 ? [] : policies.splice(at, 1);
    if (policy !== undefined) this.#log.append({ kind: 'delete-entity', key: keyOf(kind, policy) });
    return policy;
  }

  recover({ kind, policy }: PolicyRecord): void {
    const others = this.#kinds[kind].filter(({ name }) => name !== policy.name);
    this.#kinds[kind].splice(0, Infinity, ...[...others, policy].sort(countsBefore));
  }

  /** What holds for this thing: of each kind the one policy with the highest priority. */
  for(subject: PolicySubject): AppliedPolicies {
    const find = (kind: PolicyKind): Policy | undefined => this.#kinds[kind].find((policy) => covers(policy, subject));
    const [policy, operatorPolicy] = [find('policy'), find('operator_policy')];
    return { policy, operatorPolicy, definition: mergedDefinition(policy?.definition, operatorPolicy?.definition) };
  }
}

const targets = {
  classic: ['all', 'queues', 'classic_queues'],
  quorum: ['all', 'queues', 'quorum_queues'],
  exchange: ['all', 'exchanges'],
} as const;

function covers({ applyTo, globs, definition }: Policy, { name, type }: PolicySubject): boolean {
  const isMeant = targets[type].some((target) => target === applyTo);
  return isMeant && matchesName(globs, name) && isApplicable(definition, type);
}

/** Where two have the same priority RabbitMQ takes either; here it is the first by name. */
function countsBefore(one: Policy, other: Policy): number {
  return other.priority - one.priority || (one.name < other.name ? -1 : 1);
}

function keyOf(kind: PolicyKind, { vhost, name }: Policy): string {
  return recordKey(recordKinds.policy, kind, vhost, name);
}
