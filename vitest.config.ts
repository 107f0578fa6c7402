import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"
import { onAnyServer } from "./test/support/anyServer.ts"

/** What takes longest; begun last, it would run alone in the end. */
const first = ["Soak", "RecipeSimulation", "Simulation", "EveryRequest", "Tls", "Session"]

const rank = ({ moduleId }: TestSpecification): number => {
  const at = first.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`))
  return at < 0 ? first.length : at
}

class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    // oxlint-disable-next-line unicorn/no-array-sort -- the Sequencer's
    const sorted = await super.sort(files)
    return sorted.toSorted((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  test: {
    pool: "forks",
    // Tests wait for timeouts, pauses and processes most of the time: more of them than cores.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: { name: "real", include: ["test/**/*.test.ts"], globalSetup: "test/support/globalSetup.ts" }
      },
      {
        extends: true,
        test: { name: "memory", include: [...onAnyServer], globalSetup: "test/support/memorySetup.ts" }
      }
    ]
  }
})
