/**
 * Members come and go, and divide items among them. No item has two owners, and
 * in the end each has one.
 */
import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as SetPartitioner from "../../../src/recipe/SetPartitioner.ts"
import { ZooKeeper } from "../../../src/ZooKeeper.ts"
import { guarded, Holding, Meeting, mannersOf } from "../Holding.ts"
import type { Workload } from "../Simulation.ts"

const path = "/workers"
const items = ["a", "b", "c", "d"]

/** A simulated process cannot wait for a promise of the platform's. */
const digestingAtOnce = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() =>
      Object.defineProperty(globalThis.crypto.subtle, "digest", {
        configurable: true,
        value: (_: string, bytes: Uint8Array) => {
          const digest = createHash("sha256").update(bytes).digest()
          // oxlint-disable-next-line unicorn/no-thenable -- a promise that calls back at once
          return { then: (resolve: (digest: Uint8Array) => void) => resolve(digest) }
        }
      })
    ),
    () => effect,
    (subtle) => Effect.sync(() => Reflect.deleteProperty(subtle, "digest"))
  )

export const setPartitionerWorkload: Workload = {
  name: "setPartitioner",
  duration: 10_000,
  make: (run) => {
    const holding = new Holding(run)
    const meeting = new Meeting(run)
    const shares: Array<ReadonlyArray<string>> = []
    return {
      prepare: (zk) => zk.create(guarded),
      client: (participant) =>
        Effect.gen(function*() {
          const { index, randomness, zk } = participant
          let owned: ReadonlyArray<string> = []
          /** Which of its lives this is: a new one is no continuation. */
          let life = 0
          const member = Effect.gen(function*() {
            const options = mannersOf(randomness)
            const isStrict = options.validity === "strict"
            const partitioner = yield* digestingAtOnce(SetPartitioner.make(path, {
              ...options,
              items,
              identifier: `host-${index}-${++life}`,
              settleTime: 200
            }))
            yield* Stream.runDrain(Stream.switchMap(partitioner.states, (state) => {
              owned = state._tag === "Acquired" ? state.items : []
              return state._tag === "Acquired"
                ? Stream.fromEffect(Effect.forEach(
                  state.items,
                  (what, at) => {
                    const grant = state.grants[at]
                    return grant === undefined
                      ? Effect.sync(() => run.violation("grants", `there is none for ${what}`))
                      : Effect.forever(Effect.andThen(
                        holding.use(participant, grant, { what, isStrict, isProtected: false }),
                        // In the end each is used once: who owns what is asked of all, and writing on shows nothing more.
                        Effect.suspend(() => participant.isOver ? Effect.never : Effect.sleep(100))
                      ))
                  },
                  { concurrency: "unbounded" }
                ))
                : Stream.empty
            }))
          }).pipe(
            Effect.provideService(ZooKeeper, zk),
            Effect.onError((cause) =>
              Effect.sync(() => {
                if (cause.reasons.some(({ _tag }) => _tag !== "Interrupt")) run.violation("errors", `a member ended with ${String(cause)}`)
              })),
            Effect.ensuring(Effect.sync(() => void (owned = [])))
          )
          while (!participant.isOver) {
            yield* participant.pause
            yield* Effect.timeoutOption(member, randomness.between(0, randomness.pick([300, 3000, 10_000])))
          }
          yield* meeting.all
          const last = yield* Effect.forkChild(member)
          yield* Effect.sleep(run.recovery + run.faults.sessionTimeout + 3000)
          yield* meeting.all
          shares[index] = owned
          yield* meeting.all
          const all = shares.flat().toSorted()
          if (all.join() !== items.join()) run.violation("V2", `in the end ${JSON.stringify(shares)} of ${items.join()} are owned`)
          yield* Fiber.interrupt(last)
          yield* meeting.all
          yield* Effect.sleep(run.recovery)
          const { tree } = run.ensemble.leader.server
          for (const [found] of tree.entries()) {
            if (found.startsWith(`${path}/`) && (tree.get(found)?.stat.ephemeralOwner ?? 0n) !== 0n) run.violation("M9", `${found} is left`)
          }
        }),
      check: () => holding.checkExclusion((left, right) => left.what === right.what && left.grant !== right.grant),
      calls: () => holding.holds.length
    }
  }
}
