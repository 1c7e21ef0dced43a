export { FaultProxy } from '@torcello/test-support';
