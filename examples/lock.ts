/**
 * Two workers share a counter that anyone may write. Each adds to it under a lock,
 * through the lock's guard: a worker that lost the lock could not write any more.
 *
 * Start a server, then: `ZK_HOSTS=127.0.0.1:2181 node examples/lock.ts`
 */
import { Console, Effect } from "effect"
import * as Lock from "../src/recipe/Lock.ts"
import * as Transaction from "../src/Transaction.ts"
import { ZooKeeper, ZooKeeperLive } from "../src/ZooKeeper.ts"

const layer = ZooKeeperLive({ hosts: process.env["ZK_HOSTS"] ?? "127.0.0.1:2181" })

const worker = (name: string, root: string) =>
  Effect.gen(function*() {
    const zk = yield* ZooKeeper
    const lock = yield* Lock.make(`${root}/lock`, { identifier: name })
    for (let round = 0; round < 3; round++) {
      yield* lock.withLock((grant) =>
        Effect.gen(function*() {
          const { data } = yield* zk.get(`${root}/counter`)
          const next = Number(new TextDecoder().decode(data)) + 1
          yield* grant.guard([Transaction.set(`${root}/counter`, String(next))])
          yield* Console.log(`${name} counted ${next}`)
        }), { timeout: "10 seconds" })
    }
    // Each worker is a client of its own, as if on another machine.
  }).pipe(Effect.provide(layer, { local: true }))

const program = Effect.gen(function*() {
  const zk = yield* ZooKeeper
  const root = yield* Effect.acquireRelease(
    zk.create("/lock-example-", "", { mode: "persistentSequential" }),
    (path) => Effect.ignore(zk.deleteRecursive(path))
  )
  yield* zk.create(`${root}/counter`, "0")
  yield* Effect.all([worker("alice", root), worker("bob", root)], { concurrency: 2 })
  const { data } = yield* zk.get(`${root}/counter`)
  yield* Console.log(`together: ${new TextDecoder().decode(data)}`)
})

program.pipe(Effect.scoped, Effect.provide(layer), Effect.runPromise)
