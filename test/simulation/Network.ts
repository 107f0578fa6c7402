/**
 * The network between clients and members: each connection is a pair of
 * first-in first-out directions with delays, and every frame may be where it
 * breaks. Clients see an Effect `Socket`, as they would of any transport.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Socket from "effect/socket/Socket"
import type { Host } from "../../src/ConnectionString.ts"
import * as Protocol from "../../src/jute/Protocol.ts"
import type { SessionCredentials } from "../../src/SessionState.ts"
import type { Options } from "../../src/ZooKeeper.ts"
import type { Connection, Ensemble } from "./Ensemble.ts"
import type { EventLoop } from "./EventLoop.ts"
import { type Faults, none } from "./Faults.ts"
import type { Randomness } from "./Randomness.ts"
import type { World } from "./World.ts"
import * as Wire from "./Wire.ts"

const failure = (reason: Socket.SocketErrorReason): Socket.SocketError => new Socket.SocketError({ reason })

const closedBy = (code: number): Socket.SocketError => failure(new Socket.SocketCloseError({ code }))

type Pull = Exit.Exit<readonly [Uint8Array, ...ReadonlyArray<Uint8Array>], Socket.SocketError>

/** A frame that reached a client, or left it, in the order in which the client knew of it. */
export type Seen =
  | { readonly _tag: "Began"; readonly link: number; readonly at: number; readonly resumed: SessionCredentials | undefined; readonly options: Partial<Options> }
  /** The client means to close its connection and to leave its session alive. */
  | { readonly _tag: "Left"; readonly link: number; readonly at: number }
  | { readonly _tag: "Dialled"; readonly link: number; readonly at: number; readonly host: number }
  | { readonly _tag: "Greeting"; readonly link: number; readonly at: number; readonly request: Wire.ConnectRequest }
  | { readonly _tag: "Greeted"; readonly link: number; readonly at: number; readonly response: Wire.ConnectResponse }
  | { readonly _tag: "Sent"; readonly link: number; readonly at: number; readonly request: Wire.Request; readonly frame: Uint8Array }
  | { readonly _tag: "Told"; readonly link: number; readonly at: number; readonly reply: Wire.Answer | Wire.Notification }
  | { readonly _tag: "Ended"; readonly link: number; readonly at: number; readonly byClient: boolean }

/** What one client's wire has seen. */
export class Wiretap {
  readonly seen: Array<Seen> = []
  /** Sockets that are open. */
  open = 0
  /** Links on which the server said what it must not say. */
  readonly corrupted = new Set<number>()
  private link = 0

  nextLink(): number {
    return ++this.link
  }

  /** The newest connection. */
  get current(): number {
    return this.link
  }
}

type Mood = "serves" | "hangsUp" | "mute" | "unreachable"

export class Network {
  faults: Omit<Faults, "members" | "sessionTimeout" | "tickTime">
  readonly world: World
  readonly ensemble: Ensemble
  readonly randomness: Randomness
  readonly longest: number
  readonly moods: Array<Mood>

  constructor(world: World, ensemble: Ensemble, faults: Faults) {
    this.world = world
    this.ensemble = ensemble
    this.faults = faults
    this.randomness = world.randomness("network")
    this.longest = faults.sessionTimeout
    this.moods = ensemble.members.map(() => "serves")
  }

  /** From now on every frame arrives, and soon. What was cut, or leads nowhere, stays as it is. */
  heal(): void {
    this.faults = none
    this.moods.fill("serves")
  }

  /** No member is in reach until sessions that are alone have about ended. */
  blackOut(): void {
    const { randomness, world } = this
    world.trace.add("blackout")
    const until = this.moods.map(() => "unreachable" as const)
    this.moods.splice(0, until.length, ...until)
    world.after(randomness.between(0.7, 1.3) * this.longest, () => {
      this.moods.forEach((mood, index) => {
        if (mood === "unreachable") this.moods[index] = "serves"
      })
    })
  }

  get hosts(): ReadonlyArray<string> {
    return this.moods.map((_, index) => `zk${index}:2181`)
  }

  dial(loop: EventLoop, tap: Wiretap): (host: Host) => Effect.Effect<Socket.Socket> {
    return ({ host }) =>
      Effect.sync(() => {
        const link = new Link(this, loop, tap, Number(host.slice(2)))
        return Socket.make({
          reader: Effect.as(
            Effect.acquireRelease(
              Effect.tap(link.opened, () => Effect.sync(() => link.acquire())),
              () => Effect.sync(() => link.release()),
              { interruptible: true }
            ),
            { pull: link.pull, upgrade: Socket.SocketUpgradeError.unsupported }
          ),
          writer: Effect.succeed(link.writer)
        })
      })
  }

  delay(): number {
    const { latency } = this.faults
    return latency.least - Math.log(1 - this.randomness.nextDoubleUnsafe()) * latency.mean
  }
}

/** One direction: what was sent first arrives first. */
class Direction {
  /** When the last frame arrives. */
  last = 0
  /** Nothing arrives any more, and nobody is told. */
  isDead = false

  /** Arrival of a frame that is sent now. */
  next(now: number, delay: number): number {
    return this.last = Math.max(this.last, now + delay)
  }
}

class Link {
  private readonly network: Network
  private readonly loop: EventLoop
  private readonly tap: Wiretap
  private readonly index: number
  private readonly id: number
  private connection: Connection | undefined
  private readonly there = new Direction()
  private readonly back = new Direction()
  private readonly sent = new Wire.FrameBuffer()
  private readonly received = new Wire.FrameBuffer()
  private isCut = false
  private isReleased = false
  private isAcquired = false
  private isGreeted = false
  private wasTold = false
  private readonly inbox: Array<Uint8Array> = []
  /** What the last pull gave: it is the client's until the next one only. */
  private lent: ReadonlyArray<Uint8Array> = []
  private ended: Socket.SocketError | undefined
  private waiter: ((pull: Pull) => void) | undefined

  constructor(network: Network, loop: EventLoop, tap: Wiretap, index: number) {
    this.network = network
    this.loop = loop
    this.tap = tap
    this.index = index
    this.id = tap.nextLink()
  }

  private trace(what: string): void {
    this.network.world.trace.add(`${this.loop.name}#${this.id} ${what}`)
  }

  private get mood(): Mood {
    return this.network.moods[this.index] ?? "unreachable"
  }

  // -------------------------------------------------------------------------
  // opening
  // -------------------------------------------------------------------------

  readonly opened: Effect.Effect<void, Socket.SocketError> = Effect.callback((resume) => {
    const { network } = this
    const { randomness } = network
    const { dial } = network.faults
    this.tap.seen.push({ _tag: "Dialled", link: this.id, at: this.loop.now, host: this.index })
    const isIgnored = randomness.chance(dial.ignore)
    const isRefused = this.mood === "unreachable" || randomness.chance(dial.refuse)
    this.trace(`dials zk${this.index}${isIgnored ? ", ignored" : isRefused ? ", refused" : ""}`)
    if (isIgnored) return
    network.world.at(this.loop.now + network.delay(), () =>
      this.loop.arrive(() =>
        resume(isRefused ? Exit.fail(failure(new Socket.SocketOpenError({ kind: "Unknown", cause: "refused" }))) : Exit.void)
      ))
  })

  acquire(): void {
    this.isAcquired = true
    this.tap.open++
    if (this.mood === "mute") return
    this.connection = this.network.ensemble.connect(this.index, {
      send: (frame) => this.back.isDead || this.fromMember(frame),
      close: () => this.hangUp()
    })
  }

  release(): void {
    this.isReleased = true
    if (!this.isAcquired) return
    this.tap.open--
    this.trace("released")
    this.end(closedBy(1006), true)
    // The member hears of it behind what was sent.
    if (!this.isCut) {
      const at = this.there.next(this.loop.now, this.network.delay())
      if (!this.there.isDead) this.network.world.at(at, () => this.connection?.closed())
      else this.forgetLater()
    }
    this.isCut = true
  }

  /** A member that cannot be told notices by itself, much later. */
  private forgetLater(): void {
    const { network } = this
    network.world.after(network.randomness.between(0, 2 * network.longest), () => this.connection?.closed())
  }

  // -------------------------------------------------------------------------
  // to the member
  // -------------------------------------------------------------------------

  private readonly write = (chunk: Uint8Array | string | Socket.CloseEvent): Effect.Effect<void, Socket.SocketError> =>
    Effect.suspend(() => {
      if (this.isReleased || this.ended !== undefined) {
        return Effect.fail(failure(new Socket.SocketWriteError({ cause: "the socket is not open" })))
      }
      if (chunk instanceof Uint8Array) for (const frame of this.sent.push(chunk)) this.toMember(frame)
      return Effect.void
    })

  readonly writer: Socket.Writer = {
    write: this.write,
    writeAll: (chunks) => Effect.forEach(chunks, this.write, { discard: true })
  }

  private toMember(frame: Uint8Array): void {
    const { loop, network } = this
    const { randomness, world } = network
    const { frame: faults } = network.faults
    const at = loop.now
    if (this.isGreeted) {
      this.tap.seen.push({ _tag: "Sent", link: this.id, at, request: Wire.readRequest(frame), frame })
    } else {
      this.isGreeted = true
      this.tap.seen.push({ _tag: "Greeting", link: this.id, at, request: Wire.readConnectRequest(frame) })
    }
    world.trace.bytes(`${loop.name}#${this.id} sends ${frame.length} bytes, op ${Wire.readRequest(frame).opCode}`, frame)
    const { sleepsBehindRequest } = loop
    loop.sleepsBehindRequest = 0
    if (sleepsBehindRequest > 0) loop.suspend(sleepsBehindRequest)
    if (this.isCut || this.there.isDead) return
    if (randomness.chance(faults.halfOpen)) this.halfOpen()
    if (this.there.isDead) return
    const held = randomness.chance(faults.hold) ? randomness.between(0, network.longest) : 0
    const arrival = this.there.next(at, network.delay() + held)
    if (randomness.chance(faults.cutBefore)) return this.cut(arrival, "before a request")
    if (randomness.chance(faults.loseReply)) {
      world.at(arrival, () => {
        this.trace("loses the reply")
        this.back.isDead = true
        if (!this.there.isDead) this.connection?.receive(frame)
        if (randomness.chance(faults.blackout)) network.blackOut()
      })
      return this.cut(arrival, "behind a request")
    }
    world.at(arrival, () => {
      if (!this.there.isDead) this.connection?.receive(frame)
    })
  }

  /** Both ends are told, the one sooner, the other later. */
  private cut(at: number, where: string): void {
    const { network } = this
    const { randomness, world } = network
    world.at(at, () => {
      if (this.isCut) return
      this.isCut = true
      this.there.isDead = this.back.isDead = true
      this.trace(`is cut ${where}`)
      world.after(network.delay(), () => this.tellEnd(closedBy(1006)))
      world.after(randomness.chance(0.8) ? network.delay() : randomness.between(0, 2 * network.longest), () =>
        this.connection?.closed())
    })
  }

  private halfOpen(): void {
    const which = this.network.randomness.below(3)
    this.trace(`goes nowhere, direction ${which}`)
    if (which !== 1) this.there.isDead = true
    if (which !== 0) this.back.isDead = true
  }

  // -------------------------------------------------------------------------
  // to the client
  // -------------------------------------------------------------------------

  private fromMember(frame: Uint8Array): void {
    if (this.isCut) return
    const { network } = this
    const { randomness, world } = network
    const { frame: faults, splits } = network.faults
    if (randomness.chance(faults.halfOpen)) this.halfOpen()
    if (this.back.isDead) return
    const held = randomness.chance(faults.hold) ? randomness.between(0, network.longest) : 0
    // Pings are what a death in silence is noticed by.
    const xid = this.wasTold ? Wire.readRequest(frame).xid : 0
    const isPing = xid === Protocol.Xid.Ping
    if (!this.there.isDead && randomness.chance(isPing ? 4 * faults.slowDeath : faults.slowDeath)) {
      this.there.isDead = true
      const late = this.back.next(world.now, randomness.between(0.2, 0.9) * network.longest)
      this.trace(`dies slowly${isPing ? ", after a ping" : ""}`)
      world.at(late, () => {
        this.arrive(frame)
        network.blackOut()
      })
      return
    }
    const arrival = this.back.next(world.now, network.delay() + held)
    if (randomness.chance(faults.cutReply)) return this.cut(arrival, "before a reply")
    if (randomness.chance(faults.truncate)) {
      const part = frame.subarray(0, randomness.below(frame.length))
      world.at(arrival, () => this.arrive(part))
      return this.cut(arrival, "inside a reply")
    }
    const isFirst = !this.wasTold
    this.wasTold = true
    // What has no number may come twice, and nobody could tell.
    const isTwice = xid > 0 && randomness.chance(faults.duplicate)
    const at = splits && !isTwice && frame.length > 1 ? 1 + randomness.below(frame.length - 1) : frame.length
    world.at(arrival, () => this.arrive(frame.subarray(0, at)))
    if (isTwice) {
      this.tap.corrupted.add(this.id)
      world.at(this.back.next(world.now, arrival - world.now + network.delay()), () => this.arrive(frame))
    } else if (at < frame.length) {
      const later = this.back.next(world.now, arrival - world.now + network.delay())
      world.at(later, () => this.arrive(frame.subarray(at)))
    }
    if (isFirst && this.mood === "hangsUp") {
      world.at(this.back.last, () => {
        this.connection?.closed()
        this.hangUp()
      })
    }
  }

  /** The member has closed: the client hears of it behind what was sent. */
  private hangUp(): void {
    const { network } = this
    if (this.isCut) return
    const at = this.back.next(network.world.now, network.delay())
    if (this.back.isDead) return
    this.trace("hung up")
    network.world.at(at, () => {
      this.isCut = true
      this.tellEnd(closedBy(1000))
    })
  }

  private arrive(bytes: Uint8Array): void {
    if (this.back.isDead || this.isReleased || bytes.length === 0) return
    this.loop.arrive(() => {
      if (this.isReleased || this.ended !== undefined) return
      this.inbox.push(bytes.slice())
      this.wake()
    })
  }

  /** What the client now knows. */
  private note(bytes: Uint8Array): void {
    const at = this.loop.now
    this.network.world.trace.bytes(`${this.loop.name}#${this.id} gets ${bytes.length} bytes`, bytes)
    for (const frame of this.received.push(bytes)) {
      if (this.isTold) {
        this.tap.seen.push({ _tag: "Told", link: this.id, at, reply: Wire.readReply(frame) })
      } else {
        this.isTold = true
        this.tap.seen.push({ _tag: "Greeted", link: this.id, at, response: Wire.readConnectResponse(frame) })
      }
    }
  }

  private isTold = false

  private tellEnd(error: Socket.SocketError): void {
    if (this.isReleased) return
    this.loop.arrive(() => {
      if (!this.isReleased) this.end(error)
    })
  }

  private end(error: Socket.SocketError, byClient = false): void {
    if (this.ended !== undefined) return
    this.ended = error
    this.tap.seen.push({ _tag: "Ended", link: this.id, at: this.loop.now, byClient })
    this.wake()
  }

  readonly pull: Effect.Effect<readonly [Uint8Array, ...ReadonlyArray<Uint8Array>], Socket.SocketError> = Effect.callback(
    (resume) => {
      for (const bytes of this.lent) bytes.fill(0xee)
      this.lent = []
      const ready = this.poll()
      if (ready !== undefined) return resume(ready)
      this.waiter = resume
      return Effect.sync(() => {
        if (this.waiter === resume) this.waiter = undefined
      })
    }
  )

  private poll(): Pull | undefined {
    const [first, ...rest] = this.inbox
    if (first !== undefined) {
      for (const bytes of this.inbox) this.note(bytes)
      this.lent = [...this.inbox]
      this.inbox.length = 0
      return Exit.succeed([first, ...rest])
    }
    return this.ended === undefined ? undefined : Exit.fail(this.ended)
  }

  private wake(): void {
    const { waiter } = this
    const ready = waiter === undefined ? undefined : this.poll()
    if (waiter === undefined || ready === undefined) return
    this.waiter = undefined
    waiter(ready)
  }
}
