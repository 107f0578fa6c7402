/**
 * Keeps a {@link CachedTree} up to date: watches, and reads whatever may have
 * changed.
 *
 * Events only name paths to read; what a path holds is always taken from a
 * reading made after the event, so that neither the order in which events and
 * answers are handled nor an event too many can make the copy wrong. One round
 * of readings is under way at a time; events that come meanwhile are the next.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberMap from "effect/FiberMap"
import * as Latch from "effect/Latch"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { WatchEvent } from "../../WatchEvent.ts"
import type { Stat } from "../../Znode.ts"
import * as ZnodePath from "../../ZnodePath.ts"
import type { OperationError, Service } from "../../ZooKeeper.ts"
import type { NoAuth } from "../../ZooKeeperError.ts"
import type { CachedTree } from "./CachedTree.ts"
import { persevere } from "./Perseverance.ts"

export type FollowError = NoAuth | OperationError

export interface Follower {
  /** Everything that has been told by now is in the tree when this completes. */
  readonly settled: Effect.Effect<void, FollowError>
}

/** Lists of children that are asked for at once. */
const listsTogether = 64

/**
 * - `"given"`: these znodes alone
 * - `"appeared"`: and children that have appeared or vanished
 * - `"all"`: and everything below
 */
type Reach = "given" | "appeared" | "all"

export const follow = Effect.fnUntraced(function*(options: {
  readonly zk: Service
  readonly root: string
  readonly tree: CachedTree
  /** Whether a path, of the root or below it, belongs into the tree. */
  readonly selects: (path: string) => boolean
  /** Whether the children of a path do, as far as its depth goes. */
  readonly descends: (path: string) => boolean
  /** How it has ended, while the scope lives. */
  readonly failed: (error: FollowError) => void
}): Effect.fn.Return<Follower, FollowError, Scope.Scope> {
  const { descends, root, selects, tree, zk } = options

  // -------------------------------------------------------------------------
  // what is to be read
  // -------------------------------------------------------------------------

  const work = yield* Latch.make(false)
  let dirty = new Set<string>()
  let everything = false
  /** How often something was told, the first reading included, and how much of it is in the tree. */
  let told = 1
  let taken = 0
  let waiting: Array<{ readonly until: number; readonly done: Deferred.Deferred<void, FollowError> }> = []

  /** A path to read, or everything. */
  const mark = (path: string | undefined): void => {
    if (path === undefined) everything = true
    else dirty.add(path)
    told++
  }

  const markAll = (): void => {
    mark(undefined)
    work.openUnsafe()
  }

  const note = (watched: string) => (events: ReadonlyArray<WatchEvent>): void => {
    for (const event of events) {
      // Of a one-shot watch no more was missed than what happened at its znode.
      if (event._tag === "Gap") mark(event.reason === "OneShot" ? watched : undefined)
      else if (selects(event.path)) mark(event.path)
    }
    if (everything || dirty.size > 0) work.openUnsafe()
  }

  // -------------------------------------------------------------------------
  // watches
  // -------------------------------------------------------------------------

  /** Whether each znode has a watch of its own: servers before 3.6, and a tree of one znode. */
  let each = !descends(root)
  const watches = yield* FiberMap.make<string>()
  const broken = yield* Deferred.make<never, FollowError>()

  const watch = (path: string, mode: "persistent" | "recursive"): Effect.Effect<never, OperationError> =>
    Effect.gen(function*() {
      // Whoever arms the watch of a single znode reads it next.
      let begun = false
      const noted = note(path)
      while (true) {
        const events = yield* Effect.forkChild(
          Stream.runForEachArray(zk.watch(path, mode), (events) => Effect.sync(() => noted(events))),
          { startImmediately: true }
        )
        // Readings from here on are behind the request for the watch.
        if (begun || path === root) markAll()
        begun = true
        yield* Effect.catchTag(Fiber.join(events), "ConnectionError", (error) =>
          error.isRetryable ? Effect.sleep("1 second") : Effect.fail(error))
      }
    })

  const arm = (path: string): Effect.Effect<void> =>
    Effect.asVoid(FiberMap.run(
      watches,
      path,
      Effect.catch(watch(path, "persistent"), (error) => Deferred.fail(broken, error)),
      { onlyIfMissing: true }
    ))

  /** The root is watched for, also where there is none. */
  const disarm: Effect.Effect<void> = Effect.suspend(() => {
    const gone = Array.from(watches, ([path]) => path).filter((path) => path !== root && !tree.has(path))
    return Effect.forEach(gone, (path) => FiberMap.remove(watches, path), { discard: true })
  })

  const watching: Effect.Effect<never, FollowError> = Effect.suspend(() =>
    each ? Effect.andThen(arm(root), Deferred.await(broken)) : watch(root, "recursive")
  ).pipe(
    Effect.catchIf(
      (error) => !each && error._tag === "ConnectionError" && error.reason._tag === "Unimplemented",
      () => {
        each = true
        return watching
      }
    )
  )

  // -------------------------------------------------------------------------
  // readings
  // -------------------------------------------------------------------------

  /** The session in which the server has caught up with all that was seen before. */
  let session: bigint | undefined

  /** A server that a new session finds may be behind: it catches up first, so that nothing goes back in time. */
  const notBehind = <A, E>(reading: Effect.Effect<A, E | OperationError>): Effect.Effect<A, E | OperationError> =>
    Effect.gen(function*() {
      while (true) {
        const { id, readOnly } = yield* zk.session
        if (id !== session) {
          if (!readOnly) yield* zk.sync(root)
          session = id
        }
        const value = yield* reading
        if ((yield* zk.session).id === session) return value
      }
    })

  /** Children that must be read after their parent, and the parent's Stat by which they were listed. */
  interface Below {
    readonly paths: ReadonlyArray<string>
    readonly listed?: { readonly path: string; readonly stat: Stat }
  }

  const below = (path: string, stat: Stat, reach: Reach): Effect.Effect<Below, OperationError> => {
    if (reach === "given" || !descends(path)) return Effect.succeed({ paths: [] })
    const cached = (tree.children(path) ?? []).map((name) => ZnodePath.join(path, name))
    if (tree.isListed(path, stat)) return Effect.succeed({ paths: reach === "all" ? cached : [] })
    if (stat.numChildren === 0) return Effect.succeed({ paths: cached, listed: { path, stat } })
    return notBehind(zk.getChildrenWithStat(path)).pipe(
      Effect.map(({ children, stat }) => {
        const now = new Set(
          children.map((name) => ZnodePath.join(path, name))
            .filter((child) => ZnodePath.problemOf(child) === undefined && selects(child))
        )
        const before = new Set(cached)
        const appeared = [...now].filter((child) => !before.has(child))
        const remaining = reach === "all" ? cached : cached.filter((child) => !now.has(child))
        return { paths: [...appeared, ...remaining], listed: { path, stat } }
      }),
      Effect.catchTag(["NoNode", "NoAuth"], () => Effect.succeed<Below>({ paths: [] }))
    )
  }

  /** The highest one that is missing between the root and a path. From above: paths may be deep, trees are not. */
  const topmostMissing = (path: string): string => {
    if (!tree.has(root)) return root
    for (let slash = path.indexOf("/", root.length + 1); slash !== -1; slash = path.indexOf("/", slash + 1)) {
      const above = path.slice(0, slash)
      if (!tree.has(above)) return above
    }
    return path
  }

  /** Reads level by level, parents before their children. */
  const walk = (start: ReadonlyArray<string>, startReach: Reach): Effect.Effect<void, FollowError> =>
    Effect.gen(function*() {
      let level = start
      let reach = startReach
      let parents: ReadonlyArray<Below> = []
      const orphans = new Set<string>()
      while (level.length > 0) {
        if (each) yield* Effect.forEach(level, arm, { discard: true })
        const readings = yield* notBehind(zk.getMany(level))
        for (const { listed } of parents) if (listed !== undefined) tree.listed(listed.path, listed.stat)
        const present: Array<{ readonly path: string; readonly stat: Stat }> = []
        for (const [index, path] of level.entries()) {
          const reading = readings[index]
          if (reading === undefined) continue
          if (Result.isFailure(reading)) {
            if (reading.failure._tag === "NoNode") tree.remove(path)
            else if (path === root && taken === 0) return yield* reading.failure
            else tree.hide(path)
          } else if (tree.put(path, reading.success)) present.push({ path, stat: reading.success.stat })
          else if (reach !== "all") orphans.add(topmostMissing(path))
        }
        if (each) yield* disarm
        parents = yield* Effect.forEach(present, ({ path, stat }) => below(path, stat, reach), {
          concurrency: listsTogether
        })
        level = parents.flatMap(({ paths }) => paths)
        reach = "all"
      }
      for (const { listed } of parents) if (listed !== undefined) tree.listed(listed.path, listed.stat)
      // Its parent was read a moment earlier, when it was not there.
      if (orphans.size > 0) yield* walk([...orphans], "all")
    })

  const round: Effect.Effect<void, FollowError> = Effect.suspend(() => {
    work.closeUnsafe()
    const until = told
    const all = everything
    const paths = [...dirty].toSorted()
    everything = false
    dirty = new Set()
    return Effect.andThen(
      all ? walk([root], "all") : walk(paths, each ? "appeared" : "given"),
      Effect.sync(() => {
        taken = until
        const done = waiting.filter((each) => each.until <= taken)
        waiting = waiting.filter((each) => each.until > taken)
        for (const each of done) Deferred.doneUnsafe(each.done, Effect.void)
      })
    ).pipe(Effect.tapError(() => Effect.sync(markAll)))
  })

  const working = Effect.forever(Effect.andThen(work.await, persevere(zk, round)))

  // -------------------------------------------------------------------------
  // life
  // -------------------------------------------------------------------------

  let failure: FollowError | undefined
  let isClosed = false
  const settled = Effect.suspend(() => {
    // What happens from now on is not told any more.
    if (isClosed) return Effect.interrupt
    if (failure !== undefined) return Effect.fail(failure)
    if (taken >= told) return Effect.void
    const done = Deferred.makeUnsafe<void, FollowError>()
    waiting.push({ until: told, done })
    return Deferred.await(done)
  })

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      for (const { done } of waiting) Deferred.doneUnsafe(done, Effect.interrupt)
    })
  )
  yield* Effect.raceFirst(watching, working).pipe(
    Effect.catch((error) =>
      Effect.sync(() => {
        failure = error
        for (const { done } of waiting) Deferred.doneUnsafe(done, Effect.fail(error))
        waiting = []
        options.failed(error)
      })
    ),
    Effect.forkScoped({ startImmediately: true })
  )
  yield* settled
  return { settled }
})
