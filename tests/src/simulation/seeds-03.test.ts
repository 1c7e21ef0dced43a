import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 101, seeds: 50 });
