/**
 * Whether something that implements (or is capped at) one version can serve a request for another: the same major
 * number, and a minor number, then revision, that is not newer (oslo, golden version vectors).
 * @throws TypeError when a version that matters is not of the form `major.minor[.revision]`.
 */
export function isVersionCompatible(implemented: string | undefined, requested: string | undefined): boolean {
  if (implemented === undefined) return true;
  if (requested === undefined) return false;
  const [major, minor, revision] = parseVersion(implemented);
  const [wantedMajor, wantedMinor, wantedRevision] = parseVersion(requested);
  if (major !== wantedMajor) return false;
  if (minor === undefined || wantedMinor === undefined) throw malformed(minor === undefined ? implemented : requested);
  if (wantedMinor !== minor) return wantedMinor < minor;
  return (wantedRevision ?? 0) <= (revision ?? 0);
}

/** The version of a message that names none. */
export const defaultVersion = '1.0';

function parseVersion(text: string): readonly (number | undefined)[] {
  return text.split('.').map((part) => {
    if (!/^\d+$/.test(part)) throw malformed(text);
    return Number(part);
  });
}

function malformed(text: string): TypeError {
  return new TypeError(`"${text}" is not a version of the form major.minor`);
}
