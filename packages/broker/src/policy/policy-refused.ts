/** A policy that cannot be taken; the message is for whoever sent it. */
export class PolicyRefused extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'PolicyRefused';
  }
}
