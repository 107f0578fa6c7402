/**
 * Clients change a few znodes and watch them in every way there is. In the end
 * every znode is changed once more: whoever watches must know of it.
 *
 * What a consumer should have seen is taken from the client's wire: events are
 * the server's affair, and each that arrives belongs to those that watch then.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as WatchEvent from "../../../src/WatchEvent.ts"
import type { Participant, Run, Workload } from "../Simulation.ts"

const names = ["a", "b", "c", "d"] as const
type Name = typeof names[number]
const root = "/w"

/** Which state of a znode, or of its children, somebody saw. */
type Version = string

const absent: Version = "absent"

interface Read {
  readonly order: number
  readonly name: Name
  readonly what: "data" | "children"
  readonly version: Version
}

interface Once {
  readonly name: Name
  readonly what: "data" | "children"
  readonly armed: number
  readonly version: Version
  readonly session: bigint | undefined
  fired: number
  outcome: string | undefined
  isLeft: boolean
}

interface Follower {
  readonly name: Name
  readonly what: "data" | "children"
  last: Version | undefined
  zxid: bigint
  isLeft: boolean
}

interface Element {
  readonly link: number
  readonly at: number
  readonly tag: WatchEvent.WatchEvent["_tag"]
  /** The server's. */
  readonly path: string
}

interface Raw {
  readonly path: string
  readonly mode: "persistent" | "recursive"
  readonly link: number
  readonly from: number
  to: number
  readonly elements: Array<Element>
}

interface Watcher {
  readonly participant: Participant
  /** How this client names the root. */
  readonly base: string
  readonly reads: Array<Read>
  readonly onces: Array<Once>
  readonly followers: Array<Follower>
  readonly raws: Array<Raw>
}

const versionOf = (stat: { readonly czxid: bigint; readonly mzxid: bigint }): Version => `${stat.czxid}.${stat.mzxid}`
const childrenVersionOf = (stat: { readonly czxid: bigint; readonly pzxid: bigint }): Version =>
  `${stat.czxid}.${stat.pzxid}`

export const watchesWorkload: Workload = {
  name: "watches",
  make: (run) => {
    run.pace = 700
    const watchers = new Map<Participant, Watcher>()
    let marks = 0
    let quiet = 0
    let checked = 0
    const last = { changedAt: Infinity }

    const watcherOf = (participant: Participant): Watcher => {
      const known = watchers.get(participant)
      if (known !== undefined) return known
      const base = participant.randomness.chance(0.5) ? root : ""
      const watcher = { participant, base, reads: [], onces: [], followers: [], raws: [] }
      watchers.set(participant, watcher)
      return watcher
    }

    const serverPath = ({ base }: Watcher, path: string): string => base === "" ? (path === "/" ? root : root + path) : path

    // -----------------------------------------------------------------------
    // what clients do
    // -----------------------------------------------------------------------

    const change = ({ base, participant: { randomness, zk } }: Watcher): Effect.Effect<void> => {
      const path = `${base}/${randomness.pick(names)}`
      const data = `<w${++marks}>`
      const kind = randomness.below(10)
      if (kind < 4) return Effect.ignore(zk.set(path, data))
      if (kind < 6) return Effect.ignore(zk.create(path, data))
      if (kind < 7) return Effect.ignore(zk.delete(path))
      const child = `${path}/${randomness.pick(["x", "y"])}`
      return kind < 9 ? Effect.ignore(zk.create(child, data)) : Effect.ignore(zk.delete(child))
    }

    const read = (watcher: Watcher): Effect.Effect<void> => {
      const { base, participant, reads } = watcher
      const name = participant.randomness.pick(names)
      return participant.zk.get(`${base}/${name}`).pipe(
        Effect.map(({ stat }) => versionOf(stat)),
        Effect.catchTag("NoNode", () => Effect.succeed(absent)),
        Effect.map((version) => {
          reads.push({ order: participant.next, name, what: "data", version })
        }),
        Effect.ignore
      )
    }

    const raw = (watcher: Watcher): Effect.Effect<void> =>
      Effect.suspend(() => {
        const { base, participant } = watcher
        const { loop, randomness, tap, zk } = participant
        const mode = randomness.pick(["persistent", "recursive"])
        const path = mode === "recursive" ? base || "/" : `${base}/${randomness.pick(names)}`
        const watch: Raw = {
          path: serverPath(watcher, path),
          mode,
          link: tap.current,
          from: tap.seen.length,
          to: Infinity,
          elements: []
        }
        watcher.raws.push(watch)
        return Stream.runForEach(zk.watch(path, mode), (event) =>
          Effect.sync(() => {
            const at = { link: tap.current, at: loop.now }
            watch.elements.push(
              event._tag === "Gap"
                ? { ...at, tag: "Gap", path: "" }
                : { ...at, tag: event._tag, path: serverPath(watcher, event.path) }
            )
          })).pipe(
          Effect.onExit(() => Effect.sync(() => {
            watch.to = tap.seen.length
          })),
          Effect.catch((error) => Effect.sync(() => run.violation("W7", `a watch ended with ${error.message}`)))
        )
      })

    const follow = (watcher: Watcher): Effect.Effect<void> =>
      Effect.suspend(() => {
        const { base, followers, participant, reads } = watcher
        const { randomness, zk } = participant
        const name = randomness.pick(names)
        const what = randomness.pick(["data", "children"])
        const follower: Follower = { name, what, last: undefined, zxid: -1n, isLeft: false }
        followers.push(follower)
        const path = `${base}/${name}`
        const seen = (version: Version, zxid: bigint) =>
          Effect.sync(() => {
            reads.push({ order: participant.next, name, what, version })
            if (version === follower.last) run.violation("W3", `changes of ${path} told ${version} twice`)
            if (version !== absent && zxid < follower.zxid) run.violation("S3", `changes of ${path} went back to ${version}`)
            if (version !== absent) follower.zxid = zxid
            follower.last = version
          }).pipe(Effect.andThen(isSlow ? participant.pause : Effect.void))
        const isSlow = randomness.chance(0.3)
        const followed = what === "data"
          ? Stream.runForEach(zk.changes(path), Option.match({
            onNone: () => seen(absent, 0n),
            onSome: ({ stat }) => seen(versionOf(stat), stat.mzxid)
          }))
          : Stream.runForEach(zk.childrenChanges(path), Option.match({
            onNone: () => seen(absent, 0n),
            onSome: ({ stat }) => seen(childrenVersionOf(stat), stat.pzxid)
          }))
        return followed.pipe(
          Effect.onExit(() => Effect.sync(() => {
            follower.isLeft = true
          })),
          Effect.catch((error) => Effect.sync(() => run.violation("W7", `changes of ${path} ended with ${error.message}`)))
        )
      })

    const once = (watcher: Watcher): Effect.Effect<void> =>
      Effect.scoped(Effect.gen(function*() {
        const { base, onces, participant } = watcher
        const { randomness, zk } = participant
        const name = randomness.pick(names)
        const path = `${base}/${name}`
        const kind = randomness.pick(["get", "exists", "children"])
        const what = kind === "children" ? "children" : "data"
        const registered = (version: Version): Once => {
          const entry: Once = { name, what, armed: participant.next, version, session: participant.session, fired: Infinity, outcome: undefined, isLeft: false }
          onces.push(entry)
          return entry
        }
        const armed = kind === "get"
          ? Effect.map(zk.getAndWatch(path), ({ event, value }) => ({ event, entry: registered(versionOf(value.stat)) }))
          : kind === "exists"
          ? Effect.map(zk.existsAndWatch(path), ({ event, value }) => ({
            event,
            entry: registered(Option.match(value, { onNone: () => absent, onSome: versionOf }))
          }))
          : Effect.map(zk.getChildrenAndWatch(path), ({ event, value }) => ({
            event,
            entry: registered(childrenVersionOf(value.stat))
          }))
        const { entry, event } = yield* armed
        const { session, version } = entry
        yield* Effect.onExit(event, (exit) =>
          Effect.sync(() => {
            entry.fired = participant.next
            if (Exit.isSuccess(exit)) {
              entry.outcome = exit.value._tag
              const now = currentVersion(run, name, what)
              if (version !== absent && now === version) {
                run.violation("W4", `a watch of the ${what} of ${name} told of ${exit.value._tag}, and it is as it was: ${now}`)
              }
              if (participant.session !== session) {
                run.violation("W7", `a watch of session ${session} told of ${exit.value._tag} in session ${participant.session}`)
              }
              if (exit.value.path !== path) run.violation("W4", `a watch of ${path} told of ${exit.value.path}`)
            } else if (Exit.hasInterrupts(exit)) {
              entry.isLeft = true
            } else {
              entry.outcome = Option.getOrThrow(Exit.findErrorOption(exit)).reason._tag
            }
          }))
      })).pipe(Effect.ignore)

    // -----------------------------------------------------------------------
    // the course of things
    // -----------------------------------------------------------------------

    const surely = (attempt: Effect.Effect<unknown, { readonly _tag: string }>): Effect.Effect<void> =>
      attempt.pipe(
        Effect.asVoid,
        Effect.catch(({ _tag }) =>
          _tag === "NodeExists" || _tag === "NoNode" ? Effect.void : Effect.andThen(Effect.sleep(500), surely(attempt)))
      )

    const bump = ({ base, participant: { zk } }: Watcher): Effect.Effect<void> =>
      Effect.forEach(names, (name) => {
        const path = `${base}/${name}`
        return Effect.all([
          surely(zk.create(path)),
          surely(zk.set(path, "last")),
          surely(zk.create(`${path}/last`)),
          surely(zk.delete(`${path}/last`))
        ], { discard: true })
      }, { discard: true })

    return {
      prepare: (zk) => Effect.andThen(zk.create(root), Effect.forEach(names, (name) => zk.create(`${root}/${name}`))),
      options: (participant) => ({ hosts: `${run.hosts}${watcherOf(participant).base === "" ? root : ""}` }),
      client: (participant) =>
        Effect.gen(function*() {
          const watcher = watcherOf(participant)
          const { randomness } = participant
          const scope = yield* Scope.make()
          const watch = (): Effect.Effect<void> => {
            const begun = [once, once, follow, raw][randomness.below(4)]?.(watcher) ?? Effect.void
            return randomness.chance(0.3)
              ? Effect.asVoid(Effect.timeoutOption(begun, randomness.between(0, 4000)))
              : begun
          }
          while (!participant.isOver) {
            yield* participant.pause
            yield* participant.now
            const kind = randomness.below(8)
            if (kind < 2) yield* Effect.forkIn(watch(), scope, { startImmediately: true })
            else if (kind < 6) yield* change(watcher)
            else yield* read(watcher)
          }
          quiet++
          while (quiet < run.participants.length) yield* Effect.sleep(50)
          yield* Effect.sleep(run.recovery)
          checkFollowers(run, watcher)
          checked++
          while (checked < run.participants.length) yield* Effect.sleep(50)
          if (participant.index === 0) {
            const at = participant.loop.now
            yield* bump(watcher)
            last.changedAt = at
          }
          while (last.changedAt === Infinity) yield* Effect.sleep(50)
          yield* Effect.sleep(1000 + 4 * run.pace)
          checkEnd(run, watcher, last.changedAt)
          yield* Scope.close(scope, Exit.void)
          const { sessionId } = yield* Effect.map(participant.zk.session, ({ id }) => ({ sessionId: id }))
          yield* participant.zk.sync("/")
          for (const { server } of run.ensemble.members) {
            const left = server.watches.filter((each) => each.sessionId === sessionId)
            if (left.length > 0) {
              run.violation("W8", `client${participant.index} left ${left.map(({ list, path }) => `${list} ${path}`).join()}`)
            }
          }
        }),
      check: () => {
        for (const watcher of watchers.values()) {
          checkReads(run, watcher)
          for (const watch of watcher.raws) checkRaw(run, watcher, watch)
        }
      },
      calls: () => marks
    }
  }
}

const currentVersion = (run: Run, name: Name, what: "data" | "children"): Version => {
  const stat = run.ensemble.leader.server.tree.get(`${root}/${name}`)?.stat
  return stat === undefined ? absent : what === "data" ? versionOf(stat) : childrenVersionOf(stat)
}

/** Whoever follows a znode knows its last state. */
const checkFollowers = (run: Run, { followers, participant }: Watcher): void => {
  const who = `client${participant.index}`
  for (const { isLeft, last, name, what } of followers) {
    if (isLeft) continue
    const now = currentVersion(run, name, what)
    if (last !== now) run.violation("W5", `${who}: the last that was told of the ${what} of ${name} is ${last}, and it is ${now}`)
  }
}

/** Everything has come to rest, and everything was changed since. */
const checkEnd = (run: Run, watcher: Watcher, changedAt: number): void => {
  const { onces, participant, raws } = watcher
  const who = `client${participant.index}`
  checkFollowers(run, watcher)
  for (const { isLeft, name, outcome, version, what } of onces) {
    if (!isLeft && outcome === undefined) {
      run.violation("W5", `${who}: a watch of the ${what} of ${name}, armed at ${version}, never fired`)
    }
    const isLegal = outcome === undefined || outcome === "SessionExpired" || outcome === "NodeDeleted"
      || (what === "children" ? outcome === "NodeChildrenChanged" : outcome === "NodeCreated" || outcome === "NodeDataChanged")
    if (!isLegal) run.violation("W4", `${who}: a watch of the ${what} of ${name} ended with ${outcome}`)
  }
  for (const { elements, mode, path, to } of raws) {
    if (to === Infinity && !elements.some(({ at, tag }) => at >= changedAt && tag !== "Gap")) {
      run.violation("W5", `${who}: the ${mode} watch of ${path} was not told of the last change`)
    }
  }
}

/** Nothing newer than what a watch was armed with is seen before its event. */
const checkReads = (run: Run, { onces, participant, reads }: Watcher): void => {
  for (const { armed, fired, name, outcome, version, what } of onces) {
    for (const read of reads) {
      if (read.order < armed || read.order > fired || read.name !== name || read.what !== what) continue
      if (read.version !== version) {
        run.violation(
          "W1",
          `client${participant.index} saw the ${what} of ${name} at ${read.version} before its watch, armed at ${version}, told of it (${outcome})`
        )
        break
      }
    }
  }
}

/** On each connection: all that came in, in its order; and a gap wherever there is a new one. */
const checkRaw = (run: Run, { participant: { index, states, tap } }: Watcher, watch: Raw): void => {
  const about = `client${index}: the ${watch.mode} watch of ${watch.path}`
  const matches = (path: string, tag: string): boolean =>
    watch.mode === "persistent"
      ? path === watch.path
      : tag !== "NodeChildrenChanged" && (path === watch.path || path.startsWith(`${watch.path}/`))
  for (let link = watch.link; link <= tap.current; link++) {
    const told: Array<string> = []
    tap.seen.forEach((seen, at) => {
      if (seen._tag !== "Told" || seen.link !== link || at < watch.from || at >= watch.to) return
      const { reply } = seen
      if (reply._tag !== "Notification") return
      const tag = WatchEvent.tagOf(reply.type) ?? "unknown"
      if (matches(reply.path, tag)) told.push(`${tag} ${reply.path}`)
    })
    const seen = watch.elements.filter((each) => each.link === link && each.tag !== "Gap").map(({ path, tag }) => `${tag} ${path}`)
    // A znode that is listed twice after a reconnect is told to be gone twice, which is once too often.
    const once = told.filter((each, at) => !each.startsWith("NodeDeleted") || told[at - 1] !== each)
    const isAllOf = (all: ReadonlyArray<string>) => {
      const expected = watch.mode === "persistent" || seen.length === 0 ? all : all.slice(all.length - seen.length)
      return seen.length === 0 && watch.mode === "recursive" || expected.join() === seen.join()
    }
    if (!isAllOf(told) && !isAllOf(once)) {
      return run.violation("W2", `${about} was told [${seen.join()}] on connection ${link} where [${told.join()}] came in`)
    }
    const announced = states.some(({ link: at, seen: position, state }) =>
      at === link && link > watch.link && state._tag === "Connected" && position > watch.from && position < watch.to
    )
    if (announced && !watch.elements.some((each) => each.link === link && each.tag === "Gap")) {
      return run.violation("W6", `${about} was not told of the gap before connection ${link}`)
    }
  }
}
