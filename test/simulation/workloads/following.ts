/**
 * Functions that are called with a znode, with its children, and with its
 * children once they are quiet, while everyone changes both. Each is called in
 * the order of what happened, with what is true of it; in the end with the
 * newest. No watch is left of those that have ended.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ChildrenWatch from "../../../src/recipe/ChildrenWatch.ts"
import * as DataWatch from "../../../src/recipe/DataWatch.ts"
import * as PatientChildrenWatch from "../../../src/recipe/PatientChildrenWatch.ts"
import type { NodeEvent } from "../../../src/WatchEvent.ts"
import type { Stat } from "../../../src/Znode.ts"
import { type OperationError, ZooKeeper } from "../../../src/ZooKeeper.ts"
import type { NoAuth } from "../../../src/ZooKeeperError.ts"
import { checkNothingLeft, Meeting } from "../Holding.ts"
import type { Participant, Workload } from "../Simulation.ts"

const path = "/followed"

/** A state of the znode, or of its children. */
type Version = string

const absent: Version = "absent"

type Part = "data" | "children"

const versionOf = (part: Part, stat: Stat | undefined): Version =>
  stat === undefined ? absent : `${stat.czxid}.${part === "data" ? stat.mzxid : stat.pzxid}`

/** When the leader had a version of the children, in ms since the beginning. */
interface Period {
  readonly version: Version
  readonly from: number
  to: number
}

/** What a function was told. */
class Listener {
  last: Version | undefined
  private readonly participant: Participant
  private readonly violation: (property: string, detail: string) => void
  private readonly isSlow: boolean
  private stat: Stat | undefined
  private newest = 0n
  private isBusy = false
  private hasStopped = false

  constructor(participant: Participant, isSlow: boolean, violation: (property: string, detail: string) => void) {
    this.participant = participant
    this.isSlow = isSlow
    this.violation = (property, detail) => violation(property, `client${participant.index} ${detail}`)
  }

  /** One call, which may be the last: `false` ends it. */
  call(part: Part, stat: Stat | undefined, event: Option.Option<NodeEvent> | undefined, goesOn: boolean): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const version = versionOf(part, stat)
      if (this.isBusy) this.violation("F1", `is told of ${version} while it is being told of ${this.last}`)
      if (this.hasStopped) this.violation("F2", `is told of ${version} after it has stopped`)
      if (version === this.last) this.violation("W3", `is told of ${version} twice`)
      const zxid = stat === undefined ? this.newest : part === "data" ? stat.mzxid : stat.pzxid
      if (zxid < this.newest) this.violation("S3", `is told of ${version} after ${this.last}`)
      if (event !== undefined) this.checkEvent(stat, event)
      this.newest = zxid
      this.last = version
      this.stat = stat
      this.isBusy = true
      return Effect.map(this.isSlow ? this.participant.pause : Effect.void, () => {
        this.isBusy = false
        this.hasStopped = !goesOn
        return goesOn
      })
    })
  }

  private checkEvent(stat: Stat | undefined, event: Option.Option<NodeEvent>): void {
    const expected = this.last === undefined
      ? "nothing"
      : stat === undefined
      ? "NodeDeleted"
      : stat.czxid === this.stat?.czxid
      ? "NodeDataChanged"
      : "NodeCreated"
    const found = Option.match(event, { onNone: () => "nothing", onSome: ({ _tag }) => _tag })
    if (found !== expected) this.violation("F3", `is told of ${found}, and it was ${expected}`)
  }
}

const never = () => false

type Watching = Effect.Effect<void, NoAuth | OperationError, ZooKeeper>

const watchData = (told: Listener, mayEnd: () => boolean): Watching =>
  DataWatch.run(path, (znode, event) => told.call("data", Option.getOrUndefined(znode)?.stat, event, !mayEnd()))

const watchChildren = (told: Listener, mayEnd: () => boolean): Watching =>
  ChildrenWatch.run(path, (children) => told.call("children", Option.getOrUndefined(children)?.stat, undefined, !mayEnd()))

export const followingWorkload: Workload = {
  name: "following",
  make: (run) => {
    run.pace = 600
    const meeting = new Meeting(run)
    const periods: Array<Period> = []
    let wasAbsent = false
    let calls = 0
    const { every, lag, members } = run.faults
    const isBehind = members > 1 && (lag > 0 || every.isolate !== Infinity)

    const now = (part: Part): Version => versionOf(part, run.ensemble.leader.server.tree.get(path)?.stat)

    run.ensemble.observers.push(() => {
      const version = now("children")
      const current = periods.at(-1)
      if (version === current?.version) return
      if (current !== undefined) current.to = run.world.now
      if (version === absent && current !== undefined) wasAbsent = true
      periods.push({ version, from: run.world.now, to: Infinity })
    })

    const listener = (participant: Participant): Listener =>
      new Listener(participant, participant.randomness.chance(0.3), (property, detail) => run.violation(property, detail))

    const change = ({ randomness, zk }: Participant): Effect.Effect<void> => {
      calls++
      const child = `${path}/${randomness.pick(["a", "b", "c"])}`
      const kind = randomness.below(12)
      return Effect.ignore(
        kind < 4
          ? zk.set(path, `<f${calls}>`)
          : kind < 8
          ? zk.create(child)
          : kind < 10
          ? zk.delete(child)
          : kind < 11
          ? zk.create(path)
          : Effect.andThen(zk.deleteRecursive(path), randomness.chance(0.5) ? zk.create(path) : Effect.void)
      )
    }

    const watchExisting = (told: Listener, mayEnd: () => boolean): Watching =>
      Effect.suspend(() => {
        let hasEnded = false
        return Effect.andThen(
          DataWatch.runExisting(path, ({ stat }, event) => {
            hasEnded = mayEnd()
            return told.call("data", stat, event, !hasEnded)
          }),
          Effect.sync(() => {
            if (!hasEnded && !wasAbsent) run.violation("F4", "a watch of what exists has ended, and it was there all the time")
          })
        )
      })

    /** In one session only: it is told of none in another. */
    const watchInSession = (participant: Participant, told: Listener, mayEnd: () => boolean): Watching =>
      Effect.flatMap(participant.zk.session, ({ id }) => {
        const sessionNow = Effect.map(participant.zk.state, (state) => state._tag === "Connected" ? state.sessionId : undefined)
        return ChildrenWatch.run(
          path,
          (children) =>
            Effect.flatMap(sessionNow, (session) => {
              if (session !== undefined && session !== id) run.violation("F5", `a watch of session ${id} goes on in ${session}`)
              return told.call("children", Option.getOrUndefined(children)?.stat, undefined, !mayEnd())
            }),
          { allowSessionLost: false }
        ).pipe(
          Effect.catchTag("ConnectionError", (error) =>
            error.reason._tag !== "SessionExpired"
              ? Effect.fail(error)
              : Effect.map(sessionNow, (session) => {
                if (session === id) run.violation("F5", `a watch ends with session ${id}, which lives`)
              }))
        )
      })

    const checkQuiet = (who: string, stat: Stat, boundary: number): void => {
      if (isBehind) return
      const version = versionOf("children", stat)
      const period = periods.find((each) => each.version === version)
      const lasted = period === undefined ? 0 : Math.min(period.to, run.world.now) - period.from
      // Timers count in whole ms.
      if (lasted < boundary - 1) run.violation("F6", `${who} is told of ${version} as quiet, which it was for ${lasted} of ${boundary} ms`)
    }

    const watchQuiet = ({ index }: Participant, told: Listener, boundary: number, mayEnd: () => boolean): Watching =>
      Stream.runForEachWhile(PatientChildrenWatch.changes(path, { timeBoundary: boundary }), ({ stat }) => {
        checkQuiet(`client${index}`, stat, boundary)
        return told.call("children", stat, undefined, !mayEnd())
      })

    const becomesQuiet = ({ index }: Participant, boundary: number): Watching =>
      Effect.flatMap(PatientChildrenWatch.once(path, { timeBoundary: boundary }), ({ changed, stat }) => {
        checkQuiet(`client${index}`, stat, boundary)
        return Effect.map(changed, () => {
          if (now("children") === versionOf("children", stat)) run.violation("F7", `client${index} is told that ${path} has changed`)
        })
      })

    const watchAnything = (participant: Participant): Watching =>
      Effect.suspend(() => {
        const { randomness } = participant
        const told = listener(participant)
        const mayEnd = () => randomness.chance(0.1)
        const boundary = randomness.pick([50, 300, 1000])
        switch (randomness.below(6)) {
          case 0:
            return watchData(told, mayEnd)
          case 1:
            return watchExisting(told, mayEnd)
          case 2:
            return watchChildren(told, mayEnd)
          case 3:
            return watchInSession(participant, told, mayEnd)
          case 4:
            return watchQuiet(participant, told, boundary, mayEnd)
          default:
            return becomesQuiet(participant, boundary)
        }
      })

    const untilTheEnd = (watching: Watching): Watching =>
      Effect.catch(watching, (error) => Effect.sync(() => run.violation("W7", `a watch ended with ${error.message}`)))

    const surely = <A>(attempt: Effect.Effect<A, unknown>): Effect.Effect<A> =>
      Effect.catch(attempt, () => Effect.andThen(Effect.sleep(500), surely(attempt)))

    const use = (participant: Participant): Effect.Effect<void, unknown, Scope.Scope | ZooKeeper> =>
      Effect.gen(function*() {
        const { index, randomness, zk } = participant
        const kept = { data: listener(participant), children: listener(participant), quiet: listener(participant) }
        const watches = yield* Effect.forEach([
          watchData(kept.data, never),
          watchChildren(kept.children, never),
          watchQuiet(participant, kept.quiet, 300, never)
        ], (watching) => Effect.forkScoped(untilTheEnd(watching)))
        const come = Effect.suspend(() =>
          Effect.timeoutOption(untilTheEnd(watchAnything(participant)), randomness.between(0, randomness.pick([30, 1000, 5000])))
        )
        const changing = Effect.andThen(participant.pause, Effect.suspend(() => change(participant)))
        const isOver = () => participant.isOver
        yield* Effect.all([
          Effect.repeat(come, { until: isOver }),
          Effect.repeat(changing, { until: isOver })
        ], { concurrency: "unbounded" })
        yield* meeting.all
        yield* Effect.sleep(run.recovery)
        const compare = (when: string, versions: { readonly [Kind in keyof typeof kept]: Version }) => {
          for (const kind of ["data", "children", "quiet"] as const) {
            if (kept[kind].last !== versions[kind]) {
              run.violation("W5", `client${index}'s watch of ${kind} was told of ${kept[kind].last} last, ${when} it is ${versions[kind]}`)
            }
          }
        }
        if (index === 0) {
          yield* surely(zk.ensurePath(path))
          yield* surely(zk.set(path, "last"))
        }
        yield* meeting.all
        yield* Effect.sleep(1000)
        const quiet = now("children")
        compare("and", { data: now("data"), children: quiet, quiet })
        const { changed } = yield* PatientChildrenWatch.once(path, { timeBoundary: 50 })
        const waiting = yield* Effect.forkChild(changed)
        yield* meeting.all
        if (index === 0) yield* surely(zk.deleteRecursive(path))
        yield* Fiber.join(waiting)
        yield* Effect.sleep(1000)
        compare("and behind its deletion", { data: absent, children: absent, quiet })
        yield* Fiber.interruptAll(watches)
        yield* meeting.all
        yield* Effect.sleep(1000)
        checkNothingLeft(run, [path])
      })

    return {
      prepare: (zk) => zk.create(path),
      client: (participant) => Effect.suspend(() => Effect.provideService(use(participant), ZooKeeper, participant.zk)),
      check: () => undefined,
      calls: () => calls
    }
  }
}
