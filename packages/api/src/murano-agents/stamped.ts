/** The Stamp that a plan was written with. */
export function stampOf(plan: Uint8Array): number {
  const { Stamp } = JSON.parse(new TextDecoder().decode(plan)) as { readonly Stamp?: unknown };
  return typeof Stamp === 'number' ? Stamp : 0;
}

/** The same work under another ID and Stamp: an agent drops a plan whose Stamp it has seen (Murano section 1.6). */
export function withIdAndStamp(
  plan: Uint8Array,
  { id, stamp }: { readonly id: string; readonly stamp: number },
): Uint8Array {
  const document = JSON.parse(new TextDecoder().decode(plan)) as object;
  return new TextEncoder().encode(JSON.stringify({ ...document, ID: id, Stamp: stamp }));
}
