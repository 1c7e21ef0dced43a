export { openStoreOn } from '../database/store.js';
export type { Store } from '../database/store.js';
export type { SqliteDatabase } from '../database/sqlite-dialect.js';
export { cancelDeployment } from '../deployments/cancel.js';
export { resumeDeployment } from '../deployments/resume.js';
export type { ApiServices } from '../routes/api-services.js';
export { readOutputs } from '../inbox/read-outputs.js';
