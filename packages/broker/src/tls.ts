import { readFileSync } from 'node:fs';
import type { TLSSocket, TlsOptions } from 'node:tls';

/** What a listener needs to speak TLS; each in PEM form. */
export interface TlsIdentity {
  readonly certificate: string | Buffer;
  readonly key: string | Buffer;
  /**
   * Authorities of client certificates. With it clients are asked for one: a client that shows one of theirs may log in
   * without a password (EXTERNAL), one that shows any other is dropped, one that shows none logs in as usual.
   */
  readonly clientAuthorities?: string | Buffer;
}

/** The same, from files. @throws Node's system error. */
export function tlsIdentityFrom(files: {
  readonly certificate: string;
  readonly key: string;
  readonly clientAuthorities: string | undefined;
}): TlsIdentity {
  const authorities = files.clientAuthorities;
  return {
    certificate: readFileSync(files.certificate),
    key: readFileSync(files.key),
    ...(authorities === undefined ? {} : { clientAuthorities: readFileSync(authorities) }),
  };
}

export function tlsOptions(identity: TlsIdentity): TlsOptions {
  const { certificate, key, clientAuthorities } = identity;
  const own = { cert: certificate, key, minVersion: 'TLSv1.2' } as const;
  if (clientAuthorities === undefined) return own;
  return { ...own, ca: clientAuthorities, requestCert: true, rejectUnauthorized: false };
}

/** Whether a client showed a certificate of somebody whom nobody here knows. */
export function isImpostor(socket: TLSSocket): boolean {
  return !socket.authorized && Object.keys(socket.getPeerCertificate()).length > 0;
}

/** The common name of the certificate that a client proved to be its own; undefined when it showed none. */
export function certificateName(socket: TLSSocket): string | undefined {
  if (!socket.authorized) return undefined;
  const { subject } = socket.getPeerCertificate() as { readonly subject?: { readonly CN?: string | string[] } };
  const name = subject?.CN;
  return typeof name === 'string' && name !== '' ? name : undefined;
}
