/**
 * Every recipe that has a workload in some hundreds of seeds, and the seeds that once found a bug.
 * `npm run simulate -- --workload lock --seeds 10000` runs more of them, and
 * `npm run simulate -- --planted` shows that bugs are found.
 */
import { assert, describe, it } from "@effect/vitest"
import { keptRecipes, keptWorkload } from "./keptRecipes.ts"
import { failuresOf, simulate, simulateTwice } from "./Simulation.ts"
import { cachesWorkload } from "./workloads/caches.ts"
import { presentWorkload } from "./workloads/present.ts"
import { workloadOf } from "./workloads/index.ts"
import { recipes } from "./workloads/recipes.ts"

const seedsEach = 500

/**
 * One in so many runs twice, to see that it is the same run; the others cost half. All of it takes some three minutes
 * of one core. Those of `Simulation.test.ts` all run twice, and so do all that the command runs.
 */
const repeated = 5

/** In ms: how long there are faults in each; the command takes longer. */
const duration = 4000

describe("simulation of recipes", () => {
  for (const recipe of [...recipes, cachesWorkload, presentWorkload]) {
    const workload = { ...recipe, duration }
    it(`${recipe.name}: ${seedsEach} seeds`, { timeout: 180_000 }, () => {
      const failures = Array.from({ length: seedsEach }, (_, seed) =>
        failuresOf(seed, workload, seed % repeated === 0 ? simulateTwice : simulate))
      assert.deepStrictEqual(failures.flat(), [])
    })
  }

  it("seeds that have found a bug find it no more", { timeout: 60_000 }, () => {
    assert.deepStrictEqual(keptRecipes.flatMap((kept) => failuresOf(kept.seed, keptWorkload(kept, workloadOf))), [])
  })
})
