import { defineConfig } from "vitest/config"

/**
 * Tests of one server that they need not start, stop or kill: they run on the in-memory one as well, over TCP. The
 * suites of the recipes are not among them: they run on both by themselves (see test/conformance/servers.ts).
 */
const onAnyServer = [
  "test/client/{Session,Connection,FourLetterWord}.test.ts",
  "test/conformance/{Operations,Watches}.test.ts",
  "test/Examples.test.ts"
]

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
        test: { name: "memory", include: onAnyServer, globalSetup: "test/support/memorySetup.ts" }
      }
    ]
  }
})
