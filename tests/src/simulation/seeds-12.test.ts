import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 551, seeds: 50 });
