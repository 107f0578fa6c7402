/**
 * Between the in-memory server and its clients, whatever carries the bytes: a
 * socket in this process or TCP. It knows the frames of the protocol, keeps a
 * log of what was asked, and does to connections what networks do: refuses
 * them, cuts them, freezes them, delays and tears apart what they carry.
 *
 * Nothing here is random, and time is the Effect `Clock`: equal runs are equal.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import { type Client, type Direction, Faults, type Place, type ReplyAction, type RequestAction } from "./Faults.ts"
import { FrameCutter } from "./FrameCutter.ts"
import { beginsWithPath, connectOpCode, nameOf, type OperationName } from "./OperationName.ts"
import type { Link, Peer, Server } from "./Server.ts"

/** A frame from a client. */
export interface Request {
  /** 1 for the first connection that was accepted, and so on. */
  readonly connection: number
  /** 0 for the handshake. */
  readonly index: number
  /** The session that the connection serves; 0 while there is none. */
  readonly sessionId: bigint
  readonly listener: string
  /** 0 for the handshake. */
  readonly xid: number
  readonly operation: OperationName
  /** −10 for the handshake. */
  readonly opCode: number
  readonly path: string | undefined
  /** In ms since the epoch, by the Effect `Clock`. */
  readonly at: number
}

/** A frame from the server. */
export interface Reply {
  readonly connection: number
  readonly sessionId: bigint
  /** 0 for the handshake, −1 for a watch event, −2 for a ping, −4 for authentication. */
  readonly xid: number
  readonly zxid: bigint
  /** 0, or the code of the error. */
  readonly err: number
  /** Of the request that is answered; `"event"` for a watch event. */
  readonly operation: OperationName | "event"
  /** Of the request that is answered, as far as it has one. */
  readonly path: string | undefined
}

export interface Options {
  /** How many of the newest requests are kept. */
  readonly requestLog: number
}

/** Deliveries in a row before other work of the event loop has its turn. */
const turnsInARow = 64

export class Network {
  readonly server: Server
  readonly options: Options
  readonly clock: Clock.Clock
  readonly connections = new Set<Connection>()
  /** The faults of everyone come first, then those of some. */
  readonly faults: Array<Faults> = []
  /** Nothing is wrong anywhere. */
  isQuiet = true
  accepted = 0
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private readonly timers = new Set<Fiber.Fiber<void>>()
  private readonly watchers = new Set<() => void>()
  private readonly log: Array<Request> = []
  private forgotten = 0
  private inARow = 0
  private isClosed = false

  constructor(
    server: Server,
    options: Options,
    services: {
      readonly clock: Clock.Clock
      readonly scheduler: Scheduler.Scheduler
      readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
    }
  ) {
    this.server = server
    this.options = options
    this.clock = services.clock
    this.fork = services.fork
    this.dispatcher = services.scheduler.makeDispatcher()
  }

  /** The server's side of a new connection; `undefined`: it is refused. */
  accept(link: Link, client: Client): Peer | undefined {
    const place: Place = { client, listener: link.listener, sessionId: 0n }
    const faults = this.faults.filter((each) => each.concerns(place))
    if (this.isClosed || faults.some(({ refused }) => refused)) return undefined
    const connection = new Connection(this, ++this.accepted, link, client)
    this.connections.add(connection)
    connection.join(!faults.some(({ muted }) => muted))
    this.changed()
    return connection
  }

  /** Faults that concern some connections, now and later. */
  newFaults(concerns: (place: Place) => boolean): Faults {
    const faults = new Faults(concerns, () => {
      this.isQuiet = !this.faults.some(({ isAny }) => isAny)
      for (const connection of this.connections) connection.flush()
      this.changed()
    })
    this.faults.push(faults)
    return faults
  }

  /** Takes faults away that nobody can change any more. */
  dropFaults(faults: Faults): void {
    faults.heal()
    this.faults.splice(this.faults.indexOf(faults), 1)
  }

  // -------------------------------------------------------------------------
  // the log
  // -------------------------------------------------------------------------

  /** The newest requests, oldest first. */
  get requests(): ReadonlyArray<Request> {
    return this.log.slice(Math.max(0, this.log.length - this.options.requestLog))
  }

  /** How many requests there were, kept or not. */
  get requestCount(): number {
    return this.forgotten + this.log.length
  }

  /** The first kept request from number `from` on that satisfies the predicate. */
  find(predicate: (request: Request) => boolean, from: number): Request | undefined {
    for (let index = Math.max(0, from - this.forgotten); index < this.log.length; index++) {
      const request = this.log[index]
      if (request !== undefined && predicate(request)) return request
    }
    return undefined
  }

  record(request: Request): void {
    this.log.push(request)
    this.changed()
    // Room is made for many at once.
    if (this.log.length > 2 * this.options.requestLog) {
      this.forgotten += this.log.length - this.options.requestLog
      this.log.splice(0, this.log.length - this.options.requestLog)
    }
  }

  /** Completes when the condition holds. It is looked at after everything that happens. */
  until(condition: () => boolean): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const watcher = () => {
        if (!condition()) return
        this.watchers.delete(watcher)
        // Whoever waited may do anything: not in the midst of what happens here.
        this.soon(() => resume(Effect.void))
      }
      this.watchers.add(watcher)
      watcher()
      return Effect.sync(() => void this.watchers.delete(watcher))
    })
  }

  changed(): void {
    if (this.watchers.size > 0) for (const watcher of this.watchers) watcher()
  }

  // -------------------------------------------------------------------------
  // time
  // -------------------------------------------------------------------------

  /**
   * Runs a task behind the current one, before time goes on: exchanges settle
   * at one moment of a `TestClock`. Those without end make room for others.
   */
  soon(task: () => void): void {
    if (this.inARow >= turnsInARow) return this.dispatcher.scheduleTask(task, 0)
    if (this.inARow++ === 0) {
      this.dispatcher.scheduleTask(() => {
        this.inARow = 0
      }, 0)
    }
    queueMicrotask(task)
  }

  /** Runs a task in so many ms. Returns how to forget it. */
  later(millis: number, task: () => void): () => void {
    const fiber = this.fork(Effect.andThen(Effect.sleep(millis), Effect.sync(task)))
    this.timers.add(fiber)
    fiber.addObserver(() => this.timers.delete(fiber))
    return () => fiber.interruptUnsafe()
  }

  /** Hangs up on everyone. */
  close(): void {
    this.isClosed = true
    for (const connection of [...this.connections]) connection.cut()
    for (const timer of [...this.timers]) timer.interruptUnsafe()
  }
}

/** One connection: two pipes, and what was asked through one and not yet answered through the other. */
export class Connection implements Place, Peer {
  readonly id: number
  readonly client: Client
  readonly listener: string
  readonly network: Network
  sessionId = 0n
  /** Whether it still carries anything; a dead one stays until both sides have given it up. */
  isDead = false
  private readonly link: Link
  private readonly toServer: Pipe
  private readonly toClient: Pipe
  private readonly requests: FrameCutter<RequestAction>
  private readonly replies: FrameCutter<ReplyAction>
  private readonly outstanding: Array<{ readonly request: Request; answer: Answer | undefined }> = []
  private current: Request | undefined
  private requestCount = 0
  private handshaken = false
  private server: Peer | undefined
  private clientIsGone = false
  private serverIsGone = false

  constructor(network: Network, id: number, link: Link, client: Client) {
    this.network = network
    this.id = id
    this.client = client
    this.listener = link.listener
    this.link = link
    this.toServer = new Pipe(this, "toServer", (bytes) => this.server?.receive(bytes), () => this.endServer())
    this.toClient = new Pipe(this, "toClient", (bytes) => link.send(bytes), () => this.endClient())
    this.requests = new FrameCutter(network.server.maxBuffer, {
      decide: (bytes, start, end) => this.onRequest(bytes, start, end),
      apply: (action, frame) => this.applyToRequest(action, frame),
      pass: (bytes) => this.toServer.push(bytes)
    })
    this.replies = new FrameCutter(0x7fff_ffff, {
      decide: (bytes, start, end) => this.onReply(bytes, start, end),
      apply: (action, frame) => this.apply(action, this.toClient, frame),
      pass: (bytes) => this.toClient.push(bytes)
    })
  }

  /** Connects the server, or nobody: then nothing is ever answered. */
  join(served: boolean): void {
    if (!served) {
      this.serverIsGone = true
      return
    }
    const peer = this.network.server.accept({
      remoteAddress: this.link.remoteAddress,
      listener: this.listener,
      send: (bytes) => this.requests.isRaw ? this.toClient.push(bytes) : this.replies.push(bytes),
      close: () => {
        this.serverIsGone = true
        this.server = undefined
        this.toServer.drop()
        this.toClient.push("end")
        this.gone()
      }
    })
    // It may have hung up at once.
    if (!this.serverIsGone) this.server = peer
  }

  receive(bytes: Uint8Array): void {
    if (this.clientIsGone) return
    this.requests.push(bytes)
  }

  closed(): void {
    if (this.clientIsGone) return
    this.clientIsGone = true
    this.toClient.drop()
    this.toServer.push("end")
    this.gone()
  }

  flush(): void {
    this.toServer.flush()
    this.toClient.flush()
  }

  release(): void {
    this.toServer.release()
    this.toClient.release()
  }

  /** How many frames are held by `Hold`. */
  get held(): number {
    return this.toServer.held + this.toClient.held
  }

  /** Whether everything passes at once, as if there were no network in between. */
  get isClear(): boolean {
    return !this.isDead && this.toServer.isEmpty && this.toClient.isEmpty
      && !this.network.faults.some((faults) => faults.isAny && faults.concerns(this))
  }

  /** Ends the connection on both sides. */
  cut(): void {
    this.stop()
    // Not in the midst of what one side is doing.
    this.network.soon(() => {
      this.endServer()
      this.endClient()
    })
  }

  /** Nothing passes any more, not even the news that a side has closed. */
  kill(): void {
    this.isDead = true
    this.stop()
    this.gone()
  }

  private stop(): void {
    this.requests.stop()
    this.replies.stop()
    this.toServer.drop()
    this.toClient.drop()
  }

  private endServer(): void {
    const { server } = this
    this.server = undefined
    if (!this.serverIsGone) {
      this.serverIsGone = true
      server?.closed()
    }
    this.gone()
  }

  private endClient(): void {
    if (!this.clientIsGone) {
      this.clientIsGone = true
      this.link.close()
    }
    this.gone()
  }

  private gone(): void {
    if (!this.clientIsGone || !this.serverIsGone) return
    this.stop()
    if (this.network.connections.delete(this)) this.network.changed()
  }

  // -------------------------------------------------------------------------
  // frames
  // -------------------------------------------------------------------------

  private onRequest(bytes: Uint8Array, start: number, end: number): RequestAction | undefined {
    const index = this.requestCount++
    const isHandshake = index === 0
    const opCode = isHandshake ? connectOpCode : end - start < 12 ? 0 : intAt(bytes, start + 8)
    const request: Request = {
      connection: this.id,
      index,
      sessionId: this.sessionId,
      listener: this.listener,
      xid: isHandshake || end - start < 8 ? 0 : intAt(bytes, start + 4),
      operation: nameOf(opCode),
      opCode,
      path: beginsWithPath(opCode) ? pathAt(bytes, start + 12, end) : undefined,
      at: this.network.clock.currentTimeMillisUnsafe()
    }
    this.current = request
    if (!isOutOfOrder(request.operation)) this.outstanding.push({ request, answer: undefined })
    this.network.record(request)
    if (this.network.isQuiet) return undefined
    const frame = bytes.subarray(start + 4, end)
    for (const faults of this.network.faults) {
      if (faults.requestHooks.length === 0 || !faults.concerns(this)) continue
      for (const hook of [...faults.requestHooks]) {
        const action = hook(request, frame)
        if (action !== undefined) return action
      }
    }
    return undefined
  }

  private onReply(bytes: Uint8Array, start: number, end: number): ReplyAction | undefined {
    if (!this.handshaken) this.onHandshake(bytes, start, end)
    const isHandshake = !this.handshaken
    this.handshaken = true
    const xid = isHandshake || end - start < 20 ? 0 : intAt(bytes, start + 4)
    const request = isHandshake || xid >= 0 || xid < -4 ? this.answered(xid) : undefined
    if (this.network.isQuiet) return undefined
    const hasHeader = !isHandshake && end - start >= 20
    const reply: Reply = {
      connection: this.id,
      sessionId: this.sessionId,
      xid,
      zxid: hasHeader ? new DataView(bytes.buffer, bytes.byteOffset + start + 8).getBigInt64(0) : 0n,
      err: hasHeader ? intAt(bytes, start + 16) : 0,
      operation: request?.operation ?? (xid === -1 ? "event" : xid === -2 ? "ping" : xid === -4 ? "addAuth" : "unknown"),
      path: request?.path
    }
    const frame = bytes.subarray(start + 4, end)
    for (const faults of this.network.faults) {
      if (faults.replyHooks.length === 0 || !faults.concerns(this)) continue
      for (const hook of [...faults.replyHooks]) {
        const action = hook(reply, frame)
        if (action !== undefined) return action
      }
    }
    return undefined
  }

  private onHandshake(bytes: Uint8Array, start: number, end: number): void {
    if (end - start < 4 + 36 || intAt(bytes, start + 8) <= 0) return
    this.sessionId = new DataView(bytes.buffer, bytes.byteOffset + start + 12).getBigInt64(0)
    this.client.sessionId = this.sessionId
  }

  /** The request that a reply belongs to: the oldest one. Answers in the server's place that are due then follow. */
  private answered(xid: number): Request | undefined {
    const index = this.outstanding.findIndex(({ answer, request }) => answer === undefined && request.xid === xid)
    const entry = index > 0 ? this.outstanding.splice(index, 1)[0] : index === 0 ? this.outstanding.shift() : undefined
    if (this.outstanding[0]?.answer !== undefined) this.network.soon(() => this.answer())
    return entry?.request
  }

  /** Sends the answers in the server's place that nothing is before any more. */
  private answer(): void {
    for (let entry = this.outstanding[0]; entry?.answer !== undefined; entry = this.outstanding[0]) {
      this.outstanding.shift()
      this.respond(entry.answer)
    }
  }

  private respond(answer: Answer): void {
    this.toClient.push(framed(answer.bytes))
    if (answer.close === true) this.toClient.push("cut")
  }

  private applyToRequest(action: RequestAction, frame: Uint8Array): void {
    const last = this.outstanding.at(-1)
    const inOrder = last?.request === this.current ? last : undefined
    if (action._tag === "Answer") {
      if (inOrder === undefined) return this.respond(action)
      inOrder.answer = action
      return this.answer()
    }
    if (action._tag === "Drop" && inOrder !== undefined) this.outstanding.pop()
    this.apply(action, this.toServer, frame)
  }

  private apply(action: ReplyAction, pipe: Pipe, frame: Uint8Array): void {
    switch (action._tag) {
      case "Drop":
        return
      case "Replace":
        return pipe.push(framed(action.bytes))
      case "Raw":
        return pipe.push(action.bytes)
      case "Cut":
        return this.cut()
      case "ForwardThenCut":
        pipe.push(frame)
        return pipe.push("cut")
      case "Hold":
        return pipe.push(frame, true)
    }
  }
}

interface Answer {
  readonly bytes: Uint8Array
  readonly close?: boolean | undefined
}

/** Bytes, the end of this direction, or of the whole connection. */
type Passage = Uint8Array | "end" | "cut"

/** One direction of a connection: what waits to be delivered, in order. */
class Pipe {
  private readonly connection: Connection
  private readonly direction: Direction
  private readonly deliver: (bytes: Uint8Array) => void
  private readonly end: () => void
  private queue: Array<{ readonly what: Passage; readonly due: number; isHeld: boolean }> = []
  private isDropped = false
  private isFlushing = false
  private wake: (() => void) | undefined

  constructor(connection: Connection, direction: Direction, deliver: (bytes: Uint8Array) => void, end: () => void) {
    this.connection = connection
    this.direction = direction
    this.deliver = deliver
    this.end = end
  }

  get held(): number {
    return this.queue.filter(({ isHeld }) => isHeld).length
  }

  get isEmpty(): boolean {
    return this.queue.length === 0
  }

  push(what: Passage, isHeld = false): void {
    if (this.isDropped) return
    const passes = this.connection.network.isQuiet && this.queue.length === 0 && !this.isFlushing && !isHeld
    if (passes && typeof what !== "string") return this.deliver(what)
    const delay = this.largest((faults) => faults.delay)
    // What waits is kept: the bytes may be anybody's.
    const kept = typeof what === "string" ? what : new Uint8Array(what)
    this.queue.push({ what: kept, due: this.now() + delay, isHeld })
    this.flush()
  }

  release(): void {
    for (const item of this.queue) item.isHeld = false
    this.flush()
  }

  drop(): void {
    this.isDropped = true
    this.queue = []
    this.wake?.()
    this.wake = undefined
  }

  flush(): void {
    if (this.isFlushing) return
    this.isFlushing = true
    while (this.queue.length > 0 && this.isOpen()) this.pass()
    this.isFlushing = false
  }

  private isOpen(): boolean {
    const item = this.queue[0]
    if (item === undefined || item.isHeld || this.some((faults) => faults.frozen[this.direction])) return false
    const early = item.due - this.now()
    if (early <= 0) return true
    this.wake ??= this.connection.network.later(early, () => {
      this.wake = undefined
      this.flush()
    })
    return false
  }

  private pass(): void {
    const { what } = this.queue.shift() ?? {}
    if (what === "end") this.end()
    else if (what === "cut") this.connection.cut()
    else if (what !== undefined) this.write(what)
  }

  private write(bytes: Uint8Array): void {
    const { direction } = this
    const spent = this.concerning().filter(({ budget }) => budget[direction] < Infinity)
    const allowed = bytes.subarray(0, Math.min(bytes.length, ...spent.map(({ budget }) => budget[direction])))
    if (this.some(({ split }) => split)) {
      for (let at = 0; at < allowed.length && !this.isDropped; at++) this.deliver(allowed.subarray(at, at + 1))
    } else if (allowed.length > 0) this.deliver(allowed)
    for (const faults of spent) {
      faults.change(() => {
        faults.budget[direction] -= allowed.length
        if (faults.budget[direction] > 0) return
        faults.budget[direction] = Infinity
        this.connection.cut()
      })
    }
  }

  private now(): number {
    return Number(this.connection.network.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  private concerning(): ReadonlyArray<Faults> {
    return this.connection.network.faults.filter((faults) => faults.isAny && faults.concerns(this.connection))
  }

  private some(predicate: (faults: Faults) => boolean): boolean {
    return this.connection.network.faults.some((faults) => predicate(faults) && faults.concerns(this.connection))
  }

  private largest(f: (faults: Faults) => number): number {
    return Math.max(0, ...this.concerning().map(f))
  }
}

/** Pings and authentication are answered out of turn. */
const isOutOfOrder = (operation: OperationName): boolean => operation === "ping" || operation === "addAuth"

const intAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at] ?? 0) << 24 | (bytes[at + 1] ?? 0) << 16 | (bytes[at + 2] ?? 0) << 8 | (bytes[at + 3] ?? 0)

const decoder = new TextDecoder()

const pathAt = (bytes: Uint8Array, at: number, end: number): string | undefined => {
  if (end - at < 4) return undefined
  const length = intAt(bytes, at)
  return length < 0 || length > end - at - 4 ? undefined : decoder.decode(bytes.subarray(at + 4, at + 4 + length))
}

/** A frame with its length before it. */
export const framed = (bytes: Uint8Array): Uint8Array => {
  const frame = new Uint8Array(4 + bytes.length)
  new DataView(frame.buffer).setInt32(0, bytes.length)
  frame.set(bytes, 4)
  return frame
}

/** A frame for `Answer` and `Replace`: the reply header, and a body that is encoded already. */
export const encodeReply = (reply: {
  readonly xid: number
  readonly zxid?: bigint | undefined
  readonly err?: number | undefined
  readonly body?: Uint8Array | undefined
}): Uint8Array => {
  const bytes = new Uint8Array(16 + (reply.body?.length ?? 0))
  const view = new DataView(bytes.buffer)
  view.setInt32(0, reply.xid)
  view.setBigInt64(4, reply.zxid ?? 0n)
  view.setInt32(12, reply.err ?? 0)
  if (reply.body !== undefined) bytes.set(reply.body, 16)
  return bytes
}

/** A network in front of a server, for as long as the scope is open. */
export const make = (server: Server, options: Options): Effect.Effect<Network, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const given = yield* Scheduler.Scheduler
      // That of `runSync` ends with it, and leaves the event loop no room.
      const scheduler = given.executionMode === "sync" ? new Scheduler.MixedScheduler() : given
      const context = Context.add(yield* Effect.context(), Scheduler.Scheduler, scheduler)
      return new Network(server, options, { clock, scheduler, fork: Effect.runForkWith(context) })
    }),
    (network) => Effect.sync(() => network.close())
  )
