/**
 * A transport URL taken apart: `scheme://[user:password@]host[:port][,…]/vhost?option=value`. oslo.messaging's rules:
 * credentials belong to a host, `%nn` is decoded in user, password and vhost, IPv6 addresses stand in brackets.
 */
export interface TransportUrl {
  /** As written, without the colon. */
  readonly scheme: string;
  readonly hosts: readonly TransportHost[];
  /** The path without its first slash, decoded; undefined when there is no path. */
  readonly vhost: string | undefined;
  /** Query options; values of a repeated key are joined by commas. */
  readonly options: ReadonlyMap<string, string>;
}

export interface TransportHost {
  readonly host: string;
  /** Undefined: the scheme's own port. */
  readonly port: number | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
}
