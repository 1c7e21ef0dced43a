import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 301, seeds: 50 });
