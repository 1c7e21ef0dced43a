export { Conductor } from './conductor.js';
export type { ConductorOptions } from './conductor.js';
export { conductorLimits } from './limits.js';
export type { ConductorLimitName } from './limits.js';
export type { ConductorDiagnostic, ConductorPoint } from './diagnostics.js';
export type { Download, DownloadRequest } from './packages/download.js';
export { openPlanKey, planSigner } from './sign.js';
export type { PlanSigner } from './sign.js';
