import type { ResultMessage, StepResult } from '@torcello/contracts/agent';

/**
 * What the agent's journal says, one record a fact. Steps are named by their place in the plan, from 0; attempts count
 * from 1. Instants are milliseconds since 1970.
 */
export type JournalRecord =
  /** The letter is on this machine; its bytes are the attachment, unless the plan was refused at once. */
  | ReceivedRecord
  /** Written before anything of the attempt is done. */
  | {
      readonly type: 'stepStarting';
      readonly planId: string;
      readonly step: number;
      readonly attempt: number;
      /** `check`: the probe of an interrupted step runs instead of its command. */
      readonly purpose: Purpose;
      readonly bootId: string;
      readonly atMs: number;
      /** Folder of the control group in which its processes are; absent where none could be made. */
      readonly group?: string;
    }
  /** The step has asked for a restart of the machine: in the next boot it counts as done. */
  | { readonly type: 'rebooting'; readonly planId: string; readonly step: number; readonly atMs: number }
  /** Written before a step that took too long is ended. */
  | { readonly type: 'stepTimeout'; readonly planId: string; readonly step: number }
  | { readonly type: 'stepEnded'; readonly planId: string; readonly step: number; readonly result: StepResult }
  /**
   * A chunk of output ends at `end` and is about to be sent. Sent again, it has the same bytes: its receiver knows
   * chunks by their offset. Not synced.
   */
  | { readonly type: 'outputSending'; readonly planId: string; readonly step: number; readonly end: number }
  /** The broker has the step's output up to `offset`. Not synced: at worst some of it is sent twice, with its offset. */
  | {
      readonly type: 'outputSent';
      readonly planId: string;
      readonly step: number;
      readonly offset: number;
      readonly isLast: boolean;
    }
  /** What a step wrote beyond the limit of a run is being given back to the disk. */
  | {
      readonly type: 'outputCut';
      readonly planId: string;
      readonly step: number;
      /** So many bytes are not even counted by the length of the file any more. */
      readonly lostBytes: number;
    }
  /** The plan is to end: it is written before anything is ended. A plan that runs already is not superseded. */
  | EndingRecord
  | { readonly type: 'finished'; readonly planId: string; readonly result: ResultMessage }
  /** The control plane has the result. */
  | { readonly type: 'receipt'; readonly planId: string; readonly atMs: number }
  /** Confirmed, its output sent and its files removed. Not synced: at worst there is nothing left to remove. */
  | { readonly type: 'cleared'; readonly planId: string }
  /** Damage took the letter of this plan; what it did is not known, so it is never run. */
  | { readonly type: 'lost'; readonly planId: string }
  /** A newer plan took its place before it came: should it come, it is not run. */
  | { readonly type: 'replaced'; readonly planId: string; readonly by: string };

export type Purpose = 'run' | 'check';

export interface ReceivedRecord {
  readonly type: 'received';
  readonly planId: string;
  readonly deploymentId: string;
  readonly stage: string;
  readonly epoch: number;
  /** SHA-256 of the letter, hexadecimal. */
  readonly digest: string;
  readonly receivedAtMs: number;
  /** Of a plan that came while the agent did not know the time: whether it is late is found out before it starts. */
  readonly startByMs?: number;
  /** A cancel came before the plan: there is no letter, and should one come, it is not run. */
  readonly isTombstone?: true;
}

export interface EndingRecord {
  readonly type: 'ending';
  readonly planId: string;
  readonly how: 'cancelled' | 'superseded';
  /** What a running step gets to end by itself. */
  readonly graceMs: number;
  readonly atMs: number;
}
