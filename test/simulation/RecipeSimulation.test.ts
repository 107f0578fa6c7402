/**
 * Every recipe that has a workload in some hundreds of seeds, and the seeds that once found a bug.
 * `npm run simulate -- --workload lock --seeds 10000` runs more of them, and
 * `npm run simulate -- --planted` shows that bugs are found.
 */
import { assert, describe, it } from "@effect/vitest"
import { keptRecipes, keptWorkload } from "./keptRecipes.ts"
import { failuresOf } from "./Simulation.ts"
import { cachesWorkload } from "./workloads/caches.ts"
import { presentWorkload } from "./workloads/present.ts"
import { workloadOf } from "./workloads/index.ts"
import { recipes } from "./workloads/recipes.ts"

/**
 * Each twice, to see that it is the same run: that costs as much as other seeds would, so that these are as many as
 * the time allows (two and a half minutes of one core), and as a planted bug is given to be found. The command runs more.
 */
const seedsEach = 200

/** In ms: how long there are faults in each; the command takes longer. */
const duration = 4000

describe("simulation of recipes", () => {
  for (const recipe of [...recipes, cachesWorkload, presentWorkload]) {
    const workload = { ...recipe, duration }
    it(`${recipe.name}: ${seedsEach} seeds, each twice`, { timeout: 180_000 }, () => {
      const failures = Array.from({ length: seedsEach }, (_, seed) => failuresOf(seed, workload))
      assert.deepStrictEqual(failures.flat(), [])
    })
  }

  it("seeds that have found a bug find it no more", { timeout: 60_000 }, () => {
    assert.deepStrictEqual(keptRecipes.flatMap((kept) => failuresOf(kept.seed, keptWorkload(kept, workloadOf))), [])
  })
})
