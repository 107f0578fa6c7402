/**
 * Clients change a small tree, and keep caches of it, of all of it or of some.
 * Whatever happens, listeners can replay what they are told, nothing goes back
 * in time, and in the end every cache is the tree.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as TreeCache from "../../../src/recipe/TreeCache.ts"
import type { Stat } from "../../../src/Znode.ts"
import { ZooKeeper } from "../../../src/ZooKeeper.ts"
import { Replay } from "../../support/Replay.ts"
import type { Participant, Run, Workload } from "../Simulation.ts"

const root = "/tree"
const names = ["a", "b", "c"] as const

/** Every path that may ever be there. */
const below = (parents: ReadonlyArray<string>): ReadonlyArray<string> =>
  parents.flatMap((parent) => names.map((name) => `${parent}/${name}`))

const first = below([root])
const second = below(first)
const paths: readonly [string, ...ReadonlyArray<string>] = [root, ...first, ...second, ...below(second)]

const depthOf = (path: string): number => path.split("/").length - 2

const versionOf = ({ czxid, mzxid }: Stat): string => `${czxid}.${mzxid}`

/** What of the tree a cache keeps. */
interface Part {
  readonly options: TreeCache.Options
  readonly keeps: (path: string) => boolean
}

const parts: readonly [Part, ...ReadonlyArray<Part>] = [
  { options: {}, keeps: () => true },
  { options: { maxDepth: 1 }, keeps: (path) => depthOf(path) <= 1 },
  { options: { maxDepth: 0 }, keeps: (path) => path === root },
  { options: { filter: (path) => !path.endsWith("/b") }, keeps: (path) => !path.split("/").includes("b") }
]

/** The cache, or a replay of it, against the server's tree. */
const compare = (run: Run, who: string, part: Part, nodes: ReadonlyMap<string, { readonly stat: Stat }>): void => {
  for (const path of paths) {
    const stat = run.ensemble.leader.server.tree.get(path)?.stat
    const expected = stat === undefined || !part.keeps(path) ? "absent" : versionOf(stat)
    const cached = nodes.get(path)
    const found = cached === undefined ? "absent" : versionOf(cached.stat)
    if (found !== expected) run.violation("C1", `${who} has ${path} as ${found}, and it is ${expected}`)
  }
}

export const cachesWorkload: Workload = {
  name: "caches",
  make: (run) => {
    run.pace = 500
    let calls = 0
    let quiet = 0
    const final: { zxid: bigint | undefined } = { zxid: undefined }

    const change = ({ randomness, zk }: Participant): Effect.Effect<void> => {
      const path = randomness.pick(paths)
      const data = `<t${++calls}>`
      const kind = randomness.below(10)
      return Effect.ignore(
        kind < 4
          ? zk.create(path, data)
          : kind < 7
          ? zk.set(path, data)
          : kind < 8
          ? zk.deleteRecursive(path)
          : kind < 9
          ? zk.delete(path)
          : Effect.andThen(zk.delete(path), zk.create(path, data))
      )
    }

    const surely = <A>(attempt: Effect.Effect<A, unknown>): Effect.Effect<A> =>
      Effect.catch(attempt, () => Effect.andThen(Effect.sleep(500), surely(attempt)))

    return {
      prepare: (zk) => Effect.forEach([root, ...first, ...second], (path) => zk.create(path), { discard: true }),
      client: (participant) =>
        Effect.gen(function*() {
          const { index, randomness, zk } = participant
          const part = randomness.pick(parts)
          const cache = yield* Effect.provideService(TreeCache.make(root, part.options), ZooKeeper, zk)
          const replay = new Replay()
          yield* Effect.forkScoped(
            Stream.runForEachArray(cache.changes, (changes) =>
              Effect.andThen(
                Effect.sync(() => changes.forEach(replay.apply)),
                randomness.chance(0.2) ? participant.pause : Effect.void
              )).pipe(
                Effect.catch((error) => Effect.sync(() => run.violation("V2", `a cache ended with ${error.message}`)))
              ),
            { startImmediately: true }
          )
          while (!participant.isOver) {
            yield* participant.pause
            if (randomness.chance(0.2)) {
              const written = yield* Effect.option(zk.set(root, `<t${++calls}>`))
              if (written._tag === "None") continue
              const { mzxid } = written.value
              yield* cache.awaitZxid(mzxid)
              const seen = (yield* cache.snapshot).get(root)?.stat
              // It may have been deleted since; it must not be older.
              if (seen !== undefined && seen.mzxid < mzxid) {
                run.violation("C4", `client${index} awaited ${mzxid}, and its cache is at ${seen.mzxid}`)
              }
            } else yield* change(participant)
          }
          quiet++
          while (quiet < run.participants.length) yield* Effect.sleep(50)
          yield* Effect.sleep(run.recovery)
          if (index === 0) {
            yield* surely(zk.ensurePath(root))
            const { mzxid } = yield* surely(zk.set(root, "last"))
            final.zxid = mzxid
          }
          while (final.zxid === undefined) yield* Effect.sleep(50)
          yield* cache.awaitZxid(final.zxid)
          const who = `client${index}'s cache (${JSON.stringify(part.options)})`
          compare(run, who, part, yield* cache.snapshot)
          yield* Effect.sleep(2 * run.pace)
          compare(run, `a replay of ${who}`, part, replay.nodes)
          for (const fault of replay.faults) run.violation("C2", `${who}: ${fault}`)
        }),
      check: () => undefined,
      calls: () => calls
    }
  }
}
