import { defineConfig } from "vitest/config"

/** Tests of one server that they need not start, stop or kill: they run on the in-memory one as well, over TCP. */
const onAnyServer = ["test/client/{Session,Connection}.test.ts", "test/conformance/*.test.ts", "test/Examples.test.ts"]

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: { name: "real", include: ["test/**/*.test.ts"], globalSetup: "test/support/globalSetup.ts" }
      },
      {
        extends: true,
        test: {
          name: "memory",
          include: onAnyServer,
          exclude: ["test/conformance/Memory.test.ts"],
          globalSetup: "test/support/memorySetup.ts"
        }
      }
    ]
  }
})
