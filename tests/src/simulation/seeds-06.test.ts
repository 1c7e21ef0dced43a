import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 251, seeds: 50 });
