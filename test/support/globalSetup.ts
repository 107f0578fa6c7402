/**
 * One real server for the whole test run. Tests find it with
 * `inject("zookeeper")`, which is `undefined` when no server can be had.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { TestProject } from "vitest/node"
import { advice, missingStrangers } from "./Installation.ts"
import * as ZooKeeperServer from "./ZooKeeperServer.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** Connect string of the shared server. */
    readonly zookeeper: string | undefined
    /** Whether it is the one of memorySetup.ts. */
    readonly inMemory: boolean
  }
}

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | void> {
  // Whoever started vitest was killed: no reason to go on.
  process.once("disconnect", () => process.exit(1))
  process.channel?.unref()
  project.provide("inMemory", false)
  const { description, hosts, program } = ZooKeeperServer.availability()
  if (program === undefined) {
    const what = hosts === undefined ? "a real ZooKeeper" : "servers that they can kill and freeze"
    if (process.env["ZK_REAL"] === "required") throw new Error(`ZK_REAL=required, but the tests lack ${what} (${description})\n${advice}`)
    const notice = `ALL TESTS THAT NEED ${what.toUpperCase()} ARE SKIPPED (${description})\n${advice}`
    console.warn(`\n${"!".repeat(80)}\n${notice}\n${"!".repeat(80)}\n`)
  }
  const absent = missingStrangers()
  if (absent.length > 0) {
    const notice = `CLIENTS OF OTHER LANGUAGES ARE NOT TESTED: there is no ${absent.join(", no ")}`
    if (process.env["ZK_REAL"] === "required") throw new Error(`ZK_REAL=required, but ${notice}`)
    console.warn(`\n${"!".repeat(80)}\n${notice}\nOn Debian: apt-get install -y ${absent.join(" ")}\n${"!".repeat(80)}\n`)
  }
  if (hosts === undefined && program === undefined) {
    project.provide("zookeeper", undefined)
    return
  }
  const scope = Scope.makeUnsafe()
  const server = await Effect.runPromise(Scope.provide(ZooKeeperServer.shared, scope))
  console.log(`Real ZooKeeper at ${server.hosts} (${description})`)
  project.provide("zookeeper", server.hosts)
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
