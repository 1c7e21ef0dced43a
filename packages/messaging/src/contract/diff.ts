import type { ContractDescription, MethodDescription } from './describe.js';
import { diffSchemas, type SchemaChange } from './schema-diff.js';

/** One difference between two contracts. */
export interface ContractChange {
  /** Where: `methods.add.args.a`. */
  readonly path: string;
  /** Whether programs of the old contract still work with those of the new one. */
  readonly isBreaking: boolean;
  readonly what: string;
}

/**
 * What changed between two descriptions of a contract. Breaking is what a caller of the old contract would notice when
 * its servers move to the new one: a narrower input, a wider output, something that is gone.
 */
export function diffContracts(before: ContractDescription, after: ContractDescription): readonly ContractChange[] {
  return [...diffAddress(before, after), ...diffMethods(before, after), ...diffNotifications(before, after)];
}

function diffAddress(before: ContractDescription, after: ContractDescription): readonly ContractChange[] {
  const fields = (['topic', 'exchange', 'namespace'] as const).flatMap((path) =>
    before[path] === after[path] ? [] : [breaking(path, `was ${String(before[path])}, is ${String(after[path])}`)],
  );
  const [[oldMajor = 0, oldMinor = 0], [major = 0, minor = 0]] = [versionOf(before), versionOf(after)];
  const isOlder = major !== oldMajor || minor < oldMinor;
  if (before.version === after.version) return fields;
  const what = `was ${before.version}, is ${after.version}`;
  return [...fields, isOlder ? breaking('version', what) : compatible('version', what)];
}

function versionOf({ version }: ContractDescription): readonly number[] {
  return version.split('.').map(Number);
}

function diffMethods(before: ContractDescription, after: ContractDescription): readonly ContractChange[] {
  return diffNames(before.methods, after.methods, {
    path: 'methods',
    what: 'method',
    compare: (path, old, now) => diffMethod(path, old, now),
  });
}

function diffMethod(path: string, before: MethodDescription, after: MethodDescription): readonly ContractChange[] {
  const castChange =
    before.cast === after.cast ? [] : [breaking(`${path}.cast`, after.cast ? 'answers no more' : 'became a call')];
  const errors = diffNames(before.errors, after.errors, {
    path: `${path}.errors`,
    what: 'failure',
    compare: (at, old, now) => placed(at, diffSchemas(old, now, 'output')),
    isAdditionBreaking: false,
    isRemovalBreaking: false,
  });
  return [
    ...castChange,
    ...placed(`${path}.args`, diffSchemas(before.args ?? {}, after.args ?? {}, 'input')),
    ...placed(
      `${path}.result`,
      diffSchemas(before.result ?? { const: null }, after.result ?? { const: null }, 'output'),
    ),
    ...placed(`${path}.progress`, diffSchemas(before.progress ?? false, after.progress ?? false, 'output')),
    ...errors,
  ];
}

function diffNotifications(before: ContractDescription, after: ContractDescription): readonly ContractChange[] {
  return diffNames(before.notifications, after.notifications, {
    path: 'notifications',
    what: 'event type',
    compare: (path, old, now) => placed(path, diffSchemas(old, now, 'output')),
  });
}

function diffNames<T>(
  before: Readonly<Record<string, T>>,
  after: Readonly<Record<string, T>>,
  how: {
    readonly path: string;
    readonly what: string;
    readonly compare: (path: string, before: T, after: T) => readonly ContractChange[];
    readonly isAdditionBreaking?: boolean;
    readonly isRemovalBreaking?: boolean;
  },
): readonly ContractChange[] {
  const { path, what, compare, isAdditionBreaking = false, isRemovalBreaking = true } = how;
  const change = (at: string, isBreaking: boolean, text: string): ContractChange => ({
    path: at,
    isBreaking,
    what: text,
  });
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted();
  return names.flatMap((name) => {
    const [old, now, at] = [before[name], after[name], `${path}.${name}`];
    if (old === undefined) return [change(at, isAdditionBreaking, `the ${what} is new`)];
    if (now === undefined) return [change(at, isRemovalBreaking, `the ${what} is gone`)];
    return compare(at, old, now);
  });
}

function placed(path: string, changes: readonly SchemaChange[]): readonly ContractChange[] {
  return changes.map((change) => ({ ...change, path: change.path === '' ? path : `${path}.${change.path}` }));
}

function breaking(path: string, what: string): ContractChange {
  return { path, isBreaking: true, what };
}

function compatible(path: string, what: string): ContractChange {
  return { path, isBreaking: false, what };
}
