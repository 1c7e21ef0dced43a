/** Every number that bounds the handshake. */
export const handshakeLimits = {
  /** A reader says so often that it runs. */
  announceMs: 10_000,
  /** One that said nothing for so long is called no more. */
  silenceMsMax: 35_000,
  /** So long a called reader has to take a letter up, and then between two signs of life. */
  acceptedWithinMs: 10_000,
  signOfLifeMs: 10_000,
  /** Letters that a keeper takes in at the same time, for each of its topics. */
  postingsAtOnce: 256,
} as const;
