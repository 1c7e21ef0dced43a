/** What the name of a stage in a deployment says: `<service id>/<stage>`, `…#<batch>`, `…#<batch>~gate`. */
export interface StageAddress {
  readonly serviceId: string;
  /** Name of the stage in the application. */
  readonly stage: string;
  /** From 1; absent where the stage runs on all machines at once. */
  readonly batch?: number;
  /** The health check after the batch instead of the batch itself. */
  readonly isGate: boolean;
}

/** Name of the step that a gate's `soak` becomes. */
export const soakStepName = 'soak';

const gateSuffix = '~gate';

export function formatStageAddress({ serviceId, stage, batch, isGate }: StageAddress): string {
  return `${serviceId}/${stage}${batch === undefined ? '' : `#${batch}`}${isGate ? gateSuffix : ''}`;
}

/** Never fails: names of stages in an application hold none of the three separators. */
export function parseStageAddress(name: string): StageAddress {
  const slash = name.lastIndexOf('/');
  const isGate = name.endsWith(gateSuffix);
  const rest = name.slice(slash + 1, isGate ? -gateSuffix.length : name.length);
  const [, stage = rest, digits] = /^(.*)#(\d+)$/.exec(rest) ?? [];
  const address = { serviceId: name.slice(0, Math.max(slash, 0)), stage, isGate };
  return digits === undefined ? address : { ...address, batch: Number(digits) };
}
