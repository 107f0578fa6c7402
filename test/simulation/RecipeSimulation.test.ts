/**
 * Every recipe that has a workload in five hundred seeds, and the seeds that once found a bug.
 * `npm run simulate -- --workload lock --seeds 10000` runs more of them, and
 * `npm run simulate -- --planted` shows that bugs are found.
 */
import { assert, describe, it } from "@effect/vitest"
import { keptRecipes, keptWorkload } from "./keptRecipes.ts"
import { simulate, type Violation, type Workload } from "./Simulation.ts"
import { cachesWorkload } from "./workloads/caches.ts"
import { presentWorkload } from "./workloads/present.ts"
import { workloadOf } from "./workloads/index.ts"
import { recipes } from "./workloads/recipes.ts"

const seedsEach = 500
/** Of so many seeds one is run again, and must do the same. */
const repeated = 25

/** In ms: how long there are faults in each; the command takes longer. */
const duration = 4000

const violationsOf = (workload: Workload, seed: number, isRepeated: boolean): ReadonlyArray<Violation> => {
  const first = simulate(seed, workload)
  if (!isRepeated) return first.violations
  const second = simulate(seed, workload)
  return first.hash === second.hash
    ? first.violations
    : [...first.violations, { property: "determinism", detail: `${first.hash}, then ${second.hash}` }]
}

const settingsOf = ({ clients, duration, name }: Workload): ReadonlyArray<string> =>
  Object.entries({ workload: name, duration, clients }).flatMap(([option, value]) => value === undefined ? [] : [`--${option} ${value}`])

const failuresOf = (workload: Workload, seed: number, isRepeated: boolean): ReadonlyArray<string> =>
  violationsOf(workload, seed, isRepeated).map(({ detail, property }) =>
    `${property}: ${detail}\n  npm run simulate -- ${settingsOf(workload).join(" ")} --from ${seed} --seeds 1 --trace`
  )

describe("simulation of recipes", () => {
  for (const recipe of [...recipes, cachesWorkload, presentWorkload]) {
    const workload = { ...recipe, duration }
    it(`${recipe.name}: ${seedsEach} seeds`, { timeout: 180_000 }, () => {
      const failures = Array.from({ length: seedsEach }, (_, seed) => failuresOf(workload, seed, seed % repeated === 0))
      assert.deepStrictEqual(failures.flat(), [])
    })
  }

  it("seeds that have found a bug find it no more", { timeout: 60_000 }, () => {
    assert.deepStrictEqual(keptRecipes.flatMap((kept) => failuresOf(keptWorkload(kept, workloadOf), kept.seed, true)), [])
  })
})
