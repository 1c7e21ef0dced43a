/** A request that cannot be served, with the status and reason that its sender gets. */
export class HttpError extends Error {
  readonly status: number;

  constructor(status: number, reason: string) {
    super(reason);
    this.name = 'HttpError';
    this.status = status;
  }
}
