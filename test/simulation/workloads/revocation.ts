/**
 * Holders keep a lock until they are asked to let go. Whoever is asked gets to
 * know it, over cuts and whenever it was, and nobody else does; nobody lets
 * another in before.
 */
import * as Effect from "effect/Effect"
import type { Grant } from "../../../src/recipe/Grant.ts"
import * as Lock from "../../../src/recipe/Lock.ts"
import * as ReadWriteLock from "../../../src/recipe/ReadWriteLock.ts"
import { contending, guarded, Holding, mannersOf } from "../Holding.ts"
import type { Participant, Workload } from "../Simulation.ts"

const path = "/asked"
const text = new TextDecoder()

export const revocationWorkload: Workload = {
  name: "revocation",
  duration: 8000,
  crowd: 6,
  make: (run) => {
    run.pace = 500
    const holding = new Holding(run)
    const layout = run.randomness.pick(["kazoo", "curator"])
    const side = run.randomness.pick(["lock", "lock", "write"])
    let told = 0

    /** In ms: when the holder's znode was first marked, by the leader's state. */
    const marked = new Map<string, number>()
    run.ensemble.observers.push(() => {
      const { tree } = run.ensemble.leader.server
      for (const name of tree.get(path)?.children ?? []) {
        const at = `${path}/${name}`
        if (!marked.has(at) && text.decode(tree.get(at)?.data ?? undefined) === "__REVOKE__") marked.set(at, run.world.now)
      }
    })

    /** Who holds the lock, by the leader's state. */
    const first = (): string | undefined => {
      const names = [...run.ensemble.leader.server.tree.get(path)?.children ?? []]
      const [name] = names.toSorted((left, right) => left.slice(-10) < right.slice(-10) ? -1 : 1)
      return name === undefined ? undefined : `${path}/${name}`
    }

    /** Until it is asked; what it is told must be true, and come in time. */
    const untilAsked = ({ index, loop }: Participant, { path: own, protect, revocation }: Grant) =>
      Effect.gen(function*() {
        // By its own time: a process that stands still hears nothing.
        const overdue = Effect.gen(function*() {
          for (let waited = 0; waited < run.recovery; waited += marked.has(own) ? 500 : 0) yield* Effect.sleep(500)
          run.violation("K2", `client${index} does not know at ${loop.now} ms that it was asked at ${marked.get(own)} ms to let go of ${own}`)
        })
        yield* protect(Effect.raceFirst(revocation, overdue))
        told++
        if (!marked.has(own)) run.violation("K1", `client${index} lets go of ${own}, and nobody has asked`)
      })

    return {
      prepare: (zk) => zk.create(guarded),
      client: contending(run, {
        directories: [path],
        make: (participant) => {
          const { randomness } = participant
          const options = mannersOf(randomness)
          const isStrict = options.validity === "strict"
          const made = side === "lock"
            ? Lock.make(path, { ...options, layout })
            : Effect.map(ReadWriteLock.make(path, { ...options, layout }), ({ write }) => write)
          return Effect.map(made, (lock) => {
            const use = holding.user(participant, { what: path, isStrict, isProtected: true })
            // It works on until it is asked to let go.
            const comply = (grant: Grant) =>
              Effect.raceFirst(untilAsked(participant, grant), Effect.forever(Effect.andThen(use(grant), Effect.sleep(200))))
            const ask = Effect.suspend(() => {
              // Once must do.
              const isAsked = marked.has(first() ?? "")
              const pause = Effect.sleep(randomness.between(1, randomness.pick([30, 1500, 1500])))
              return isAsked ? pause : Effect.andThen(Effect.ignore(lock.revoke), pause)
            })
            return {
              attempt: Effect.suspend(() =>
                lock.withLock(comply, randomness.chance(0.3) ? { timeout: randomness.between(0, 3000) } : {})),
              // Nobody holds for ever: there is always somebody who asks.
              background: Effect.forever(ask),
              last: lock.withLock(comply)
            }
          })
        }
      }),
      check: () => holding.checkExclusion(() => true),
      calls: () => told
    }
  }
}
