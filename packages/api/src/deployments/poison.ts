/** So many holders in a row that vanished within seconds of their claim, and a deployment is not tried again. */
export const vanishedMax = 5;

/** A holder that was heard of for longer than this after its claim did not vanish because of the deployment. */
export const vanishWithinMs = 5_000;

/** Reason of a deployment that ended its conductors. */
export const poisonReason = 'poison';
