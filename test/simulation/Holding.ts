/**
 * What workloads of locks, permits and leadership have in common: holders that
 * say when they believe to hold, writes that require it, and what must be true
 * of all of that together.
 */
import * as Effect from "effect/Effect"
import type { Grant, Options as GrantOptions } from "../../src/recipe/Grant.ts"
import * as Transaction from "../../src/Transaction.ts"
import type * as Scope from "effect/Scope"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import type { Randomness } from "./Randomness.ts"
import type { Participant, Run } from "./Simulation.ts"

/** Where holders write, under the condition that they hold. */
export const guarded = "/guarded"

/** One holder's belief, from acquiring to the last time at which it asked and was told that it holds. */
export interface Hold {
  readonly client: number
  readonly grant: Grant
  /** Whose expiry it must foresee also where a server that has lost its leader answers pings. */
  readonly isStrict: boolean
  /** What is held, e.g. which of several locks, or which side of one. */
  readonly what: string
  readonly weight: number
  /** In ms since the beginning. */
  readonly from: number
  until: number
}

export interface Manner {
  readonly what: string
  readonly weight?: number
  readonly isStrict: boolean
  /** Whether the grant's loss is to interrupt what is done here. */
  readonly isProtected: boolean
}

/** Whether two cannot be held at a time. */
export type Excludes = (left: Hold, right: Hold) => boolean

export class Holding {
  readonly holds: Array<Hold> = []
  private readonly run: Run
  private readonly writers = new Map<string, Hold>()
  /** Znodes that were meddled with, and when first. */
  private readonly deleted = new Map<string, number>()

  constructor(run: Run) {
    this.run = run
  }

  readonly user = (participant: Participant, manner: Manner) => (grant: Grant): Effect.Effect<void> =>
    this.use(participant, grant, manner)

  /** What a holder does: for a while it believes, writes, and now and then forgets the time. */
  readonly use = (participant: Participant, grant: Grant, manner: Manner): Effect.Effect<void> =>
    Effect.gen({ self: this }, function*() {
      const { loop, randomness } = participant
      const { sessionTimeout } = this.run.faults
      const from = loop.now
      if (!(yield* grant.isValid)) return
      const { isStrict, weight = 1, what } = manner
      const hold: Hold = { client: participant.index, grant, isStrict, what, weight, from, until: from }
      this.holds.push(hold)
      const patience = randomness.between(0, randomness.pick([30, 300, 300, 2.5 * sessionTimeout]))
      // Once there are no faults, nobody keeps a crowd waiting.
      const end = from + (participant.isOver ? 0.1 : 1) * patience
      // Relies on being interrupted, and on nothing else.
      const isBlind = manner.isProtected && this.isCalm && randomness.chance(0.5)
      const step = randomness.pick([10, 50, 0.2 * sessionTimeout])
      while (true) {
        // A belief that is gone does not come back: what holds after asking held before.
        const at = loop.now
        if (yield* isBlind ? participant.zk.isAlive : grant.isValid) hold.until = at
        else if (manner.isProtected) return yield* this.awaitEnd(participant, grant)
        else return
        if (loop.now >= end) return
        if (!isBlind && randomness.chance(0.3)) yield* this.write(hold)
        else if (!this.isCalm && !participant.isOver && randomness.chance(0.04)) loop.stall(randomness.between(0, 1.5 * sessionTimeout))
        else yield* Effect.sleep(randomness.between(0, step))
      }
    })

  /** Where a process may stand still, what is due comes late: nobody but the clock can tell at once. */
  private get isCalm(): boolean {
    const { stall, suspend, wallClock } = this.run.faults.every
    return stall === Infinity && suspend === Infinity && wallClock === Infinity
  }

  /** Somebody who deletes what is not theirs. */
  readonly meddle = (participant: Participant, directory: string): Effect.Effect<void> =>
    Effect.gen({ self: this }, function*() {
      const { randomness, zk } = participant
      while (!participant.isOver) {
        yield* Effect.sleep(randomness.between(100, 1500))
        const [first] = this.holds.flatMap(({ grant, until }) => until > participant.loop.now - 1000 ? [grant.path] : []).toReversed()
        if (first === undefined || !first.startsWith(directory)) continue
        if (!this.deleted.has(first)) this.deleted.set(first, participant.loop.now)
        yield* Effect.ignore(zk.delete(first))
      }
    })

  /** Who knows that it no longer holds is interrupted. */
  private awaitEnd(participant: Participant, grant: Grant): Effect.Effect<never> {
    return Effect.andThen(Effect.sleep(200), Effect.sync(() => {
      this.run.violation("M10", `client${participant.index} goes on at ${participant.loop.now} ms, though ${grant.path} is lost`)
    })).pipe(Effect.andThen(Effect.never))
  }

  private write(hold: Hold): Effect.Effect<void> {
    return Effect.suspend(() => {
      const mark = `w${this.writers.size + 1}`
      this.writers.set(mark, hold)
      return Effect.ignore(hold.grant.guard([Transaction.set(guarded, `<${mark}>`)]))
    })
  }

  /** The belief of those who could not know that their session or znode had ended is no belief against them. */
  private get believed(): ReadonlyArray<Hold> {
    const { ensemble, faults } = this.run
    // A server that is cut off, or behind, answers for sessions that have expired.
    const isCut = faults.every.isolate !== Infinity || faults.members > 1 && faults.lag > 0
    const ends = new Map(ensemble.ended.map((end) => [end.session, end] as const))
    return this.holds.flatMap((hold) => {
      const deletedAt = this.deleted.get(hold.grant.path) ?? Infinity
      if (deletedAt <= hold.from) return []
      if (deletedAt < hold.until) return [{ ...hold, until: deletedAt }]
      const end = ends.get(hold.grant.sessionId)
      if (end === undefined || end.how === "closed" || end.how === "expired" && (hold.isStrict || !isCut)) return [hold]
      return end.at <= hold.from ? [] : [{ ...hold, until: Math.min(hold.until, end.at) }]
    }).toSorted((left, right) => left.from - right.from)
  }

  checkExclusion(excludes: Excludes, isInOrder: Excludes = excludes): void {
    const { believed } = this
    believed.forEach((first, index) => {
      for (const second of believed.slice(index + 1)) {
        if (!excludes(first, second)) continue
        if (second.from < first.until) {
          this.run.violation("M1", `both believe: ${show(first)}, and ${show(second)}`)
        }
        const isLater = second.grant.token > first.grant.token
        // Who goes on as a reader keeps its token.
        const isSame = second.grant.token === first.grant.token && second.client === first.client
        if (isInOrder(first, second) && !isLater && !isSame) {
          this.run.violation("M2", `token ${first.grant.token} first, then ${second.grant.token}: ${show(first)}, and ${show(second)}`)
        }
      }
    })
    for (const { at, error, marks } of this.run.ensemble.executed) {
      const writer = error === 0 && marks.length === 1 ? this.writers.get(marks[0] ?? "") : undefined
      if (writer === undefined) continue
      const next = this.holds.find((other) => isInOrder(writer, other) && other.grant.token > writer.grant.token && other.from < at)
      if (next !== undefined) this.run.violation("M3", `${show(writer)} writes at ${at} ms, when there was ${show(next)}`)
    }
  }

  /** Never more than so many permits are believed in. */
  checkPermits(permits: number): void {
    const { believed } = this
    for (const { from } of believed) {
      const there = believed.filter((hold) => hold.from <= from && from < hold.until)
      const taken = there.reduce((sum, { weight }) => sum + weight, 0)
      if (taken > permits) this.run.violation("M5", `${taken} of ${permits} permits at ${from} ms: ${there.map(show).join(", and ")}`)
    }
  }
}

const show = ({ client, from, grant, until, what }: Hold): string =>
  `client${client}, ${what} by ${grant.path} of session ${grant.sessionId.toString(16)} from ${from} to ${until} ms`

/** Everybody waits until all have come here; as often as they do. */
export class Meeting {
  private readonly run: Run
  private came = 0

  constructor(run: Run) {
    this.run = run
  }

  get all(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { length } = this.run.participants
      const enough = Math.ceil(++this.came / length) * length
      while (this.came < enough) yield* Effect.sleep(50)
    })
  }
}

/** When a grant counts as lost: each contender has its own idea. */
export const mannersOf = (randomness: Randomness): GrantOptions => ({
  validity: randomness.chance(0.4) ? "strict" : "connection",
  onSuspended: randomness.chance(0.2) ? "stop" : "hold"
})

/** Now and then an attempt is given up, at any moment of it. */
export const perhapsGivenUp = <A, E, R>(participant: Participant, attempt: Effect.Effect<A, E, R>): Effect.Effect<void, E, R> =>
  Effect.suspend(() => {
    const { randomness } = participant
    return randomness.chance(0.3)
      ? Effect.asVoid(Effect.timeoutOption(attempt, randomness.between(0, randomness.pick([3, 30, 300, 3000]))))
      : Effect.asVoid(attempt)
  })

/** Errors that a holder or a waiter may meet; that others come is a violation. */
export const expecting = <A, R>(
  run: Run,
  participant: Participant,
  tags: ReadonlyArray<string>,
  attempt: Effect.Effect<A, { readonly _tag: string; readonly message: string }, R>
): Effect.Effect<void, never, R> =>
  Effect.catch(Effect.asVoid(attempt), (error) =>
    Effect.sync(() => {
      if (!tags.includes(error._tag)) run.violation("errors", `client${participant.index} met ${error._tag}: ${error.message}`)
    }))

/** Nothing of a recipe is left where all sessions live and nobody uses it. */
export const checkNothingLeft = (run: Run, directories: ReadonlyArray<string>, isQuiet = true): void => {
  const { tree } = run.ensemble.leader.server
  for (const directory of directories) {
    const left = [...tree.get(directory)?.children ?? []]
    if (left.length > 0) run.violation("M9", `left in ${directory}: ${left.join()}`)
  }
  if (!isQuiet) return
  run.ensemble.members.forEach(({ server }, index) => {
    const left = server.watches.filter(({ path }) => directories.some((each) => path === each || path.startsWith(`${each}/`)))
    if (left.length > 0) run.violation("W8", `watches left at zk${index}: ${left.map(({ path }) => path).join()}`)
  })
}

/** Nothing that a recipe keeps beside its path is left where nobody uses it. */
export const checkNothingBeside = (run: Run, path: string): void => {
  const left = [...run.ensemble.leader.server.tree.get("/")?.children ?? []].filter((name) => `/${name}`.startsWith(`${path}-__`))
  if (left.length > 0) run.violation("M9", `left beside ${path}: ${left.join()}`)
}

/** Of those who wait no two wait for one znode whose path begins like that: unless so many may. */
export const checkHerd = (run: Run, beginning: string, most: (path: string) => number = () => 1): void => {
  const watchers = new Map<string, Set<bigint>>()
  const { tree } = run.ensemble.leader.server
  for (const { server } of run.ensemble.members) {
    for (const { path, sessionId } of server.watches) {
      if (!path.startsWith(beginning) || tree.get(path)?.stat.ephemeralOwner === sessionId) continue
      const sessions = watchers.get(path) ?? new Set()
      watchers.set(path, sessions.add(sessionId))
    }
  }
  for (const [path, sessions] of watchers) {
    if (sessions.size > most(path)) run.violation("herd", `${sessions.size} sessions wait for ${path}`)
  }
}

interface Failure {
  readonly _tag: string
  readonly message: string
}

/** What one of those who contend does: again and again while there are faults, and once in the end. */
export interface Contender {
  readonly attempt: Effect.Effect<unknown, Failure>
  readonly last: Effect.Effect<unknown, Failure>
  /** While the others do that. */
  readonly background?: Effect.Effect<unknown, Failure>
  /** When nobody has it, or wants it. */
  readonly quiet?: Effect.Effect<void>
}

/**
 * One or two in each client contend, and give up at any moment. Then all is
 * over, nothing is left, and everybody gets it once more.
 */
export const contending = (run: Run, settings: {
  readonly directories: ReadonlyArray<string>
  /** Whether nobody watches when nobody contends. */
  readonly isQuiet?: boolean
  readonly make: (participant: Participant) => Effect.Effect<Contender, Failure, ZooKeeper>
}) => {
  const meeting = new Meeting(run)
  const contend = (participant: Participant): Effect.Effect<Contender, Failure, Scope.Scope> =>
    Effect.gen(function*() {
      const contender = yield* Effect.provideService(settings.make(participant), ZooKeeper, participant.zk)
      if (contender.background !== undefined) yield* Effect.forkScoped(expecting(run, participant, [], contender.background))
      while (!participant.isOver) {
        yield* participant.pause
        yield* expecting(
          run,
          participant,
          ["AcquireTimeout", "GrantLost", "Resigned"],
          perhapsGivenUp(participant, contender.attempt)
        )
      }
      return contender
    })
  return (participant: Participant): Effect.Effect<void, Failure, Scope.Scope> =>
    Effect.gen(function*() {
      const contenders = yield* Effect.all(
        Array.from({ length: 1 + participant.randomness.below(2) }, () => contend(participant)),
        { concurrency: "unbounded" }
      )
      yield* meeting.all
      yield* Effect.sleep(run.recovery)
      checkNothingLeft(run, settings.directories, settings.isQuiet)
      for (const { quiet } of contenders) if (quiet !== undefined) yield* quiet
      yield* meeting.all
      yield* Effect.forEach(
        contenders,
        ({ last }) => Effect.retry(last, { while: ({ _tag }) => _tag === "GrantLost" }),
        { concurrency: "unbounded" }
      )
    })
}
