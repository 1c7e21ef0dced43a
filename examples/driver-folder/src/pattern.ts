/** Whether a key fits a pattern: words between dots, `*` is one word, `#` any number of them. */
export function fits(pattern: string, key: string): boolean {
  const words = key === '' ? [] : key.split('.');
  return fitsFrom(pattern.split('.'), words);
}

function fitsFrom([part, ...rest]: readonly string[], words: readonly string[]): boolean {
  if (part === undefined) return words.length === 0;
  if (part === '#') return words.some((_, at) => fitsFrom(rest, words.slice(at))) || fitsFrom(rest, []);
  const [word, ...more] = words;
  return word !== undefined && (part === '*' || part === word) && fitsFrom(rest, more);
}
