import { openLetter } from '@torcello/contracts';
import type { DeploymentsClient } from '../deployments-client.js';
import type { Lease } from '../lease.js';
import type { Planner, SealedPlan } from './planner.js';

/** A letter that has to get into a machine's mailbox: a plan, or the word that ends one. */
export type WantedLetter =
  | { readonly kind: 'plan'; readonly planId: string }
  | { readonly kind: 'cancel'; readonly planId: string; readonly machine: string; readonly graceMs: number };

export interface FoundLetter {
  readonly mailbox: string;
  readonly bytes: Uint8Array;
  /** Of a plan that may not start later. */
  readonly startByMs?: number;
}

/** Names the message; the same letter put twice has the same one. */
export function messageId({ kind, planId }: WantedLetter): string {
  return kind === 'plan' ? planId : `cancel-${planId}`;
}

/**
 * The bytes of letters. Those of plans are in the history: just written by this conductor, or asked of the API after a
 * takeover. Those of cancels are made anew each time, for the history says all that is in them.
 */
export class Letters {
  readonly #client: DeploymentsClient;
  readonly #planner: Planner;
  readonly #lease: Lease;
  readonly #written = new Map<string, SealedPlan>();

  constructor(parts: { readonly client: DeploymentsClient; readonly planner: Planner; readonly lease: Lease }) {
    this.#client = parts.client;
    this.#planner = parts.planner;
    this.#lease = parts.lease;
  }

  keep(plan: SealedPlan): void {
    this.#written.set(plan.letter.planId, plan);
  }

  forget(planId: string): void {
    this.#written.delete(planId);
  }

  /**
   * Undefined for a cancel to a machine that the deployment does not have (any more). `needsNone` for one to a real
   * muranoagent, which understands none: the API takes the plan out of its queue.
   */
  async find(letter: WantedLetter): Promise<FoundLetter | 'needsNone' | undefined> {
    return letter.kind === 'plan' ? await this.#plan(letter.planId) : this.#planner.cancel(letter);
  }

  async #plan(planId: string): Promise<FoundLetter> {
    const { mailbox, bytes } = this.#written.get(planId) ?? (await this.#stored(planId));
    const startByMs = startByOf(bytes);
    return startByMs === undefined ? { mailbox, bytes } : { mailbox, bytes, startByMs };
  }

  async #stored(planId: string): Promise<FoundLetter> {
    const { deploymentId, signal } = this.#lease;
    const { mailbox, letter } = await this.#client.letter({ deploymentId, planId }, signal);
    return { mailbox, bytes: Buffer.from(letter, 'base64') };
  }
}

/** What the letter itself says; a resume may have set another bound for later ones. */
function startByOf(bytes: Uint8Array): number | undefined {
  const opened = openLetter(bytes);
  if (opened === undefined) return undefined;
  const { startByMs } = JSON.parse(new TextDecoder().decode(opened.header)) as { readonly startByMs?: number };
  return startByMs;
}
