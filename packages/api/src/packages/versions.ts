/** Whether version `a` comes before, with or after `b`: numbers by value, a pre-release before its release. */
export function compareVersions(a: string, b: string): number {
  const [mainA, preA] = splitPre(a);
  const [mainB, preB] = splitPre(b);
  const main = compareParts(numbersOf(mainA), numbersOf(mainB));
  if (main !== 0) return main;
  if (preA === undefined || preB === undefined) return (preA === undefined ? 1 : 0) - (preB === undefined ? 1 : 0);
  return compareParts(preA.split('.'), preB.split('.'));
}

/** Murano's normal form: three numbers (`1` is `1.0.0`). */
export function normalizeVersion(version: string): string {
  const [main, pre] = splitPre(version);
  const numbers = numbersOf(main).join('.');
  return pre === undefined ? numbers : `${numbers}-${pre}`;
}

/** Three numbers at least: what is not written is 0. */
function numbersOf(main: string): readonly string[] {
  const written = main.split('.');
  return [...written, '0', '0'].slice(0, Math.max(3, written.length));
}

function splitPre(version: string): readonly [string, string | undefined] {
  const [text = ''] = version.split('+');
  const at = text.indexOf('-');
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function compareParts(a: readonly string[], b: readonly string[]): number {
  for (let place = 0; place < Math.max(a.length, b.length); place++) {
    const [left = '', right = ''] = [a[place], b[place]];
    const order = comparePart(left, right);
    if (order !== 0) return order;
  }
  return 0;
}

function comparePart(a: string, b: string): number {
  const areNumbers = /^\d+$/.test(a) && /^\d+$/.test(b);
  if (areNumbers) return Math.sign(Number(a) - Number(b));
  return a === b ? 0 : a < b ? -1 : 1;
}
