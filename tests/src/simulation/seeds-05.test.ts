import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 201, seeds: 50 });
