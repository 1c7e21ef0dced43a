/** Whether an address is of this machine alone: a loopback address, or a pipe in memory. */
export function isLoopback(address: string): boolean {
  return address === 'pipe' || address === '::1' || /^(::ffff:)?127\./.test(address);
}
