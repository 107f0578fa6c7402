/**
 * A client that is nothing but frames: it sends what it is told, and keeps what
 * comes in the order in which it comes. To a server over TCP, or to the core.
 */
import { connect as connectTcp } from "node:net"
import { Frames } from "../../src/jute/Frames.ts"
import * as Jute from "../../src/jute/Jute.ts"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as Protocol from "../../src/jute/Protocol.ts"
import type { Server } from "../../src/memory/Server.ts"

/** Where bytes go, until it is closed. */
export interface Wire {
  readonly send: (bytes: Uint8Array) => void
  readonly close: () => void
}

export interface Receiver {
  readonly data: (bytes: Uint8Array) => void
  readonly closed: () => void
}

/** Opens a connection. */
export type Dial = (receiver: Receiver) => Promise<Wire>

export const overTcp =
  (port: number): Dial =>
  (receiver) =>
    new Promise((resolve, reject) => {
      const socket = connectTcp({ host: "127.0.0.1", port, noDelay: true })
      socket.once("connect", () => resolve({ send: (bytes) => socket.write(bytes), close: () => socket.destroy() }))
      socket.once("error", reject)
      socket.on("error", () => {})
      socket.on("data", receiver.data)
      socket.on("close", receiver.closed)
    })

export const toCore =
  (server: Server, listener = "127.0.0.1:2181"): Dial =>
  async (receiver) => {
    const peer = server.accept({
      remoteAddress: "127.0.0.1",
      listener,
      send: receiver.data,
      close: receiver.closed
    })
    return { send: peer.receive, close: peer.closed }
  }

/** What a server sent. */
export type Message =
  | { readonly _tag: "Event"; readonly type: number; readonly path: string; readonly zxid: bigint }
  | {
      readonly _tag: "Reply"
      readonly xid: number
      readonly zxid: bigint
      readonly err: number
      readonly body: unknown
    }
  | { readonly _tag: "Closed" }

/** A request: an operation's number, and what writes its body. */
export interface Call {
  readonly opCode: number
  readonly write: (writer: Jute.Writer) => void
  readonly read: (reader: Jute.Reader) => unknown
}

export const call = <Request, Response>(
  operation: Protocol.Operation<Request, Response>,
  request: Request,
  opCode = operation.opCode
): Call => ({
  opCode,
  write: (writer) => Jute.layoutOf(operation.request).write(writer, request),
  read: (reader) => Jute.layoutOf(operation.response).read(reader)
})

/** A request whose body is just these bytes. */
export const callWith = (opCode: number, ...body: ReadonlyArray<number>): Call => ({
  opCode,
  write: (writer) => {
    writer.reserve(body.length)
    writer.bytes.set(body, writer.offset)
    writer.offset += body.length
  },
  read: () => undefined
})

export const ping = call(Protocol.operations.ping, {})
export const closeSession = call(Protocol.operations.closeSession, {})
export const auth = (scheme: string, credentials: string): Call =>
  call(Protocol.operations.auth, { type: 0, scheme, auth: new TextEncoder().encode(credentials) })

const event = Jute.layoutOf(Protocol.WatcherEvent)
const connectRequest = Jute.layoutOf(Protocol.ConnectRequest)
const connectResponse = Jute.layoutOf(Protocol.ConnectResponse)

export class RawClient {
  readonly messages: Array<Message> = []
  sessionId = 0n
  password: Uint8Array = new Uint8Array(16)
  isClosed = false
  /** Resolves when the connection is gone. */
  readonly gone: Promise<void>
  private readonly goneHooks: Array<() => void> = []
  private readonly wire: Promise<Wire>
  private handshake: ((response: typeof Protocol.ConnectResponse.Type | undefined) => void) | undefined
  private readonly calls: Array<{
    readonly xid: number
    readonly read: Call["read"]
    readonly done: (message: Message) => void
  }> = []
  private xid = 1

  constructor(dial: Dial) {
    this.gone = new Promise((resolve) => this.goneHooks.push(resolve))
    const frames = new Frames(1 << 24, {
      frame: (reader) => this.receive(reader),
      oversize: () => {
        throw new Error("oversize")
      }
    })
    this.wire = dial({
      data: (bytes) => frames.push(bytes),
      closed: () => {
        this.isClosed = true
        this.messages.push({ _tag: "Closed" })
        for (const hook of this.goneHooks) hook()
        this.handshake?.(undefined)
        for (const { done } of this.calls.splice(0)) done({ _tag: "Closed" })
      }
    })
  }

  async sendBytes(bytes: Uint8Array): Promise<void> {
    ;(await this.wire).send(bytes)
  }

  private async write(write: (writer: Jute.Writer) => void): Promise<void> {
    const writer = new Jute.Writer()
    write(writer)
    const wire = await this.wire
    for (const block of writer.drain()) wire.send(block)
  }

  /** Asks for a session, or for the one that is given. Returns `undefined` when the server hangs up instead. */
  async connect(
    request: Partial<typeof Protocol.ConnectRequest.Type> = {}
  ): Promise<typeof Protocol.ConnectResponse.Type | undefined> {
    const answer = new Promise<typeof Protocol.ConnectResponse.Type | undefined>((resolve) => {
      this.handshake = resolve
    })
    await this.write((writer) => {
      writer.begin()
      connectRequest.write(writer, {
        protocolVersion: 0,
        lastZxidSeen: 0n,
        timeOut: 30_000,
        sessionId: this.sessionId,
        passwd: this.password,
        readOnly: false,
        ...request
      })
      writer.end()
    })
    const response = await answer
    this.handshake = undefined
    if (response !== undefined) {
      this.sessionId = response.sessionId
      this.password = response.passwd
    }
    return response
  }

  /** Sends requests at once, and returns their answers when all have come, or the connection is gone. */
  async all(calls: ReadonlyArray<Call>): Promise<ReadonlyArray<Message>> {
    const answers: Array<Promise<Message>> = []
    await this.write((writer) => {
      for (const { opCode, read, write } of calls) {
        const xid = opCode === OpCode.Ping ? -2 : opCode === OpCode.Auth ? -4 : this.xid++
        answers.push(
          new Promise((done) => {
            if (this.isClosed) done({ _tag: "Closed" })
            else this.calls.push({ xid, read, done })
          })
        )
        writer.begin()
        writer.int(xid)
        writer.int(opCode)
        write(writer)
        writer.end()
      }
    })
    return Promise.all(answers)
  }

  async one(request: Call): Promise<Message> {
    const [answer = { _tag: "Closed" }] = await this.all([request])
    return answer
  }

  /** Hangs up. */
  async close(): Promise<void> {
    ;(await this.wire).close()
  }

  private receive(reader: Jute.Reader): void {
    if (this.handshake !== undefined) {
      const resolve = this.handshake
      this.handshake = undefined
      return resolve(connectResponse.read(reader))
    }
    const xid = reader.int()
    const zxid = reader.long()
    const err = reader.int()
    if (xid === -1) {
      const { path, type } = event.read(reader)
      this.messages.push({ _tag: "Event", type, path, zxid })
      return
    }
    const index = this.calls.findIndex((each) => each.xid === xid)
    const pending = this.calls[index]
    if (pending === undefined) throw new Error(`a reply to ${xid}, which was not asked`)
    this.calls.splice(index, 1)
    const message: Message = {
      _tag: "Reply",
      xid,
      zxid,
      err,
      body: reader.remaining > 0 ? pending.read(reader) : undefined
    }
    this.messages.push(message)
    pending.done(message)
  }
}
