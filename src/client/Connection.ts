/**
 * One socket to one server, from the handshake to its end.
 *
 * Requests are encoded into a shared buffer as they come and leave in one write
 * per turn; replies come in the order of the requests, so a first-in first-out
 * list of what is pending is all that matches them. Everything that arrives is
 * handled inside the read loop, in wire order: events before the replies behind
 * them. A caller that goes away leaves its slot, which keeps the order.
 *
 * Not here: which server, which session, what to do after the end.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { ErrorCode } from "../jute/ErrorCode.ts"
import { Frames } from "../jute/Frames.ts"
import * as Jute from "../jute/Jute.ts"
import { OpCode } from "../jute/OpCode.ts"
import * as Protocol from "../jute/Protocol.ts"
import {
  ConnectionError,
  ConnectionLoss,
  Protocol as ProtocolReason,
  type Reason,
  RequestTimeout,
  Tls,
  TooLarge
} from "../ZooKeeperError.ts"
import { Fifo } from "./Fifo.ts"
import { call, type Pending, reasonOf } from "./Request.ts"

const connectRequest = Jute.layoutOf(Protocol.ConnectRequest)
const connectResponse = Jute.layoutOf(Protocol.ConnectResponse)
const watcherEvent = Jute.layoutOf(Protocol.WatcherEvent)
const smallestConnectResponse = 36
const largestHandshake = 4096

/** How often a throttled request is asked again before its caller is told. */
const mostRepeats = 8
/** In ms: the first pause of a connection whose requests are throttled, and the longest. */
const firstPause = 50
const longestPause = 400

/** Ends the session; the server answers, then hangs up. */
export const closeSession = call("close", Protocol.operations.closeSession, { value: () => undefined })

/** When something left us: ms on the monotonic and on the wall clock. */
export interface Asked {
  readonly at: number
  readonly wall: number
}

/** A write, and which requests it carried, counted from 1. */
interface Question extends Asked {
  readonly first: number
  readonly last: number
}

/** What a connection tells its session. */
export interface Listener {
  /** What was asked then was answered: the session lived. Not always called in order. */
  readonly proven: (asked: Asked) => void
  /** The zxid of an ordinary reply. */
  readonly zxid: (zxid: bigint) => void
  /** A watch fired; the path is the server's. */
  readonly notified: (type: number, path: string) => void
  /** A slot of the in-flight window became free. */
  readonly answered: () => void
  /** Why the connection was given up from our side. */
  readonly interrupted: () => Reason
}

export interface Limits {
  /** In bytes. */
  readonly maxRequestSize: number
  /** In bytes. */
  readonly maxReplySize: number
  /** In ms, 0 for none. */
  readonly requestTimeout: number
}

const failure = (reason: Reason) => new ConnectionError({ reason, outcome: "NotApplied" })

const messageOf = (reason: Socket.SocketErrorReason): string => {
  if (reason._tag === "SocketCloseError") return "closed by the server"
  if (reason._tag === "SocketOpenError" && reason.kind === "Timeout") return "no connection in time"
  return "cause" in reason && reason.cause instanceof Error && reason.cause.message !== ""
    ? reason.cause.message
    : reason.message
}

/** A transport that knows better than that the connection was lost says so by the cause of its error. */
const lost = ({ reason }: Socket.SocketError): ConnectionError =>
  failure("cause" in reason && reason.cause instanceof Tls ? reason.cause : new ConnectionLoss({ detail: messageOf(reason) }))

export class Connection {
  /** Monotonic ms at which bytes last came; any byte is a sign of life. */
  lastReceived: number
  /** Monotonic ms of the last write; the ping clock. */
  lastSent: number
  private readonly clock: Clock.Clock
  private readonly limits: Limits
  private readonly listener: Listener
  private readonly nextXid: () => number
  private readonly writer = new Jute.Writer()
  private readonly frames: Frames
  private readonly pending = new Fifo()
  private readonly auths = new Fifo()
  private response: typeof Protocol.ConnectResponse.Type | undefined
  private refusal: ConnectionError | undefined
  private parked: ((blocks: Effect.Effect<Array<Uint8Array>, ConnectionError>) => void) | undefined
  private scheduled = false
  private ended: Reason | undefined
  /** Whether the handshake was written. */
  wasAsked = false
  /** Whether the peer has sent anything at all. */
  wasHeard = false
  /** Monotonic ms until which nothing is written, 0 for no such time. */
  private pausedUntil = 0
  private leaving: ConnectionError | undefined
  /** The end is decided: whoever is told of it must not be served here again. */
  private failing = false
  private enqueued = 0
  private answered = 0
  /** Writes with requests that are not answered, the oldest first: the first answer to each proves the session. */
  private readonly questions: Array<Question> = []
  /** How many answers the next thing to do about them waits for. */
  private nextProof = Infinity
  /** Pings that are not answered; they are answered in order, and apart from requests. */
  private readonly pings: Array<Asked> = []
  private zxidHigh = 0
  private zxidLow = 0

  constructor(options: {
    readonly clock: Clock.Clock
    readonly limits: Limits
    readonly listener: Listener
    readonly nextXid: () => number
  }) {
    this.clock = options.clock
    this.limits = options.limits
    this.listener = options.listener
    this.nextXid = options.nextXid
    this.lastReceived = this.lastSent = this.now()
    this.frames = new Frames(largestHandshake, {
      frame: (reader) => this.response === undefined ? this.onConnectResponse(reader) : this.onReply(reader),
      oversize: (reader, size) => this.onOversize(reader, size)
    })
  }

  /** Monotonic time in ms. */
  now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  get inFlight(): number {
    return this.pending.size
  }

  get isOpen(): boolean {
    return !this.failing && this.ended === undefined
  }

  // -------------------------------------------------------------------------
  // writing
  // -------------------------------------------------------------------------

  /** Encodes a request behind all others. Too large a one fails alone, unsent. */
  enqueue(pending: Pending): void {
    if (this.ended !== undefined) return pending.fail(this.ended, "NotApplied")
    const { writer } = this
    writer.begin()
    writer.int(pending.xid = this.nextXid())
    if (!this.encode(pending)) return
    if (this.limits.requestTimeout > 0) pending.sentAt = this.now()
    this.enqueued++
    this.pending.push(pending)
    this.schedule()
  }

  /** Authentication is answered out of order, under an xid of its own. */
  enqueueAuth(pending: Pending): void {
    if (this.ended !== undefined) return pending.fail(this.ended, "NotApplied")
    this.writer.begin()
    this.writer.int(pending.xid = Protocol.Xid.Auth)
    if (!this.encode(pending)) return
    if (this.limits.requestTimeout > 0) pending.sentAt = this.now()
    this.auths.push(pending)
    this.schedule()
  }

  ping(): void {
    this.pings.push({ at: this.now(), wall: this.clock.currentTimeMillisUnsafe() })
    this.writer.begin()
    this.writer.int(Protocol.Xid.Ping)
    this.writer.int(OpCode.Ping)
    this.writer.end()
    this.schedule()
  }

  private encode(pending: Pending): boolean {
    const { writer } = this
    writer.int(pending.call.opCode)
    pending.call.request.write(writer, pending.request)
    const size = writer.end()
    const limit = this.limits.maxRequestSize
    if (size <= limit) return true
    writer.undo(size)
    pending.fail(new TooLarge({ what: "request", size, limit }), "NotApplied")
    return false
  }

  private schedule(): void {
    if (this.scheduled || this.parked === undefined) return
    this.scheduled = true
    queueMicrotask(this.flush)
  }

  private readonly flush = (): void => {
    this.scheduled = false
    const { parked } = this
    if (parked === undefined || this.writer.isEmpty) return
    this.parked = undefined
    parked(this.blocks())
  }

  /** What has gathered, now or after the pause. */
  private blocks(): Effect.Effect<Array<Uint8Array>, ConnectionError> {
    if (this.pausedUntil === 0) return Effect.succeed(this.drain())
    const left = this.pausedUntil - this.now()
    this.pausedUntil = 0
    return Effect.andThen(Effect.sleep(Math.max(0, left)), this.awaitBlocks)
  }

  /** When the oldest question left that is not answered yet. */
  private get askedAt(): number | undefined {
    const ping = this.pings[0]?.at
    const request = this.questions[0]?.at
    return ping === undefined || request === undefined ? ping ?? request : Math.min(ping, request)
  }

  /** Of what waits for answers, that which was sent first: identities are answered apart from requests. */
  private get oldest(): Fifo {
    const request = this.pending.first?.sentAt ?? Infinity
    return (this.auths.first?.sentAt ?? Infinity) < request ? this.auths : this.pending
  }

  private drain(): Array<Uint8Array> {
    this.lastSent = this.now()
    const { enqueued, questions } = this
    const first = (questions[questions.length - 1]?.last ?? this.answered) + 1
    if (enqueued >= first) {
      questions.push({ at: this.lastSent, wall: this.clock.currentTimeMillisUnsafe(), first, last: enqueued })
      if (questions.length === 1) this.nextProof = first
    }
    return this.writer.drain()
  }

  // -------------------------------------------------------------------------
  // reading
  // -------------------------------------------------------------------------

  private onConnectResponse(reader: Jute.Reader): void {
    if (this.refusal !== undefined) return
    if (reader.remaining < smallestConnectResponse) {
      // A read-only server without local sessions answers with a bare reply header.
      reader.offset += 12
      const code = reader.remaining === 4 ? reader.int() : ErrorCode.SystemError
      this.refusal = failure(reasonOf(code, "connect"))
      return
    }
    this.response = connectResponse.read(reader)
    this.frames.limit = this.limits.maxReplySize
  }

  private onReply(reader: Jute.Reader): void {
    const at = reader.take(16)
    const { view } = reader
    const xid = view.getInt32(at)
    if (xid === Protocol.Xid.Notification) {
      const { path, type } = watcherEvent.read(reader)
      return this.listener.notified(type, path)
    }
    const code = view.getInt32(at + 12)
    if (xid === Protocol.Xid.Ping) return this.onPing(code)
    if (xid === Protocol.Xid.Auth) return this.onAuth(code)
    const pending = this.settle(xid)
    // Zxids that are 0 or -1 are no positions; a ping's or an event's zxid may be ahead of what we were told.
    // Most replies to reads show the position of the one before: no bigint is made for those.
    const high = view.getInt32(at + 4)
    const low = view.getInt32(at + 8)
    if (high >= 0 && (low !== this.zxidLow || high !== this.zxidHigh)) {
      this.zxidHigh = high
      this.zxidLow = low
      this.listener.zxid(view.getBigInt64(at + 4))
    }
    if (code === 0) this.succeed(pending, reader)
    else this.refuse(pending, code)
    this.listener.answered()
  }

  private onOversize(reader: Jute.Reader, size: number): void {
    const limit = this.frames.limit
    if (this.response === undefined) throw reader.problem(`a handshake of ${size} bytes`)
    const xid = reader.int()
    if (xid < 0) throw reader.problem(`a frame of ${size} bytes for xid ${xid}, limit ${limit}`)
    // The reply was skipped, not the request: what it did is done.
    this.settle(xid).fail(new TooLarge({ what: "reply", size, limit }), "Unknown")
    this.listener.answered()
  }

  /** Takes the oldest request, which this reply must belong to. */
  private settle(xid: number): Pending {
    const pending = this.pending.first
    if (pending === undefined) throw new Jute.JuteError({ detail: `a reply to xid ${xid}, which nobody awaits` })
    if (pending.xid !== xid) {
      throw new Jute.JuteError({ detail: `a reply to xid ${xid} where ${pending.xid} is due` })
    }
    this.pending.shift()
    if (++this.answered >= this.nextProof) this.prove()
    return pending
  }

  /** The oldest question has its first answer, or its last. */
  private prove(): void {
    const { answered, questions } = this
    for (let head = questions[0]; head !== undefined; head = questions[0]) {
      if (answered === head.first) this.listener.proven(head)
      if (answered < head.last) {
        this.nextProof = answered < head.first ? head.first : head.last
        return
      }
      questions.shift()
    }
    this.nextProof = Infinity
  }

  private succeed(pending: Pending, reader: Jute.Reader): void {
    let value: unknown
    try {
      value = pending.call.read(reader)
    } catch (error) {
      const detail = error instanceof Jute.JuteError ? error.detail : String(error)
      this.failing = true
      pending.fail(new ProtocolReason({ detail: `unreadable reply: ${detail}` }), "Unknown")
      throw error
    }
    pending.succeed(value)
  }

  private refuse(pending: Pending, code: number): void {
    if (code === ErrorCode.Throttled && pending.repeats < mostRepeats) return this.repeat(pending)
    pending.refuse(code)
    // The server hangs up behind it, and would do so again.
    if (code === ErrorCode.SessionClosedRequireAuth) throw failure(reasonOf(code, pending.call.name))
  }

  /** The server was too busy to execute it: it gets a pause from us, and then the request again. */
  private repeat(pending: Pending): void {
    const pause = Math.min(firstPause * 2 ** pending.repeats++, longestPause)
    this.pausedUntil = Math.max(this.pausedUntil, this.now() + pause)
    this.enqueue(pending)
  }

  private onPing(code: number): void {
    if (code !== 0) throw failure(reasonOf(code, "ping"))
    const asked = this.pings.shift()
    if (asked !== undefined) this.listener.proven(asked)
  }

  private onAuth(code: number): void {
    const pending = this.auths.shift()
    if (pending === undefined) throw new Jute.JuteError({ detail: "an answer to authentication that nobody awaits" })
    if (code === 0) pending.succeed(undefined)
    else pending.refuse(code)
  }

  private readonly onChunks = (chunks: ReadonlyArray<Uint8Array>): Effect.Effect<void, ConnectionError> => {
    this.lastReceived = this.now()
    if (!this.wasHeard) {
      this.wasHeard = true
      const [first = new Uint8Array()] = chunks
      // An alert: no handshake of ZooKeeper's begins like that.
      if (first[0] === 0x15 && first[1] === 0x03) {
        return Effect.fail(failure(new Tls({ problem: "TlsServer", detail: "it answered with an alert" })))
      }
    }
    try {
      for (const chunk of chunks) this.frames.push(chunk)
      return Effect.void
    } catch (error) {
      // Nothing a peer sends may throw past this line.
      return Effect.fail(
        error instanceof ConnectionError
          ? error
          : failure(new ProtocolReason({ detail: error instanceof Jute.JuteError ? error.detail : String(error) }))
      )
    }
  }

  // -------------------------------------------------------------------------
  // life
  // -------------------------------------------------------------------------

  /** Dials and shakes hands. Whoever owns the scope owns the socket. */
  open(
    socket: Socket.Socket,
    request: typeof Protocol.ConnectRequest.Type
  ): Effect.Effect<
    {
      readonly response: typeof Protocol.ConnectResponse.Type
      readonly serve: (
        timeout: number,
        deadline: () => number,
        prepare: Effect.Effect<void, ConnectionError>
      ) => Effect.Effect<never, ConnectionError>
    },
    ConnectionError,
    Scope.Scope
  > {
    return Effect.mapError(
      Effect.gen({ self: this }, function*() {
        const pull = yield* Socket.readerBytes(socket)
        const socketWriter = yield* socket.writer
        this.writer.begin()
        connectRequest.write(this.writer, request)
        this.writer.end()
        this.wasAsked = true
        yield* socketWriter.writeAll(this.drain() as [Uint8Array])
        while (this.response === undefined) {
          yield* this.onChunks(yield* pull)
          if (this.refusal !== undefined) return yield* this.refusal
        }
        const read = Effect.forever(Effect.flatMap(pull, this.onChunks), { disableYield: true })
        const write = Effect.forever(Effect.flatMap(this.awaitBlocks, (blocks) => {
          const [only] = blocks
          return only !== undefined && blocks.length === 1
            ? socketWriter.write(only)
            : socketWriter.writeAll(blocks as [Uint8Array])
        }), { disableYield: true })
        return {
          response: this.response,
          serve: (timeout, deadline, prepare) => {
            const keepAlive = this.keepAlive(timeout, deadline)
            return Effect.raceAllFirst([
              read,
              write,
              Effect.andThen(Effect.raceFirst(prepare, keepAlive), keepAlive)
            ]).pipe(
              Effect.mapError((error) => error._tag === "SocketError" ? lost(error) : error),
              Effect.onExit((exit) =>
                Effect.sync(() =>
                  this.end(Exit.isFailure(exit) && firstError(exit)?.reason || this.listener.interrupted())
                )
              )
            )
          }
        }
      }),
      (error) => error._tag === "SocketError" ? lost(error) : error
    )
  }

  private readonly awaitBlocks: Effect.Effect<Array<Uint8Array>, ConnectionError> = Effect.callback((resume) => {
    if (this.leaving !== undefined) resume(this.leaving)
    else if (this.writer.isEmpty) this.parked = resume
    else resume(this.blocks())
  })

  /** Gives this connection up for another one. */
  leave(reason: Reason): void {
    this.leaving = failure(reason)
    const { parked } = this
    this.parked = undefined
    parked?.(this.leaving)
  }

  /** Pings when we were silent, gives up when the server was. */
  private keepAlive(timeout: number, deadline: () => number): Effect.Effect<never, ConnectionError> {
    const pingAfter = timeout / 3
    const silentAfter = timeout * 2 / 3
    const { requestTimeout } = this.limits
    return Effect.gen({ self: this }, function*() {
      let suspected = false
      while (true) {
        const now = this.now()
        const { oldest } = this
        const headDue = requestTimeout === 0 ? Infinity : (oldest.first?.sentAt ?? now) + requestTimeout
        // Silence is the server's fault only where it was asked something: after a stall it is asked first.
        const silence = Math.max(this.lastReceived + silentAfter, (this.askedAt ?? now) + pingAfter)
        if (now >= silence || now >= deadline() || now >= headDue) {
          if (suspected) {
            if (now >= headDue) {
              const reason = new RequestTimeout({ millis: requestTimeout })
              this.failing = true
              oldest.shift()?.fail(reason, "Unknown")
              return yield* failure(reason)
            }
            const detail = now >= silence
              ? `the server was silent for ${Math.round(now - this.lastReceived)} ms`
              : "no answer before the session's deadline"
            return yield* failure(new ConnectionLoss({ detail }))
          }
          // After a stall of the event loop timers run before sockets are read: look again behind a read phase,
          // which a yield waits for and a short timer does not.
          suspected = true
          yield* Effect.yieldNow
          yield* Effect.sleep(1)
          yield* Effect.yieldNow
          continue
        }
        suspected = false
        if (now >= this.lastSent + pingAfter) {
          this.ping()
          this.lastSent = now
        }
        const wake = Math.min(this.lastSent + pingAfter, silence, headDue, deadline())
        yield* Effect.sleep(Math.max(1, Math.ceil(wake - now)))
      }
    })
  }

  /** Fails everything that waits for an answer, once and in order. */
  private end(reason: Reason): void {
    if (this.ended !== undefined) return
    this.ended = reason
    this.parked = undefined
    for (let auth = this.auths.shift(); auth !== undefined; auth = this.auths.shift()) auth.fail(reason, "Unknown")
    for (let next = this.pending.shift(); next !== undefined; next = this.pending.shift()) next.fail(reason, "Unknown")
  }
}

const firstError = (exit: Exit.Failure<never, ConnectionError>): ConnectionError | undefined => {
  for (const reason of exit.cause.reasons) if (reason._tag === "Fail") return reason.error
  return undefined
}
