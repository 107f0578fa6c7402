/**
 * One run: clients of a workload on one ensemble, with the faults that the seed
 * draws; then without faults, when everything must come to its end; then the
 * properties. The run is one synchronous call.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { SessionState } from "../../src/SessionState.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { Ensemble } from "./Ensemble.ts"
import { EventLoop, withMicrotasks } from "./EventLoop.ts"
import { draw, type Faults, none } from "./Faults.ts"
import { Network, Wiretap } from "./Network.ts"
import { checkWire } from "./Properties.ts"
import type { Randomness } from "./Randomness.ts"
import { World } from "./World.ts"

export interface Violation {
  /** Of reliability.md § 3, where it is one of those. */
  readonly property: string
  readonly detail: string
}

export interface Result {
  readonly seed: number
  readonly workload: string
  readonly violations: ReadonlyArray<Violation>
  /** Equal for equal runs. */
  readonly hash: string
  readonly trace: ReadonlyArray<string>
  readonly statistics: { readonly calls: number; readonly frames: number; readonly faults: Faults }
}

/** What a workload is, for one run. */
export interface Program {
  /** Before there are faults, by a client of its own. */
  readonly prepare?: (zk: ZooKeeper.Service) => Effect.Effect<void, unknown>
  /** One client; ends by itself soon after {@link Run.isOver}. */
  readonly client: (participant: Participant) => Scoped<void>
  /** Besides {@link Participant.variety}. */
  readonly options?: (participant: Participant) => Partial<ZooKeeper.Options>
  /** The program opens its clients itself, one after the other. */
  readonly opensItself?: boolean
  /** When all have ended, by a client of its own. */
  readonly conclude?: (zk: ZooKeeper.Service) => Effect.Effect<void, unknown>
  /** Properties of what was recorded. */
  readonly check: () => void
  readonly calls: () => number
}

type Scoped<A> = Effect.Effect<A, unknown, Scope.Scope>

export interface Workload {
  readonly name: string
  /** In ms: how long there are faults. */
  readonly duration?: number
  /** In one run of six there are four clients to so many; otherwise two or three. */
  readonly crowd?: number
  /** So many clients, whatever the seed says. */
  readonly clients?: number
  readonly make: (run: Run) => Program
}

/** One sample of what a client believes about its session. */
export interface Belief {
  readonly at: number
  readonly session: bigint
  readonly isAlive: boolean
}

export class Participant {
  readonly index: number
  readonly loop: EventLoop
  readonly tap = new Wiretap()
  readonly randomness: Randomness
  readonly beliefs: Array<Belief> = []
  /** States as they were announced, and the number of the connection then. */
  readonly states: Array<{ readonly at: number; readonly state: SessionState; readonly link: number; readonly seen: number; readonly order: number }> = []
  private readonly run: Run
  private client: ZooKeeper.Service | undefined
  private order = 0

  constructor(run: Run, index: number) {
    this.run = run
    this.index = index
    this.loop = new EventLoop(run.world, `client${index}`)
    this.randomness = run.world.randomness(`client ${index}`)
  }

  get isOver(): boolean {
    return this.run.isOver
  }

  /** What the client can do. */
  get zk(): ZooKeeper.Service {
    if (this.client === undefined) throw new Error("there is no client yet")
    return this.client
  }

  /** The session that the newest handshake gave, as the wire shows it. */
  get session(): bigint | undefined {
    for (let at = this.tap.seen.length - 1; at >= 0; at--) {
      const seen = this.tap.seen[at]
      if (seen?._tag === "Greeted") return seen.response.timeOut > 0 ? seen.response.sessionId : undefined
    }
    return undefined
  }

  /** Positions in the order in which this client came to know of things. */
  get next(): number {
    return this.order++
  }

  /** A client that ends with its scope; a participant has one at a time. */
  open(options: Partial<ZooKeeper.Options> = {}): Scoped<ZooKeeper.Service> {
    const { loop, run, tap } = this
    return Effect.gen({ self: this }, function*() {
      tap.seen.push({ _tag: "Began", link: tap.current, at: loop.now, resumed: options.resume, options })
      const zk = yield* run.connect(loop, tap, options)
      this.client = zk
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(this.now, this.sleepABit)))
      yield* Effect.forkScoped(
        Stream.runForEach(zk.states, (state) =>
          Effect.sync(() => {
            this.states.push({ at: loop.now, state, link: tap.current, seen: tap.seen.length, order: this.next })
          })),
        { startImmediately: true }
      )
      return zk
    })
  }

  private readonly sleepABit = Effect.suspend(() =>
    Effect.sleep(this.run.faults.sessionTimeout * this.randomness.between(0.03, 0.15))
  )

  /** Limits and modes that a client may be used with; each participant draws its own. */
  get variety(): Partial<ZooKeeper.Options> {
    const { randomness } = this
    return {
      failFast: randomness.chance(0.1),
      ...randomness.chance(0.2) ? { requestTimeout: randomness.between(0.3, 2) * this.run.faults.sessionTimeout } : {},
      ...randomness.chance(0.2) ? { maxInFlight: 1 + randomness.below(3) } : {},
      ...randomness.chance(0.2) ? { auth: [{ scheme: "digest", credential: "simulated:secret" }] } : {}
    }
  }

  /** Waits between operations. */
  get pause(): Effect.Effect<void> {
    return Effect.suspend(() => Effect.sleep(this.randomness.between(0, this.run.pace)))
  }

  /** What is recorded with every call; also asks whether the session is alive. */
  get now(): Effect.Effect<{ readonly client: number; readonly session: bigint | undefined; readonly at: number }> {
    return Effect.map(Effect.all([this.zk.state, this.zk.isAlive]), ([state, isAlive]) => {
      const session = state._tag === "Connected" || state._tag === "Suspended" ? state.sessionId : undefined
      if (session !== undefined) this.beliefs.push({ at: this.loop.now, session, isAlive })
      return { client: this.index, session, at: this.loop.now }
    })
  }
}

/** In ms. */
const liveness = 60_000

export class Run {
  readonly world: World
  readonly faults: Faults
  readonly ensemble: Ensemble
  readonly network: Network
  readonly randomness: Randomness
  readonly participants: Array<Participant> = []
  readonly violations: Array<Violation> = []
  /** In ms: clients wait up to this long between operations. */
  pace = 1500
  isOver = false

  constructor(seed: number, keepsTrace: boolean) {
    this.world = new World(seed, keepsTrace)
    this.randomness = this.world.randomness("run")
    this.faults = draw(this.world.randomness("faults"))
    this.ensemble = new Ensemble(this.world, this.faults)
    this.network = new Network(this.world, this.ensemble, this.faults)
  }

  violation(property: string, detail: string): void {
    this.violations.push({ property, detail })
  }

  /** In ms: what a client may take at most to notice that its connection is dead, and to have another. */
  get recovery(): number {
    return 1.5 * this.faults.sessionTimeout + 8000
  }

  get hosts(): string {
    return this.network.hosts.join()
  }

  /** A client that ends with its scope. */
  connect(loop: EventLoop, tap: Wiretap, options: Partial<ZooKeeper.Options> = {}): Scoped<ZooKeeper.Service> {
    return ZooKeeper.make({
      hosts: this.hosts,
      sessionTimeout: this.faults.sessionTimeout,
      connectTimeout: "1 hour",
      dial: this.network.dial(loop, tap),
      ...options
    })
  }

  /** Runs something with a client of its own, to its end. */
  aside(name: string, use: (zk: ZooKeeper.Service) => Effect.Effect<void, unknown>): void {
    const loop = new EventLoop(this.world, name)
    const fiber = loop.fork(Effect.scoped(Effect.flatMap(this.connect(loop, new Wiretap()), use)))
    this.world.live(this.world.now + liveness, () => fiber.pollUnsafe() !== undefined)
    const exit = fiber.pollUnsafe()
    if (exit === undefined || Exit.isFailure(exit)) {
      this.violation("V1", `${name} ended as ${exit === undefined ? "nothing" : String(exit.cause)}`)
    }
  }

  // -------------------------------------------------------------------------
  // faults in time
  // -------------------------------------------------------------------------

  private haunt(): void {
    const { ensemble, faults, network, participants, world } = this
    const randomness = world.randomness("faults in time")
    const repeat = (every: number, fault: () => void): void => {
      if (every === Infinity) return
      const next = () =>
        world.after(randomness.between(0.2, 1.8) * every, () => {
          if (this.isOver) return
          fault()
          next()
        })
      next()
    }
    const somewhile = (most: number): number => randomness.between(0.1, 1) * most
    const someone = (): Participant | undefined => participants[randomness.below(participants.length)]
    const timeout = faults.sessionTimeout
    const { every } = faults
    repeat(every.kill, () => {
      const { sessions } = ensemble
      const session = sessions[randomness.below(sessions.length)]
      if (session !== undefined) ensemble.kill(session)
    })
    repeat(every.isolate, () => {
      const index = 1 + randomness.below(faults.members)
      if (index >= faults.members) return
      world.trace.add(`isolates zk${index}`)
      ensemble.isolate(index)
      world.after(somewhile(2.5 * timeout), () => ensemble.rejoin(index))
    })
    const mood = (most: number, value: "hangsUp" | "mute" | "unreachable", all: boolean) => () => {
      const chosen = randomness.below(faults.members)
      world.trace.add(`zk${all ? "*" : chosen} ${value}`)
      const indexes = network.moods.map((_, index) => index).filter((index) => all || index === chosen)
      for (const index of indexes) network.moods[index] = value
      world.after(somewhile(most), () => {
        for (const index of indexes) if (network.moods[index] === value) network.moods[index] = "serves"
      })
    }
    repeat(every.hangUp, mood(6000, "hangsUp", true))
    repeat(every.mute, mood(3 * timeout, "mute", false))
    repeat(every.outage, mood(2 * timeout, "unreachable", true))
    repeat(every.stall, () => someone()?.loop.stall(somewhile(1.5 * timeout)))
    repeat(every.suspend, () => {
      const loop = someone()?.loop
      const millis = 1200 + somewhile(1.5 * timeout)
      if (loop === undefined) return
      // The worst moment is between a request and its answer.
      if (randomness.chance(0.5)) loop.sleepsBehindRequest = millis
      else loop.suspend(millis)
    })
    repeat(every.wallClock, () => someone()?.loop.shiftWallClock(randomness.between(-3600_000, 3600_000)))
    for (let index = 1; index < faults.members; index++) ensemble.setLag(index, randomness.between(0, faults.lag))
  }

  private heal(): void {
    this.isOver = true
    for (const { loop } of this.participants) loop.sleepsBehindRequest = 0
    this.world.trace.add("healed")
    this.network.heal()
    this.ensemble.members.forEach((_, index) => {
      this.ensemble.setLag(index, 0)
      this.ensemble.rejoin(index)
    })
  }

  // -------------------------------------------------------------------------
  // phases
  // -------------------------------------------------------------------------

  private begin(participant: Participant, program: Program): Fiber.Fiber<void, unknown> {
    const opened = program.opensItself === true ? Effect.void : participant.open({
      ...participant.variety,
      ...program.options?.(participant)
    })
    return participant.loop.fork(Effect.scoped(Effect.andThen(opened, program.client(participant))))
  }

  /** Drawn from a stream of its own: everything else is as it would be without. */
  private crowd({ crowd }: Workload): number | undefined {
    const randomness = this.world.randomness("crowd")
    return crowd !== undefined && randomness.chance(1 / 6) ? 4 + randomness.below(crowd - 3) : undefined
  }

  execute(workload: Workload): void {
    const { faults, network, randomness, world } = this
    const program = workload.make(this)
    network.faults = none
    if (program.prepare !== undefined) this.aside("preparation", program.prepare)
    network.faults = faults
    const few = 2 + randomness.below(2)
    const clients = workload.clients ?? this.crowd(workload) ?? few
    for (let index = 0; index < clients; index++) this.participants.push(new Participant(this, index))
    this.haunt()
    const fibers = this.participants.map((participant) => this.begin(participant, program))
    world.live(world.now + (workload.duration ?? 15_000), () => false)
    this.heal()
    const haveEnded = () => fibers.every((fiber) => fiber.pollUnsafe() !== undefined)
    world.live(world.now + liveness, haveEnded)
    fibers.forEach((fiber, index) => {
      const exit = fiber.pollUnsafe()
      if (exit === undefined) this.violation("V1", `client${index} has not come to its end ${liveness} ms after the last fault`)
      else if (Exit.isFailure(exit)) this.violation("V1", `client${index} ended with ${String(exit.cause)}`)
    })
    if (haveEnded()) this.checkRemains()
    if (program.conclude !== undefined) this.aside("conclusion", program.conclude)
    for (const participant of this.participants) checkWire(this, participant)
    program.check()
  }

  /** Nothing is left of clients that have ended: neither here nor, once their time is up, at the server. */
  private checkRemains(): void {
    const { ensemble, faults, world } = this
    for (const { index, loop, tap } of this.participants) {
      const left = { sockets: tap.open, timers: loop.pendingTimers, fibers: loop.fibers }
      if (left.sockets + left.timers + left.fibers > 0) {
        this.violation("V6", `client${index} left behind ${JSON.stringify(left)}`)
      }
    }
    world.live(world.now + 2 * faults.sessionTimeout + 3 * faults.tickTime, () => false)
    const sessions = ensemble.sessions.length
    if (sessions > 0) this.violation("V6", `${sessions} sessions never ended`)
    for (const { server } of ensemble.members) {
      if (server.watches.length > 0) this.violation("W8", `${server.watches.length} watches are left at a server`)
      for (const defect of server.defects) this.violation("server", `the in-memory server broke: ${String(defect)}`)
    }
  }
}

/** What is there of the ensemble's own must hold too: its members come to the same state. */
const checkEnsemble = (run: Run): void => {
  const [leader, ...followers] = run.ensemble.members.map(({ server }) =>
    Array.from(server.tree.entries(), ([path, { mzxid, stat }]) => `${path} ${mzxid} ${stat.cversion} ${stat.version}`).toSorted().join("\n")
  )
  followers.forEach((follower, index) => {
    if (follower !== leader) run.violation("ensemble", `member ${index + 1} has another tree than the leader`)
  })
}

export const simulate = (seed: number, workload: Workload, keepsTrace = false): Result =>
  withMicrotasks(() => {
    const run = new Run(seed, keepsTrace)
    let calls = 0
    try {
      run.execute({
        ...workload,
        make: (made) => {
          const program = workload.make(made)
          return {
            ...program,
            check: () => {
              program.check()
              calls = program.calls()
            }
          }
        }
      })
      checkEnsemble(run)
    } catch (error) {
      run.violation("simulation", error instanceof Error ? error.stack ?? error.message : String(error))
    }
    return {
      seed,
      workload: workload.name,
      violations: run.violations,
      hash: run.world.trace.hash,
      trace: run.world.trace.lines,
      statistics: {
        calls,
        frames: run.participants.reduce((count, { tap }) => count + tap.seen.length, 0),
        faults: run.faults
      }
    }
  })

/** Runs it twice: that the runs differ is a violation as well. */
export const simulateTwice = (seed: number, workload: Workload, keepsTrace = false): Result => {
  const first = simulate(seed, workload, keepsTrace)
  const second = simulate(seed, workload)
  return first.hash === second.hash
    ? first
    : { ...first, violations: [...first.violations, { property: "determinism", detail: `${first.hash}, then ${second.hash}` }] }
}

/** The command that runs it again. */
export const commandFor = (seed: number, { clients, duration, name }: Workload): string => {
  const options = { workload: name, duration, clients, from: seed, seeds: 1 }
  const given = Object.entries(options).flatMap(([option, value]) => value === undefined ? [] : [`--${option} ${value}`])
  return `npm run simulate -- ${given.join(" ")} --trace`
}

/** What is wrong with a seed, and how it is seen again. */
export const failuresOf = (seed: number, workload: Workload, simulated = simulateTwice): ReadonlyArray<string> =>
  simulated(seed, workload).violations.map(({ detail, property }) =>
    `${property}: ${detail}\n  ${commandFor(seed, workload)}`
  )
