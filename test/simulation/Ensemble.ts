/**
 * Several in-memory servers that show one state, each at its own pace, as the
 * members of an ensemble do.
 *
 * Each member is a whole server core. What changes the state (new sessions,
 * writes, the end of sessions) is put into one order by the leader, member 0,
 * and given to every core in that order: to the leader's at once, to the others
 * with their lag. A member answers reads from its own state, so that reads are
 * stale by the lag; a client's requests wait until its own writes before them
 * are there. Cores work by the leader's clock as of the entry, so that all of
 * them come to the same state, times and zxids included.
 *
 * A follower that is cut from the leader goes on answering reads and pings, and
 * neither orders writes nor keeps sessions alive.
 *
 * Not here: elections. The leader never changes and no commit is lost.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { ErrorCode } from "../../src/jute/ErrorCode.ts"
import { OpCode } from "../../src/jute/OpCode.ts"
import { type Peer, Server } from "../../src/memory/Server.ts"
import * as Wire from "./Wire.ts"
import { epoch, type World } from "./World.ts"

/** The network's end of a connection. */
export interface Outlet {
  readonly send: (frame: Uint8Array) => void
  /** The member hangs up. */
  readonly close: () => void
}

/** What the leader did with a request, in its order. */
export interface Executed {
  /** In ms since the beginning. */
  readonly at: number
  readonly session: bigint
  readonly opCode: number
  /** Of the writes in it. */
  readonly marks: ReadonlyArray<string>
  /** 0 where it was done. */
  readonly error: number
  readonly zxid: bigint
}

/** The end of a session at the leader; `killed` is an expiry that no clock can foresee. */
export interface Ended {
  readonly at: number
  readonly session: bigint
  readonly how: "closed" | "expired" | "killed"
}

interface Entry {
  readonly at: number
  readonly kind: "create" | "request" | "expire"
  session: bigint
  readonly frame: Uint8Array
  readonly origin: Connection | undefined
}

const nothing = new Uint8Array(0)

export interface Settings {
  readonly members: number
  /** In ms. */
  readonly tickTime: number
}

export class Ensemble {
  readonly executed: Array<Executed> = []
  readonly ended: Array<Ended> = []
  /** Called behind whatever changes the leader's state: between two calls it is the same. */
  readonly observers: Array<() => void> = []
  readonly world: World
  readonly members: ReadonlyArray<Member>
  readonly leader: Member
  private readonly log: Array<Entry> = []
  private readonly owners = new Map<bigint, Connection>()
  private planned = Infinity

  constructor(world: World, settings: Settings) {
    this.world = world
    this.members = Array.from(
      { length: settings.members },
      (_, index) => new Member(index, world, { tickTime: settings.tickTime, maxSessionTimeout: 60_000 })
    )
    this.leader = this.member(0)
    this.leader.server.onEarlier = () => this.plan()
  }

  private member(index: number): Member {
    const member = this.members[index]
    if (member === undefined) throw new Error(`no member ${index}`)
    return member
  }

  connect(index: number, outlet: Outlet): Connection {
    return new Connection(this, this.member(index), outlet)
  }

  // -------------------------------------------------------------------------
  // faults
  // -------------------------------------------------------------------------

  /** How far a follower is behind from now on, in ms. */
  setLag(index: number, lag: number): void {
    if (index > 0) this.member(index).lag = lag
  }

  isolate(index: number): void {
    if (index > 0) this.member(index).isIsolated = true
  }

  rejoin(index: number): void {
    const member = this.member(index)
    if (!member.isIsolated) return
    member.isIsolated = false
    this.follow(member)
    for (const proceed of member.held.splice(0)) proceed()
  }

  /** Ends a session as an administrator could, at any time. */
  kill(session: bigint): void {
    if (this.leader.server.expireSession(session)) this.gone(session, "killed")
  }

  get sessions(): ReadonlyArray<bigint> {
    return Array.from(this.leader.server.sessions, ({ id }) => id)
  }

  // -------------------------------------------------------------------------
  // order
  // -------------------------------------------------------------------------

  /** The leader's core is woken up when it has something to do by itself. */
  private plan(): void {
    const { leader, world } = this
    const next = world.now + leader.server.untilTick
    if (next === Infinity || next >= this.planned) return
    this.planned = next
    world.at(next, () => {
      if (this.planned !== next) return
      this.planned = Infinity
      const before = this.sessions
      leader.server.tick()
      const after = new Set(this.sessions)
      for (const session of before) if (!after.has(session)) this.gone(session, "expired")
      this.plan()
    })
  }

  private gone(session: bigint, how: Ended["how"]): void {
    this.ended.push({ at: this.world.now, session, how })
    this.world.trace.add(`session ${session.toString(16)} ${how}`)
    this.leader.ports.delete(session)
    this.append("expire", session, nothing, undefined)
  }

  append(kind: Entry["kind"], session: bigint, frame: Uint8Array, origin: Connection | undefined): void {
    const entry: Entry = { at: this.world.now, kind, session, frame, origin }
    this.log.push(entry)
    if (kind !== "expire") this.apply(this.leader, entry)
    for (const observe of this.observers) observe()
    for (const member of this.members) if (member !== this.leader) this.follow(member)
  }

  /** Plans the next entry of a follower. */
  private follow(member: Member): void {
    const entry = this.log[member.applied]
    if (entry === undefined || member.isIsolated || member.isApplying) return
    member.isApplying = true
    this.world.at(entry.at + member.lag, () => {
      member.isApplying = false
      if (member.isIsolated) return
      member.applied++
      this.apply(member, entry)
      for (const proceed of member.behind.splice(0)) proceed()
      this.follow(member)
    })
  }

  private apply(member: Member, entry: Entry): void {
    member.clock.entryAt = entry.at
    if (entry.kind === "create") return this.applyCreate(member, entry)
    if (entry.kind === "request") return this.applyRequest(member, entry)
    member.server.expireSession(entry.session)
    member.ports.delete(entry.session)
  }

  private applyCreate(member: Member, entry: Entry): void {
    const origin = entry.origin?.member === member && entry.origin.isOpen ? entry.origin : undefined
    const port = new Port()
    const answer = port.open(member, entry.frame, origin)
    if (answer === undefined) throw new Error("the core did not answer the handshake of a new session")
    const response = Wire.readConnectResponse(answer)
    if (entry.session === 0n) entry.session = response.sessionId
    if (entry.session !== response.sessionId) throw new Error("members gave one session different ids")
    port.credentials = response
    member.ports.set(entry.session, port)
    if (origin !== undefined) this.attached(origin, entry.session)
  }

  private applyRequest(member: Member, entry: Entry): void {
    const port = member.ports.get(entry.session)
    const { opCode } = Wire.readRequest(entry.frame)
    if (port !== undefined) {
      const reply = port.execute(member, entry.frame, entry.origin)
      if (opCode === OpCode.CloseSession) member.ports.delete(entry.session)
      if (member === this.leader) this.record(entry, opCode, reply)
    }
    entry.origin?.applied(member)
  }

  private record({ at, frame, session }: Entry, opCode: number, reply: Wire.Answer | undefined): void {
    const { error: header, first, zxid } = reply ?? { error: 0, first: 0, zxid: -1n }
    // The header of a refused transaction says that all is well.
    const error = opCode === OpCode.Multi && first === OpCode.Error ? ErrorCode.RuntimeInconsistency : header
    const marks = Wire.marksIn(frame)
    this.executed.push({ at, session, opCode, marks, error, zxid })
    if (opCode === OpCode.CloseSession) this.ended.push({ at, session, how: "closed" })
    this.world.trace.add(`executed ${session.toString(16)} op ${opCode} ${marks.join()} -> ${error} zxid ${zxid}`)
  }

  // -------------------------------------------------------------------------
  // sessions
  // -------------------------------------------------------------------------

  attached(connection: Connection, session: bigint): void {
    connection.session = session
    this.owners.set(session, connection)
  }

  owns(connection: Connection, session: bigint): boolean {
    return this.owners.get(session) === connection
  }

  /** The leader hears of a session through a follower. */
  touch(session: bigint): void {
    this.leader.ports.get(session)?.execute(this.leader, Wire.pingFrame(), undefined)
  }
}

/** In ms since the epoch on both scales. */
class MemberClock implements Clock.Clock {
  /** When the entry that a follower applies was ordered. */
  entryAt = 0
  private readonly world: World
  private readonly isLeader: boolean

  constructor(world: World, isLeader: boolean) {
    this.world = world
    this.isLeader = isLeader
  }

  private get millis(): number {
    return epoch + (this.isLeader ? this.world.now : this.entryAt)
  }

  currentTimeMillisUnsafe(): number {
    return Math.floor(this.millis)
  }
  currentTimeNanosUnsafe(): bigint {
    return BigInt(Math.round(this.millis * 1000)) * 1000n
  }
  monotonicTimeNanosUnsafe(): bigint {
    return this.currentTimeNanosUnsafe()
  }
  readonly currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  readonly monotonicTimeNanos = Effect.sync(() => this.monotonicTimeNanosUnsafe())
  sleep(): Effect.Effect<void> {
    return Effect.die(new Error("a server core does not sleep"))
  }
}

export class Member {
  readonly listener: string
  readonly clock: MemberClock
  readonly server: Server
  readonly ports = new Map<bigint, Port>()
  /** Entries applied; not kept for the leader, which applies at once. */
  applied = 0
  isApplying = false
  /** In ms. */
  lag = 0
  isIsolated = false
  /** What waits for the leader to be in reach. */
  readonly held: Array<() => void> = []
  /** What waits for the next entry. */
  readonly behind: Array<() => void> = []

  constructor(index: number, world: World, options: ConstructorParameters<typeof Server>[0]) {
    this.listener = `zk${index}:2181`
    this.clock = new MemberClock(world, index === 0)
    this.server = new Server(options, this.clock)
  }
}

/** A session as one member's core knows it: with its client on the line, or alone. */
class Port {
  credentials: Wire.ConnectResponse | undefined
  private peer: Peer | undefined
  private target: Connection | undefined
  /** Whose request is executed now, and what the core answered to it. */
  private asking: { readonly origin: Connection | undefined; answer: Wire.Answer | undefined } | undefined

  /** Shakes hands with the core for a client, or for none. What the core answers is returned, and told the client. */
  open(member: Member, handshake: Uint8Array, target: Connection | undefined): Uint8Array | undefined {
    let answer: Uint8Array | undefined
    let isClosed = false
    const link = {
      remoteAddress: "10.0.0.1",
      listener: member.listener,
      send: (bytes: Uint8Array) => {
        if (answer !== undefined) return this.say(bytes)
        answer = bytes.slice()
        target?.deliver(answer)
      },
      close: () => {
        isClosed = true
        if (peer !== undefined && this.peer === peer) this.hungUp()
        else target?.hangUp()
      }
    }
    let peer: Peer | undefined
    peer = member.server.accept(link)
    peer.receive(handshake)
    if (!isClosed) {
      this.peer = peer
      this.target = target
    }
    return isClosed ? undefined : answer
  }

  /** Executes a frame and says what the answer was. A client hears only the answers to its own connection's requests. */
  execute(member: Member, frame: Uint8Array, origin: Connection | undefined): Wire.Answer | undefined {
    if (this.peer === undefined) this.openAlone(member)
    const asking: NonNullable<Port["asking"]> = { origin, answer: undefined }
    this.asking = asking
    this.peer?.receive(frame)
    this.asking = undefined
    return asking.answer
  }

  private openAlone(member: Member): void {
    const { credentials } = this
    if (credentials === undefined) return
    const { passwd, sessionId, timeOut } = credentials
    this.open(
      member,
      Wire.connectFrame({ protocolVersion: 0, lastZxidSeen: 0n, timeOut, sessionId, passwd, readOnly: false }),
      undefined
    )
  }

  private say(bytes: Uint8Array): void {
    const { asking, target } = this
    for (const frame of new Wire.FrameBuffer().push(bytes)) {
      const reply = Wire.readReply(frame)
      const isAnswer = reply._tag === "Answer"
      if (isAnswer && asking !== undefined) asking.answer = reply
      if (!isAnswer || asking === undefined || asking.origin === target) target?.deliver(frame)
    }
  }

  private hungUp(): void {
    const { target } = this
    this.peer = this.target = undefined
    target?.hangUp()
  }

  /** The client is gone. */
  leave(target: Connection): void {
    if (this.target !== target) return
    const { peer } = this
    this.peer = this.target = undefined
    peer?.closed()
  }
}

/** A member's side of a client's connection. Frames go in whole. */
export class Connection {
  readonly member: Member
  isOpen = true
  session: bigint | undefined
  private readonly ensemble: Ensemble
  private readonly outlet: Outlet
  private isGreeted = false
  /** Requests in their order; those that the leader orders stay at the head until they are applied here. */
  private readonly queue: Array<{ readonly frame: Uint8Array; readonly isOrdered: boolean }> = []

  constructor(ensemble: Ensemble, member: Member, outlet: Outlet) {
    this.ensemble = ensemble
    this.member = member
    this.outlet = outlet
  }

  receive(frame: Uint8Array): void {
    if (!this.isOpen) return
    if (!this.isGreeted) {
      this.isGreeted = true
      return this.greet(frame)
    }
    const isOrdered = Wire.isOrdered(Wire.readRequest(frame).opCode)
    this.queue.push({ frame, isOrdered })
    if (isOrdered) this.withLeader(() => this.order(frame))
    this.proceed()
  }

  /** The client, or the network, hung up. */
  closed(): void {
    if (!this.isOpen) return
    this.isOpen = false
    if (this.session !== undefined) this.member.ports.get(this.session)?.leave(this)
  }

  deliver(frame: Uint8Array): void {
    if (this.isOpen) this.outlet.send(frame)
  }

  hangUp(): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.outlet.close()
  }

  /** An ordered request of ours has been applied at a member. */
  applied(member: Member): void {
    if (member !== this.member) return
    this.queue.shift()
    this.proceed()
  }

  private withLeader(proceed: () => void): void {
    if (this.member.isIsolated) this.member.held.push(proceed)
    else proceed()
  }

  private greet(frame: Uint8Array): void {
    this.withLeader(() => {
      if (!this.isOpen) return
      const { sessionId } = Wire.readConnectRequest(frame)
      if (sessionId === 0n) return this.ensemble.append("create", 0n, frame, this)
      // Whether a session lives is for the leader to say.
      if (!this.ensemble.leader.ports.has(sessionId)) return void new Port().open(this.ensemble.leader, frame, this)
      const port = this.member.ports.get(sessionId)
      if (port === undefined) return void this.member.behind.push(() => this.greetAgain(frame))
      // The core itself refuses a client that has seen more than it, and hangs up.
      if (port.open(this.member, frame, this) === undefined) return
      this.ensemble.attached(this, sessionId)
      if (this.member !== this.ensemble.leader) this.ensemble.touch(sessionId)
    })
  }

  private greetAgain(frame: Uint8Array): void {
    if (this.isOpen) this.greet(frame)
  }

  private order(frame: Uint8Array): void {
    const { ensemble, session } = this
    if (!this.isOpen || session === undefined) return
    // The session has moved: the leader refuses, and the member hangs up.
    if (!ensemble.owns(this, session)) {
      this.member.ports.get(session)?.leave(this)
      return this.hangUp()
    }
    ensemble.append("request", session, frame, this)
  }

  private proceed(): void {
    for (let head = this.queue[0]; head !== undefined && !head.isOrdered && this.isOpen; head = this.queue[0]) {
      this.queue.shift()
      if (this.session === undefined) return
      this.member.ports.get(this.session)?.execute(this.member, head.frame, this)
      if (this.member !== this.ensemble.leader && !this.member.isIsolated) this.ensemble.touch(this.session)
    }
  }
}
