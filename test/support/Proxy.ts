/**
 * A TCP proxy between a client and a ZooKeeper server which can do to a
 * connection everything that a network can: cut it, freeze it, slow it down,
 * tear its bytes apart. It also knows the frames of the protocol, so that a
 * test can lose exactly the reply it means, or answer in the server's place.
 *
 * Bytes which are no frames (four-letter words, TLS) pass as they are.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { connect, createServer, type Server, type Socket } from "node:net"
import { freePorts } from "./ZooKeeperServer.ts"

export type Direction = "toServer" | "toClient"

/** The handshake has no header; here it goes by the number which the server itself gives it. */
export const connectOpCode = -10

/** A frame from the client. */
export interface Request {
  /** 1 for the first connection that was accepted, and so on. */
  readonly connection: number
  /** 0 for the ConnectRequest, and so on. */
  readonly index: number
  /** 0 for the ConnectRequest. */
  readonly xid: number
  /** {@link connectOpCode} for the ConnectRequest. */
  readonly opCode: number
  /** The frame without its length. */
  readonly bytes: Uint8Array
}

/** A frame from the server. */
export interface Reply {
  readonly connection: number
  /** 0 for the ConnectResponse, and so on. */
  readonly index: number
  /** 0 for the ConnectResponse, −1 for a watch event. */
  readonly xid: number
  readonly zxid: bigint
  readonly err: number
  /** Of the request which is answered; 0 for a watch event. */
  readonly opCode: number
  /** The frame without its length. */
  readonly bytes: Uint8Array
}

/** What becomes of a frame; without one it passes. */
export type ReplyAction =
  | { readonly _tag: "Drop" }
  /** Passes another frame instead. */
  | { readonly _tag: "Replace"; readonly bytes: Uint8Array }
  /** Passes these bytes instead, without adding a length. */
  | { readonly _tag: "Raw"; readonly bytes: Uint8Array }
  /** Cuts the connection on both sides, without passing the frame. */
  | { readonly _tag: "Cut" }
  | { readonly _tag: "ForwardThenCut" }
  /** Holds the frame, and everything behind it, until `release`. */
  | { readonly _tag: "Hold" }

export type RequestAction =
  | ReplyAction
  /** Does not pass the frame but answers it with another one, and closes the connection then if `close` is set. */
  | { readonly _tag: "Answer"; readonly bytes: Uint8Array; readonly close?: boolean | undefined }

export interface Proxy {
  readonly port: number
  /** Connect string for the client. */
  readonly hosts: string

  /** Everything that was seen so far. Times are those of `performance.now()`. */
  readonly requests: ReadonlyArray<Omit<Request, "bytes"> & { readonly at: number }>
  readonly replies: ReadonlyArray<Omit<Reply, "bytes"> & { readonly at: number }>
  /** How many connections were accepted so far. */
  readonly accepted: () => number
  /** How many connections live now. */
  readonly live: () => number
  /** How many frames are held by `Hold`. */
  readonly held: () => number

  /** Completes when the condition holds. It is looked at after everything that happens. */
  readonly until: (condition: () => boolean) => Effect.Effect<void>
  /** Completes when the n-th connection was accepted. */
  readonly waitForConnection: (n: number) => Effect.Effect<void>
  /** Completes with the first request, from number `from` (0) of `requests` on, which satisfies the predicate. */
  readonly waitForRequest: (
    predicate: (request: Proxy["requests"][number]) => boolean,
    from?: number
  ) => Effect.Effect<Proxy["requests"][number]>
  /** The same for replies. */
  readonly waitForReply: (
    predicate: (reply: Proxy["replies"][number]) => boolean,
    from?: number
  ) => Effect.Effect<Proxy["replies"][number]>

  /** Decides about every frame from a client. The first hook with an opinion wins. Returns how to remove the hook. */
  readonly onRequest: (hook: (request: Request) => RequestAction | undefined) => () => void
  /** Decides about every frame from the server. */
  readonly onReply: (hook: (reply: Reply) => ReplyAction | undefined) => () => void
  /** Lets go of what `Hold` holds. */
  readonly release: () => void

  /** Ends all connections on both sides: properly (FIN), or by RST. */
  readonly cut: (how?: "fin" | "reset") => void
  /** Whether new connections are refused. Those that live go on. */
  readonly refuse: (refused: boolean) => Effect.Effect<void>
  /** Whether new connections are accepted and then never answered, also after this is taken back. */
  readonly mute: (muted: boolean) => void
  /** Holds all bytes, of new connections too, and the news that a side has closed. */
  readonly freeze: (direction: Direction | "both") => void
  /** Delivers what was held, late. */
  readonly thaw: () => void
  /** Lets each frame take so many milliseconds; 0 is the beginning. */
  readonly delay: (milliseconds: number) => void
  /** Writes single bytes. */
  readonly splitBytes: (split: boolean) => void
  /** Passes n more bytes in this direction, over all connections, and then cuts the one that carried the last. */
  readonly cutAfterBytes: (n: number, direction: Direction) => void
  /** Sends a frame to the client of the newest connection. */
  readonly inject: (bytes: Uint8Array) => void
  /** Sends new connections to another server. */
  readonly route: (upstream: number | string) => void
}

/** A frame for `Answer`, `Replace` and `inject`: the reply header, and a body that is encoded already. */
export const encodeReply = (reply: {
  readonly xid: number
  readonly zxid?: bigint | undefined
  readonly err?: number | undefined
  readonly body?: Uint8Array | undefined
}): Uint8Array => {
  const bytes = Buffer.alloc(16 + (reply.body?.length ?? 0))
  bytes.writeInt32BE(reply.xid, 0)
  bytes.writeBigInt64BE(reply.zxid ?? 0n, 4)
  bytes.writeInt32BE(reply.err ?? 0, 12)
  if (reply.body !== undefined) bytes.set(reply.body, 16)
  return bytes
}

/** A proxy in front of the server on this loopback port, or in front of the first one in a connect string. */
export const make = (upstream: number | string): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      const [port] = yield* freePorts(1)
      if (port === undefined) return yield* Effect.die("no free port")
      const network = new Network(port, upstreamOf(upstream))
      yield* network.listen
      return network
    }).pipe(Effect.retry({ times: 2 }), Effect.orDie),
    (network) => Effect.sync(() => network.close())
  ).pipe(Effect.map(fromNetwork))

const address = "127.0.0.1"

interface Upstream {
  readonly host: string
  readonly port: number
}

const upstreamOf = (upstream: number | string): Upstream => {
  if (typeof upstream === "number") return { host: address, port: upstream }
  const [, host = upstream, port = "2181"] = /^\[?(.+?)\]?:(\d+)(?:[,/]|$)/.exec(upstream) ?? []
  return { host, port: Number(port) }
}

const fromNetwork = (network: Network): Proxy => {
  const waitForFirst = <A>(list: ReadonlyArray<A>, predicate: (a: A) => boolean, from = 0) => {
    let index = from
    const isThere = () => {
      while (index < list.length && !predicate(list[index] as A)) index++
      return index < list.length
    }
    return Effect.map(network.until(isThere), () => list[index] as A)
  }
  return {
    port: network.port,
    hosts: `${address}:${network.port}`,
    requests: network.requests,
    replies: network.replies,
    accepted: () => network.accepted,
    live: () => network.connections.size,
    held: () => network.pipes().reduce((sum, pipe) => sum + pipe.held, 0),
    until: (condition) => network.until(condition),
    waitForConnection: (n) => network.until(() => network.accepted >= n),
    waitForRequest: (predicate, from) => waitForFirst(network.requests, predicate, from),
    waitForReply: (predicate, from) => waitForFirst(network.replies, predicate, from),
    onRequest: (hook) => added(network.requestHooks, hook),
    onReply: (hook) => added(network.replyHooks, hook),
    release: () => network.pipes().forEach((pipe) => pipe.release()),
    cut: (how) => network.connections.forEach((connection) => connection.cut(how)),
    refuse: (refused) => refused ? Effect.sync(() => network.refuse()) : Effect.orDie(network.listen),
    mute: (muted) => {
      network.muted = muted
    },
    freeze: (direction) => {
      if (direction !== "toClient") network.frozen.toServer = true
      if (direction !== "toServer") network.frozen.toClient = true
    },
    thaw: () => {
      network.frozen = { toServer: false, toClient: false }
      network.pipes().forEach((pipe) => pipe.flush())
    },
    delay: (milliseconds) => {
      network.delay = milliseconds
    },
    splitBytes: (split) => {
      network.split = split
    },
    cutAfterBytes: (n, direction) => {
      network.budget[direction] = n
    },
    inject: (bytes) => [...network.connections].at(-1)?.toClient.push(framed(bytes)),
    route: (upstream) => {
      network.upstream = upstreamOf(upstream)
    }
  }
}

const added = <A>(hooks: Array<A>, hook: A): () => void => {
  hooks.push(hook)
  return () => void hooks.splice(hooks.indexOf(hook), 1)
}

/** What all connections of a proxy share. */
class Network {
  readonly port: number
  upstream: Upstream
  accepted = 0
  muted = false
  frozen = { toServer: false, toClient: false }
  delay = 0
  split = false
  /** How many bytes may still pass. */
  readonly budget = { toServer: Infinity, toClient: Infinity }
  readonly connections = new Set<Connection>()
  readonly requests: Array<Proxy["requests"][number]> = []
  readonly replies: Array<Proxy["replies"][number]> = []
  readonly requestHooks: Array<(request: Request) => RequestAction | undefined> = []
  readonly replyHooks: Array<(reply: Reply) => ReplyAction | undefined> = []
  readonly sockets = new Set<Socket>()
  private readonly watchers = new Set<() => void>()
  private listener: Server | undefined

  constructor(port: number, upstream: Upstream) {
    this.port = port
    this.upstream = upstream
  }

  readonly listen: Effect.Effect<void, Error> = Effect.callback((resume) => {
    if (this.listener !== undefined) return resume(Effect.void)
    // Half-open, so that each side learns that the other has closed only when we pass it on.
    const listener = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.accept(socket))
    listener.once("error", (error) => resume(Effect.fail(error)))
    listener.listen(this.port, address, () => {
      this.listener = listener
      resume(Effect.void)
    })
  })

  refuse(): void {
    this.listener?.close()
    this.listener = undefined
  }

  close(): void {
    this.refuse()
    this.pipes().forEach((pipe) => pipe.drop())
    this.sockets.forEach((socket) => socket.destroy())
  }

  pipes(): ReadonlyArray<Pipe> {
    return [...this.connections].flatMap((connection) => [connection.toServer, connection.toClient])
  }

  track(socket: Socket): Socket {
    this.sockets.add(socket)
    return socket.once("close", () => this.sockets.delete(socket))
  }

  until(condition: () => boolean): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const watcher = () => {
        if (!condition()) return
        this.watchers.delete(watcher)
        resume(Effect.void)
      }
      this.watchers.add(watcher)
      watcher()
      return Effect.sync(() => void this.watchers.delete(watcher))
    })
  }

  changed(): void {
    this.watchers.forEach((watcher) => watcher())
  }

  private accept(client: Socket): void {
    this.accepted++
    const server = this.muted ? undefined : connect({ ...this.upstream, allowHalfOpen: true, noDelay: true })
    this.connections.add(new Connection(this, this.accepted, this.track(client), server && this.track(server)))
    this.changed()
  }
}

class Connection {
  readonly id: number
  readonly toServer: Pipe
  readonly toClient: Pipe
  private readonly network: Network
  private readonly client: Socket
  /** There is none behind a mute connection. */
  private readonly server: Socket | undefined
  private readonly opCodes = new Map<number, number>()
  private requestCount = 0
  private replyCount = 0

  constructor(network: Network, id: number, client: Socket, server: Socket | undefined) {
    this.network = network
    this.id = id
    this.client = client
    this.server = server
    const cut = (how: "fin" | "reset") => this.cut(how)
    this.toServer = new Pipe(network, "toServer", server, cut)
    this.toClient = new Pipe(network, "toClient", client, cut)
    const framing = { isOver: false }
    this.join(client, this.toServer, framing, (bytes) => this.request(bytes))
    if (server !== undefined) this.join(server, this.toClient, framing, (bytes) => this.reply(bytes))
  }

  cut(how: "fin" | "reset" = "fin"): void {
    if (!this.network.connections.delete(this)) return
    for (const pipe of [this.toServer, this.toClient]) pipe.drop()
    for (const socket of [this.client, this.server]) {
      if (how === "reset") socket?.resetAndDestroy()
      // Not `destroy`: with unread bytes in its buffer, the kernel would make a reset of it.
      else socket?.end()
    }
    this.network.changed()
  }

  private join(source: Socket, pipe: Pipe, framing: { isOver: boolean }, frame: (bytes: Buffer) => void): void {
    let rest: Buffer = Buffer.alloc(0)
    const isLive = () => this.network.connections.has(this)
    source.on("data", (chunk) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      while (isLive() && !framing.isOver && rest.length >= 4) {
        const length = rest.readInt32BE(0)
        if (length < 0 || length > longestFrame) framing.isOver = true
        else if (rest.length < 4 + length) return
        else {
          const bytes = rest.subarray(4, 4 + length)
          rest = rest.subarray(4 + length)
          frame(bytes)
        }
      }
      if (isLive() && framing.isOver) {
        pipe.push(rest)
        rest = Buffer.alloc(0)
      }
    })
    source.on("end", () => isLive() ? pipe.push("end") : source.end())
    source.on("error", () => pipe.push("reset"))
    source.on("close", () => this.closed())
  }

  private closed(): void {
    if (this.client.destroyed && (this.server === undefined || this.server.destroyed)) this.cut()
  }

  private request(bytes: Buffer): void {
    const index = this.requestCount++
    const isHandshake = index === 0
    const xid = isHandshake || bytes.length < 4 ? 0 : bytes.readInt32BE(0)
    const opCode = isHandshake || bytes.length < 8 ? connectOpCode : bytes.readInt32BE(4)
    this.opCodes.set(xid, opCode)
    const request = { connection: this.id, index, xid, opCode }
    this.network.requests.push({ ...request, at: performance.now() })
    const action = firstOf(this.network.requestHooks, { ...request, bytes })
    if (action?._tag === "Answer") {
      this.toClient.push(framed(action.bytes))
      if (action.close === true) this.toClient.push("fin")
    } else this.apply(action, this.toServer, bytes)
    this.network.changed()
  }

  private reply(bytes: Buffer): void {
    const index = this.replyCount++
    const header = index === 0 || bytes.length < 16
      ? { xid: 0, zxid: 0n, err: 0 }
      : { xid: bytes.readInt32BE(0), zxid: bytes.readBigInt64BE(4), err: bytes.readInt32BE(12) }
    const reply = { connection: this.id, index, ...header, opCode: this.opCodes.get(header.xid) ?? 0 }
    if (header.xid >= 0) this.opCodes.delete(header.xid)
    this.network.replies.push({ ...reply, at: performance.now() })
    this.apply(firstOf(this.network.replyHooks, { ...reply, bytes }), this.toClient, bytes)
    this.network.changed()
  }

  private apply(action: ReplyAction | undefined, pipe: Pipe, bytes: Uint8Array): void {
    switch (action?._tag) {
      case undefined:
        return pipe.push(framed(bytes))
      case "Drop":
        return
      case "Replace":
        return pipe.push(framed(action.bytes))
      case "Raw":
        return pipe.push(action.bytes)
      case "Cut":
        return this.cut()
      case "ForwardThenCut":
        pipe.push(framed(bytes))
        return pipe.push("fin")
      case "Hold":
        return pipe.push(framed(bytes), true)
    }
  }
}

/** Bytes, the end of this direction, or of the whole connection. */
type Passage = Uint8Array | "end" | "fin" | "reset"

/** One direction of a connection: what waits to be written, in order. */
class Pipe {
  private readonly network: Network
  private readonly direction: Direction
  private readonly target: Socket | undefined
  private readonly cut: (how: "fin" | "reset") => void
  private queue: Array<{ readonly what: Passage; readonly due: number; isHeld: boolean }> = []
  private isBusy = false
  private isDropped = false
  private timer: NodeJS.Timeout | undefined

  constructor(network: Network, direction: Direction, target: Socket | undefined, cut: Pipe["cut"]) {
    this.network = network
    this.direction = direction
    this.target = target
    this.cut = cut
  }

  get held(): number {
    return this.queue.filter((item) => item.isHeld).length
  }

  push(what: Passage, isHeld = false): void {
    if (this.isDropped) return
    this.queue.push({ what, due: performance.now() + this.network.delay, isHeld })
    this.flush()
  }

  release(): void {
    for (const item of this.queue) item.isHeld = false
    this.flush()
  }

  drop(): void {
    this.isDropped = true
    this.queue = []
    clearTimeout(this.timer)
  }

  flush(): void {
    while (!this.isBusy && !this.network.frozen[this.direction]) {
      const item = this.queue[0]
      if (item === undefined || item.isHeld) return
      const early = item.due - performance.now()
      if (early > 0) {
        clearTimeout(this.timer)
        this.timer = setTimeout(() => this.flush(), Math.ceil(early))
        return
      }
      this.queue.shift()
      if (item.what === "fin" || item.what === "reset") return this.cut(item.what)
      if (item.what !== "end") this.write(item.what)
      else if (this.target === undefined) this.cut("fin")
      else this.target.end()
    }
  }

  private write(bytes: Uint8Array): void {
    const { budget, split } = this.network
    const allowed = bytes.subarray(0, budget[this.direction])
    budget[this.direction] -= allowed.length
    if (budget[this.direction] === 0) {
      budget[this.direction] = Infinity
      this.queue = [{ what: "fin", due: 0, isHeld: false }]
    }
    if (!split) return void this.target?.write(allowed)
    this.isBusy = true
    this.writeSingly(allowed, 0)
  }

  private writeSingly(bytes: Uint8Array, index: number): void {
    if (index === bytes.length || this.isDropped) {
      this.isBusy = false
      return this.flush()
    }
    this.target?.write(bytes.subarray(index, index + 1))
    // A turn of the event loop in between, so that a reader in this process gets single bytes too.
    setImmediate(() => this.writeSingly(bytes, index + 1))
  }
}

// What is longer is no frame: the four letters of a word make a greater number, and so does the beginning of TLS.
const longestFrame = 64 * 1024 * 1024

const framed = (bytes: Uint8Array): Uint8Array => {
  const frame = Buffer.allocUnsafe(4 + bytes.length)
  frame.writeInt32BE(bytes.length, 0)
  frame.set(bytes, 4)
  return frame
}

const firstOf = <A, B>(hooks: ReadonlyArray<(a: A) => B | undefined>, a: A): B | undefined => {
  for (const hook of hooks) {
    const action = hook(a)
    if (action !== undefined) return action
  }
  return undefined
}
