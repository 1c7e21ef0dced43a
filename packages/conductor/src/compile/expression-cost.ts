import type { Scope, Value } from './scope.js';

/** What the bounds need of a node of CEL's syntax tree. */
export interface ExpressionNode {
  readonly op: string;
  readonly args: unknown;
}

/** Loops of CEL: each evaluates its body once for every element. */
const loops: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

/** `matches` can take exponential time in JavaScript's regular expressions, `bind` can double a text at every level. */
const forbidden: ReadonlySet<string> = new Set(['matches', 'bind']);

/** The first function that an expression of a package may not call. */
export function forbiddenCall(node: ExpressionNode): string | undefined {
  return callsOf(node).find((name) => forbidden.has(name));
}

/**
 * An upper bound of how often the innermost loop of an expression runs: the longest thing of the scope that can be
 * looped over, to the power of how deeply loops are nested.
 */
export function costOf(node: ExpressionNode, scope: Scope): number {
  const depth = loopDepth(node);
  if (depth === 0) return 0;
  return longest(scope, callsOf(node).includes('split')) ** depth;
}

function callsOf(node: ExpressionNode): readonly string[] {
  const own = callName(node);
  return [...(own === undefined ? [] : [own]), ...childrenOf(node).flatMap(callsOf)];
}

function loopDepth(node: ExpressionNode): number {
  const name = callName(node);
  const isLoop = name !== undefined && loops.has(name);
  const inside = Math.max(0, ...childrenOf(node).map(loopDepth));
  return inside + (isLoop ? 1 : 0);
}

function callName(node: ExpressionNode): string | undefined {
  if (node.op !== 'call' && node.op !== 'rcall') return undefined;
  const [name] = node.args as readonly unknown[];
  return typeof name === 'string' ? name : undefined;
}

function childrenOf(node: ExpressionNode): readonly ExpressionNode[] {
  return nodesIn(node.args);
}

function nodesIn(value: unknown): readonly ExpressionNode[] {
  if (Array.isArray(value)) return value.flatMap(nodesIn);
  return typeof value === 'object' && value !== null && 'op' in value ? [value as ExpressionNode] : [];
}

function longest(value: Value, countsText: boolean): number {
  if (typeof value === 'string') return countsText ? value.length : 0;
  if (value === null || typeof value !== 'object') return 0;
  const items = Object.values(value) as readonly Value[];
  return items.reduce<number>((most, item) => Math.max(most, longest(item, countsText)), items.length);
}
