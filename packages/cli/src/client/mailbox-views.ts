import type { WhyView } from './views.js';

/** Mailboxes and dead letters, as far as the command line reads what the API answers. Instants are ISO 8601. */

export interface MailboxView {
  readonly name: string;
  /** `undeclared`, `open`, `closing`, `closed` or `reopening`. */
  readonly state: string;
  readonly machine?: { readonly id: string; readonly name: string } | null;
  readonly environment?: string | null;
  readonly lifetimeMs?: number | null;
  readonly lastContactAt?: string | null;
  readonly expiresAt?: string | null;
  readonly closedAt?: string | null;
  readonly reason?: string | null;
  /** Plans that were not taken yet. */
  readonly waiting?: number | null;
  readonly broker?: { readonly messages: number; readonly readers: number } | null;
  readonly letters?: readonly LetterView[] | null;
  /** What was in it when it ended last, of one that was opened anew. */
  readonly earlierLetters?: readonly LetterView[] | null;
  readonly why?: WhyView | null;
}

export interface LetterView {
  readonly id: string;
  readonly kind: string;
  readonly state: string;
  readonly bytes?: number | null;
  readonly planId?: string | null;
  readonly deploymentId?: string | null;
  readonly stage?: string | null;
  readonly since?: string | null;
  readonly expiresAt?: string | null;
}

export interface RedeliveryView {
  readonly mailbox: string;
  readonly redelivered: readonly { readonly id: string }[];
  readonly left: readonly { readonly id: string; readonly reason: string; readonly cure: string }[];
}

export interface DeletedMailboxView {
  readonly mailbox: string;
  /** `closing`: the broker is away. `closed`. `forgotten`: of a machine that is gone. */
  readonly state: string;
  readonly plans: readonly {
    readonly planId: string;
    readonly deploymentId?: string | null;
    readonly became: string;
  }[];
}

export interface DeadLetterView {
  readonly id: string;
  readonly source?: string | null;
  readonly routingKey?: string | null;
  readonly machine?: { readonly id: string; readonly name?: string | null } | null;
  readonly messageId?: string | null;
  readonly contentType?: string | null;
  readonly reason?: string | null;
  readonly attempts?: number | null;
  readonly at?: string | null;
  readonly bytes?: number | null;
  readonly isWhole?: boolean;
  readonly headers?: unknown;
  /** The beginning of it; written by an agent. */
  readonly text?: string | null;
}
