import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 951, seeds: 50 });
