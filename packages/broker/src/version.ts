/** What the broker calls itself in `connection.start` and in the management interface. */
export const product = 'Torcello';
export const version = '0.1.0';
