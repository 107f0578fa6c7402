/** One in-memory server, over TCP, in the place of the real one: tests find it with `inject("zookeeper")`. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { TestProject } from "vitest/node"
import * as MemoryZooKeeper from "../../src/MemoryZooKeeper.ts"
import { likeTheSharedServer } from "../memory/settings.ts"

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const scope = Scope.makeUnsafe()
  const server = await Effect.runPromise(
    Scope.provide(MemoryZooKeeper.listen({ ...likeTheSharedServer, port: 0 }), scope)
  )
  project.provide("zookeeper", server.hosts)
  project.provide("inMemory", true)
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
