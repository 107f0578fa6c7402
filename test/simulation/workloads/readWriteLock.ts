/**
 * Readers and writers of one path: a writer is alone, and who writes may go on
 * as a reader without letting another writer in.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Layout from "../../../src/recipe/internal/Layout.ts"
import * as ReadWriteLock from "../../../src/recipe/ReadWriteLock.ts"
import * as ZnodePath from "../../../src/ZnodePath.ts"
import { checkHerd, contending, guarded, Holding, mannersOf } from "../Holding.ts"
import type { Workload } from "../Simulation.ts"

const path = "/catalogue"

export const readWriteLockWorkload: Workload = {
  name: "readWriteLock",
  duration: 8000,
  crowd: 8,
  make: (run) => {
    run.pace = 400
    const holding = new Holding(run)
    const layout = run.randomness.pick(["kazoo", "curator"])
    /** How many may wait for one: behind a writer all the readers before the next writer, else the next alone. */
    const waiting = (path: string): number => {
      const [parent, name] = [ZnodePath.parent(path), ZnodePath.name(path)]
      const { read, write } = Layout.markers[layout]
      const all = Layout.contenders([...run.ensemble.leader.server.tree.get(parent)?.children ?? []], [write, read])
      const behind = all.slice(all.findIndex((each) => each.name === name))
      const [{ marker } = { marker: read }, ...others] = behind
      const next = others.findIndex((other) => other.marker === write)
      return marker === read ? 1 : Math.max(1, next < 0 ? others.length : next)
    }
    const inLine = Effect.andThen(Effect.sleep(50), Effect.sync(() => checkHerd(run, `${path}/`, waiting)))
    return {
      prepare: (zk) => zk.create(guarded),
      client: contending(run, {
        directories: [path],
        make: (participant) => {
          const { randomness } = participant
          const options = mannersOf(randomness)
          const isStrict = options.validity === "strict"
          const use = (what: "read" | "write", isProtected = false) =>
            holding.user(participant, { what, isStrict, isProtected })
          return Effect.map(ReadWriteLock.make(path, { ...options, layout }), ({ downgrade, read, write }) => ({
            attempt: Effect.suspend(() => {
              const bound = randomness.chance(0.2) ? { timeout: randomness.between(0, 3000) } : {}
              const [what, side] = randomness.chance(0.5) ? ["read", read] as const : ["write", write] as const
              switch (randomness.below(5)) {
                case 0:
                  return Effect.scoped(Effect.flatMap(side.tryAcquire, Option.match({
                    onNone: () => Effect.void,
                    onSome: use(what)
                  })))
                case 1:
                  return Effect.scoped(Effect.flatMap(side.acquire(bound), use(what)))
                case 2:
                  return Effect.scoped(Effect.gen(function*() {
                    const outer = yield* Effect.scope
                    const reading = yield* Effect.scoped(Effect.gen(function*() {
                      const writing = yield* write.acquire(bound)
                      yield* use("write")(writing)
                      return yield* Scope.provide(downgrade(writing), outer)
                    }))
                    yield* use("read")(reading)
                  }))
                default:
                  return side.withLock(use(what, true), bound)
              }
            }),
            last: Effect.andThen(read.withLock(inLine), write.withLock(inLine))
          }))
        }
      }),
      check: () => holding.checkExclusion((left, right) => left.what === "write" || right.what === "write"),
      calls: () => holding.holds.length
    }
  }
}
