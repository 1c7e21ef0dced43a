/** Headers of a message as JSON, without what brokers add on the way. */
export function headersText(headers: Readonly<Record<string, unknown>>): string {
  const own = Object.entries(headers).filter(([name]) => !name.startsWith('x-'));
  return JSON.stringify(Object.fromEntries(own), (_key, value: unknown) => {
    if (typeof value === 'bigint') return Number(value);
    return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
  });
}
