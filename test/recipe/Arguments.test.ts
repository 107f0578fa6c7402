/** Malformed arguments of recipes: refused by name, before anything is written. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as MemoryServer from "../../src/memory/Server.ts"
import * as Barrier from "../../src/recipe/Barrier.ts"
import * as Counter from "../../src/recipe/Counter.ts"
import * as DistributedQueue from "../../src/recipe/DistributedQueue.ts"
import * as DoubleBarrier from "../../src/recipe/DoubleBarrier.ts"
import * as Election from "../../src/recipe/Election.ts"
import * as GroupMember from "../../src/recipe/GroupMember.ts"
import * as Lease from "../../src/recipe/Lease.ts"
import * as Lock from "../../src/recipe/Lock.ts"
import * as LockingQueue from "../../src/recipe/LockingQueue.ts"
import * as Party from "../../src/recipe/Party.ts"
import * as PersistentNode from "../../src/recipe/PersistentNode.ts"
import * as Queue from "../../src/recipe/Queue.ts"
import * as ReadWriteLock from "../../src/recipe/ReadWriteLock.ts"
import * as Semaphore from "../../src/recipe/Semaphore.ts"
import * as ServiceRegistry from "../../src/recipe/ServiceRegistry.ts"
import * as SetPartitioner from "../../src/recipe/SetPartitioner.ts"
import * as ShallowParty from "../../src/recipe/ShallowParty.ts"
import * as TreeCache from "../../src/recipe/TreeCache.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { dial } from "../memory/dial.ts"

type Refused = Effect.Effect<unknown, { readonly _tag: string }, ZooKeeper.ZooKeeper | Scope.Scope>

/** With a path that no recipe takes. */
const withPath = (path: string): Record<string, Refused> => {
  const registry = ServiceRegistry.make(path, Schema.String)
  return {
    Barrier: Barrier.make(path),
    Counter: Counter.make(path),
    DistributedQueue: DistributedQueue.make(path),
    DoubleBarrier: DoubleBarrier.make(path, { members: 1 }),
    Election: Election.make(path),
    GroupMember: GroupMember.join(path, { id: "id" }),
    Lease: Lease.make(path, { duration: "1 second", identifier: "id" }),
    "several leases": Lease.makeMulti(path, { count: 1, duration: "1 second", identifier: "id" }),
    Lock: Lock.make(path),
    LockingQueue: LockingQueue.make(path),
    Party: Party.join(path),
    "members of a Party": Party.members(path),
    PersistentNode: PersistentNode.make(path),
    Queue: Queue.make(path),
    ReadWriteLock: ReadWriteLock.make(path),
    Semaphore: Semaphore.make(path, { permits: 1 }),
    "registration of a service": registry.register({ name: "name" }),
    "instances of a service": registry.instances("name"),
    "provider of a service": registry.provider("name"),
    SetPartitioner: SetPartitioner.make(path, { items: ["item"] }),
    ShallowParty: ShallowParty.join(path),
    TreeCache: TreeCache.make(path)
  }
}

const registry = ServiceRegistry.make("/services", Schema.String)

/** What the root cannot be, and numbers and names that are none. */
const others: Record<string, Refused> = {
  "the root as a Barrier": Barrier.make("/"),
  "the root as a PersistentNode": PersistentNode.make("/"),
  "the root as a persistent PersistentNode": PersistentNode.make("/", "", { mode: "persistent", existing: "replace" }),
  "a lease of no time": Lease.make("/lease", { duration: Number.NaN, identifier: "id" }),
  "a delay that is none": Effect.flatMap(
    DistributedQueue.make("/queue", { order: "delay" }),
    (queue) => queue.offer(["item"], { delay: Number.NaN })
  ),
  "a member without a name": GroupMember.join("/group", { id: "" }),
  "a service without a name": registry.register({ name: "" }),
  "an instance without a name": registry.register({ name: "name", id: "" }),
  "a port that is no number": registry.register({ name: "name", port: Number.NaN }),
  "a port that is too large": registry.register({ name: "name", sslPort: 65_536 }),
  "a provider that uses nobody": registry.provider("name", { downAfter: 0 })
}

describe("malformed arguments", () => {
  const refused: Record<string, Refused> = { ...others }
  for (const path of ["relative", "", "/trailing/"]) {
    for (const [recipe, effect] of Object.entries(withPath(path))) refused[`${recipe} at "${path}"`] = effect
  }

  it.live("are refused, and nothing is written", () =>
    Effect.gen(function*() {
      const server = yield* MemoryServer.make()
      const zk = yield* ZooKeeper.make({ hosts: "memory:2181", dial: dial(server) })
      const before = yield* zk.createWithStat("/before")
      for (const [name, effect] of Object.entries(refused)) {
        const error = yield* Effect.flip(Effect.scoped(Effect.provideService(effect, ZooKeeper.ZooKeeper, zk)))
        assert.strictEqual(error._tag, "BadArguments", name)
      }
      const after = yield* zk.createWithStat("/after")
      assert.strictEqual(after.stat.czxid, before.stat.czxid + 1n)
    }))
})
