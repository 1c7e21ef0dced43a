/** How far a letter has come. Later ones imply the earlier ones, whatever word of them got lost. */
export const letterStages = ['accepted', 'stored', 'delivered', 'started', 'finished', 'resultRead'] as const;

/**
 * - `accepted`: the ledger knows of it; the broker may not have it yet.
 * - `stored`: the broker has taken responsibility for it.
 * - `delivered`: its reader was handed it. No longer so once the reader gives it back without having begun.
 * - `started`: its reader has begun; from now on it cannot be superseded or withdrawn.
 * - `finished`: its reader is done with it.
 * - `resultRead`: its sender has seen the result.
 */
export type LetterStage = (typeof letterStages)[number];

/**
 * How a letter ended. The first end stays; what its reader says later is written down beside it.
 *
 * - `finished`: its reader is done with it.
 * - `rejected`: its reader can never handle it.
 * - `expired`: its time was over before a reader had it.
 * - `unread`: its mailbox ended, and it was still in there.
 * - `inHand`: its mailbox ended while its reader had it and had not said what became of it.
 * - `superseded`: a newer letter stands for it.
 * - `withdrawn`: its sender took it back before it was started.
 * - `refused`: the broker or a quota did not take it; it may be put again.
 */
export type LetterEnding =
  | 'finished'
  | 'rejected'
  | 'expired'
  | 'unread'
  | 'inHand'
  | 'superseded'
  | 'withdrawn'
  | 'refused';

export interface LetterEnd {
  readonly how: LetterEnding;
  readonly atMs: number;
  /** For people. */
  readonly reason: string;
}

/** When each stage was reached first, in milliseconds since 1970. */
export type ReachedStages = Readonly<Partial<Record<LetterStage, number>>>;

/** The furthest stage that was reached. */
export function stageOf(reached: ReachedStages): LetterStage {
  return letterStages.findLast((stage) => reached[stage] !== undefined) ?? 'accepted';
}

/** Whether a letter came at least so far. */
export function hasReached(reached: ReachedStages, stage: LetterStage): boolean {
  return letterStages.indexOf(stageOf(reached)) >= letterStages.indexOf(stage);
}
