// bench: {"workloads":["*"],"servers":["null","real"]}
/**
 * This client as its users run it: `inflight` fibers, each yielding its
 * operation. Understood by `run.ts` here and by other harnesses alike.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Lock from "../../src/recipe/Lock.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { type Load, run } from "./harness.ts"

interface Client {
  readonly zk: ZooKeeper.Service
  readonly scope: Scope.Closeable
}

const one = (zk: ZooKeeper.Service, { data, kind, path }: Load): Effect.Effect<unknown, unknown> => {
  switch (kind) {
    case "get":
      return zk.get(path)
    case "set":
      return zk.set(path, data)
    case "children":
      return zk.getChildren(path)
    case "createdel":
      return Effect.flatMap(zk.create(path, data, { mode: "ephemeralSequential" }), (created) => zk.delete(created))
  }
}

const fibers = (count: number, fiber: Effect.Effect<void, unknown>): Promise<void> =>
  Effect.runPromise(
    Effect.forEach(Array.from({ length: count }), () => fiber, { concurrency: "unbounded", discard: true })
  )

void run<Client>({
  name: "effect-zookeeper",
  connect: async (hosts) => {
    const scope = Scope.makeUnsafe()
    const zk = await Effect.runPromise(Scope.provide(ZooKeeper.make({ hosts, sessionTimeout: "30 seconds" }), scope))
    return { zk, scope }
  },
  close: ({ scope }) => Effect.runPromise(Scope.close(scope, Exit.void)),
  get: ({ zk }, path) => Effect.runPromise(zk.get(path)),
  drive: ({ zk }, load) => {
    let issued = 0
    return fibers(
      Math.min(load.inflight, load.ops),
      Effect.gen(function*() {
        while (issued < load.ops) {
          const index = issued++
          load.begin(index)
          yield* one(zk, load)
          load.end(index)
        }
      })
    )
  },
  watch: ({ scope, zk }, paths, onEvent) => {
    const rest = paths.values()
    return fibers(
      256,
      Effect.gen(function*() {
        for (const path of rest) {
          const watched = yield* zk.getAndWatch(path)
          watched.observe(onEvent)
        }
      }).pipe(Scope.provide(scope))
    )
  },
  lock: ({ zk }, path, cycles) =>
    Effect.runPromise(
      Effect.gen(function*() {
        const lock = yield* Lock.make(path)
        while (cycles.begin()) {
          yield* lock.withLock(Effect.sync(cycles.held))
          cycles.end()
        }
      }).pipe(Effect.provideService(ZooKeeper.ZooKeeper, zk))
    )
})
