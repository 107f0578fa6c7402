/**
 * One client process in virtual time: timers, then what has arrived, then
 * immediates, with microtasks in between, as Node does it. Its fibers see this
 * loop's clock, scheduler and random numbers only.
 *
 * A loop can stall (user code, the garbage collector): whatever falls due
 * meanwhile waits, and then timers come first. It can be suspended (a laptop
 * sleeps): its monotonic clock stands still, the wall clock does not.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as References from "effect/References"
import * as Scheduler from "effect/Scheduler"
import * as Uuid from "../../src/client/Uuid.ts"
import type { Randomness } from "./Randomness.ts"
import { type Cancel, epoch, type World } from "./World.ts"

interface Timer {
  readonly at: number
  /** In ms: how late the loop wakes up for it. Timers are never early. */
  readonly lateness: number
  readonly run: () => void
}

/** Turns without the passing of time after which a loop counts as running in circles. */
const mostTurns = 10_000

/** The loop that runs now: microtasks are its own. */
let current: EventLoop | undefined

/** Makes a loop the one that runs, and returns the one that ran. */
const enter = (loop: EventLoop | undefined): EventLoop | undefined => {
  const before = current
  current = loop
  return before
}

/**
 * Runs a simulation with microtasks being those of its loops. All else that the
 * client needs from a platform are services. The run must not be asynchronous.
 */
export const withMicrotasks = <A>(run: () => A): A => {
  const { queueMicrotask } = globalThis
  globalThis.queueMicrotask = (task) => {
    if (current === undefined) throw new Error("a microtask outside of every process")
    current.microtask(task)
  }
  try {
    return run()
  } finally {
    globalThis.queueMicrotask = queueMicrotask
  }
}

export class EventLoop {
  readonly name: string
  readonly clock: Clock.Clock
  readonly context: Context.Context<never>
  /** In ms: for how long the machine sleeps as soon as something was sent; 0 for not at all. */
  sleepsBehindRequest = 0
  /** Fibers that have begun and not ended. */
  fibers = 0
  private readonly world: World
  private readonly randomness: Randomness
  private timers: Array<Timer> = []
  private arrived: Array<() => void> = []
  private immediates: Array<() => void> = []
  private microtasks: Array<() => void> = []
  private wakeUp: { readonly at: number; readonly cancel: Cancel } | undefined
  private busyUntil = 0
  private slept = 0
  private wallShift = 0

  constructor(world: World, name: string) {
    this.world = world
    this.name = name
    this.randomness = world.randomness(`loop ${name}`)
    const sync = Effect.sync
    this.clock = {
      currentTimeMillisUnsafe: () => Math.floor(this.wall),
      currentTimeMillis: sync(() => Math.floor(this.wall)),
      currentTimeNanosUnsafe: () => BigInt(Math.round(this.wall * 1000)) * 1000n,
      currentTimeNanos: sync(() => BigInt(Math.round(this.wall * 1000)) * 1000n),
      monotonicTimeNanosUnsafe: () => BigInt(Math.round(this.monotonic * 1000)) * 1000n,
      monotonicTimeNanos: sync(() => BigInt(Math.round(this.monotonic * 1000)) * 1000n),
      sleep: (duration) => this.sleep(Duration.toMillis(duration))
    }
    this.context = Context.empty().pipe(
      Context.add(Clock.Clock, this.clock),
      Context.add(Random.Random, this.randomness),
      Context.add(Scheduler.Scheduler, new LoopScheduler(this)),
      Context.add(References.MinimumLogLevel, "None"),
      Context.add(Uuid.Uuid, Uuid.seeded),
      Context.add(Metric.FiberRuntimeMetrics, {
        recordFiberStart: () => {
          this.fibers++
        },
        recordFiberEnd: () => {
          this.fibers--
        }
      })
    )
  }

  /** In ms since the beginning: ahead of the world while the process is busy. */
  get now(): number {
    return Math.max(this.world.now, this.busyUntil)
  }

  private get monotonic(): number {
    // A machine has been up for a while.
    return 1_000_000 + this.now - this.slept
  }

  private get wall(): number {
    return epoch + this.now + this.wallShift
  }

  get pendingTimers(): number {
    return this.timers.length
  }

  // -------------------------------------------------------------------------
  // what a process can suffer
  // -------------------------------------------------------------------------

  /** Keeps the processor: called from inside, time passes for the caller at once; nothing else runs meanwhile. */
  stall(millis: number): void {
    this.busyUntil = this.now + millis
    this.plan()
  }

  /** The machine sleeps: the monotonic clock stands still. */
  suspend(millis: number): void {
    this.slept += millis
    this.stall(millis)
  }

  shiftWallClock(millis: number): void {
    this.wallShift += millis
  }

  // -------------------------------------------------------------------------
  // turning
  // -------------------------------------------------------------------------

  fork<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    const fiber = this.inside(() => Effect.runForkWith(this.context)(effect))
    this.turn()
    return fiber
  }

  /** Something comes from outside: handled now, or when the process has time. */
  arrive(handle: () => void): void {
    this.arrived.push(handle)
    this.turn()
  }

  microtask(task: () => void): void {
    this.microtasks.push(task)
  }

  immediate(run: () => void): void {
    this.immediates.push(run)
    // Outside of a turn nobody else would come by.
    if (current !== this) this.plan()
  }

  private inside<A>(run: () => A): A {
    const before = enter(this)
    try {
      const result = run()
      // Microtasks may queue microtasks.
      for (let index = 0; index < this.microtasks.length; index++) this.microtasks[index]?.()
      this.microtasks = []
      return result
    } finally {
      enter(before)
    }
  }

  private turn(): void {
    for (let turns = 0; this.world.now >= this.busyUntil; turns++) {
      if (turns > mostTurns) throw new Error(`${this.name} runs in circles`)
      const due = this.takeDue()
      const { arrived, immediates } = this
      if (due.length === 0 && arrived.length === 0 && immediates.length === 0) break
      for (let index = 0; index < due.length; index++) {
        const timer = due[index]
        if (timer === undefined || this.isCancelled(timer)) continue
        if (this.world.now < this.busyUntil) this.timers.unshift(timer)
        else this.inside(timer.run)
      }
      this.arrived = []
      this.drain(arrived, (rest) => this.arrived.unshift(...rest))
      this.immediates = []
      this.drain(immediates, (rest) => this.immediates.unshift(...rest))
    }
    this.plan()
  }

  private drain(tasks: ReadonlyArray<() => void>, putBack: (rest: ReadonlyArray<() => void>) => void): void {
    for (let index = 0; index < tasks.length; index++) {
      if (this.world.now < this.busyUntil) return putBack(tasks.slice(index))
      const task = tasks[index]
      if (task !== undefined) this.inside(task)
    }
  }

  /** When the next turn is due. */
  private plan(): void {
    const waiting = this.arrived.length > 0 || this.immediates.length > 0
    const first = this.timers[0]
    const due = waiting ? 0 : first === undefined ? Infinity : first.at + first.lateness + this.slept
    const at = Math.max(due, this.busyUntil, this.world.now)
    if (this.wakeUp?.at === at) return
    this.wakeUp?.cancel()
    this.wakeUp = undefined
    if (due === Infinity) return
    const cancel = this.world.at(at, () => {
      this.wakeUp = undefined
      this.turn()
    })
    this.wakeUp = { at, cancel }
  }

  // -------------------------------------------------------------------------
  // timers
  // -------------------------------------------------------------------------

  private cancelled = new Set<Timer>()

  private isCancelled(timer: Timer): boolean {
    return this.cancelled.delete(timer)
  }

  private takeDue(): Array<Timer> {
    const time = this.world.now - this.slept
    let count = 0
    while ((this.timers[count]?.at ?? Infinity) <= time) count++
    this.cancelled.clear()
    return count === 0 ? [] : this.timers.splice(0, count)
  }

  private sleep(millis: number): Effect.Effect<void> {
    if (millis <= 0) return Effect.yieldNow
    if (!Number.isFinite(millis)) return Effect.never
    return Effect.callback((resume) => {
      const at = this.now - this.slept + millis
      const timer: Timer = { at, lateness: this.randomness.between(0, 0.5), run: () => resume(Effect.void) }
      let index = this.timers.length
      while (index > 0 && (this.timers[index - 1]?.at ?? 0) > at) index--
      this.timers.splice(index, 0, timer)
      if (index === 0) this.plan()
      return Effect.sync(() => {
        const found = this.timers.indexOf(timer)
        if (found >= 0) this.timers.splice(found, 1)
        else this.cancelled.add(timer)
      })
    })
  }
}

/** Fibers yield into the immediates of their process; each dispatcher keeps its order. */
class LoopScheduler implements Scheduler.Scheduler {
  readonly executionMode = "async"
  private readonly loop: EventLoop

  constructor(loop: EventLoop) {
    this.loop = loop
  }

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return new LoopDispatcher(this.loop)
  }
}

class LoopDispatcher implements Scheduler.SchedulerDispatcher {
  private tasks: Array<{ readonly priority: number; readonly run: () => void }> = []
  private isPlanned = false
  private readonly loop: EventLoop

  constructor(loop: EventLoop) {
    this.loop = loop
  }

  scheduleTask(run: () => void, priority: number): void {
    let index = this.tasks.length
    while (index > 0 && (this.tasks[index - 1]?.priority ?? 0) > priority) index--
    this.tasks.splice(index, 0, { priority, run })
    if (this.isPlanned) return
    this.isPlanned = true
    this.loop.immediate(this.flush)
  }

  readonly flush = (): void => {
    this.isPlanned = false
    const { tasks } = this
    this.tasks = []
    for (let index = 0; index < tasks.length; index++) tasks[index]?.run()
  }
}
