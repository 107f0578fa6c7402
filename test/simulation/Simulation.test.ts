/**
 * A thousand seeds, each run twice; the seeds that once found a bug; and the
 * proof that bugs are found. `npm run simulate` runs more of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { kept } from "./kept.ts"
import { failuresOf } from "./Simulation.ts"
import { workloadOf, workloads } from "./workloads/index.ts"

const seedsEach = Math.ceil(1000 / workloads.length)

describe("simulation", () => {
  for (const workload of workloads) {
    it(`${workload.name}: ${seedsEach} seeds, each twice`, { timeout: 180_000 }, () => {
      const failures = Array.from({ length: seedsEach }, (_, seed) => failuresOf(seed, workload)).flat()
      assert.deepStrictEqual(failures, [])
    })
  }

  it("seeds that have found a bug find it no more", { timeout: 60_000 }, () => {
    assert.deepStrictEqual(kept.flatMap(({ seed, workload }) => failuresOf(seed, workloadOf(seed, workload))), [])
  })

  it("every planted bug is caught within 200 seeds", { timeout: 300_000 }, async () => {
    const command = fileURLToPath(new URL("./simulate.ts", import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [command, "--planted"])
    assert.notInclude(stdout, "ESCAPED")
    assert.isAtLeast(stdout.split("\n").filter((line) => line.startsWith("caught")).length, 15)
  })
})
