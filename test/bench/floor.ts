/**
 * The least that a client on Node can do, for comparison: encode, one write per
 * turn, first in first out, decode header, Stat and data. With callbacks, or
 * (`--api effect`) the same under bare `Effect.callback`.
 *
 * No reconnect, no timeouts, no retries, no checks of what the server sends.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { connect as dial, type Socket } from "node:net"
import { type Load, pump, run } from "./harness.ts"

// Node has them, its types do not: an encoding at a time, without the look-up by name.
const { latin1Slice, utf8Slice, utf8Write } = Buffer.prototype

type Done = (error: number, value: unknown) => void
type Decode = (bytes: Buffer, at: number, end: number, isOwned: boolean) => unknown

class Stat {
  readonly czxid: bigint
  readonly mzxid: bigint
  readonly ctime: bigint
  readonly mtime: bigint
  readonly version: number
  readonly cversion: number
  readonly aversion: number
  readonly ephemeralOwner: bigint
  readonly dataLength: number
  readonly numChildren: number
  readonly pzxid: bigint
  constructor(bytes: Buffer, at: number) {
    this.czxid = bytes.readBigInt64BE(at)
    this.mzxid = bytes.readBigInt64BE(at + 8)
    this.ctime = bytes.readBigInt64BE(at + 16)
    this.mtime = bytes.readBigInt64BE(at + 24)
    this.version = bytes.readInt32BE(at + 32)
    this.cversion = bytes.readInt32BE(at + 36)
    this.aversion = bytes.readInt32BE(at + 40)
    this.ephemeralOwner = bytes.readBigInt64BE(at + 44)
    this.dataLength = bytes.readInt32BE(at + 52)
    this.numChildren = bytes.readInt32BE(at + 56)
    this.pzxid = bytes.readBigInt64BE(at + 60)
  }
}

const readVoid: Decode = () => undefined
const readStat: Decode = (bytes, at) => new Stat(bytes, at)
const readPath = (bytes: Buffer, at: number) : string =>
  utf8Slice.call(bytes, at + 4, at + 4 + bytes.readInt32BE(at))

const readData: Decode = (bytes, at, _end, isOwned) => {
  const start = at + 4
  const size = Math.max(0, bytes.readInt32BE(at))
  let data: Buffer
  if (isOwned) data = bytes.subarray(start, start + size)
  else bytes.copy(data = Buffer.allocUnsafe(size), 0, start, start + size)
  return { data, stat: new Stat(bytes, start + size) }
}

const readChildren: Decode = (bytes, at, end) => {
  const count = bytes.readInt32BE(at)
  const names = new Array<string>(count)
  const start = at + 4
  const whole: string = latin1Slice.call(bytes, start, end)
  for (let i = 0, from = 0; i < count; i++) {
    const length = bytes.readInt32BE(start + from)
    from += 4
    let name = whole.substring(from, from + length)
    for (let k = 0; k < length; k++) {
      if (name.charCodeAt(k) > 127) {
        name = utf8Slice.call(bytes, start + from, start + from + length)
        break
      }
    }
    names[i] = name
    from += length
  }
  return names
}

const connectRequest = Buffer.alloc(49)
connectRequest.writeInt32BE(45, 0)
connectRequest.writeInt32BE(30_000, 16)
connectRequest.writeInt32BE(16, 28)

const everyone = Buffer.from("\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone\0\0\0\x03", "latin1")

const blockSize = 1 << 16

class Floor {
  private out: Buffer = Buffer.allocUnsafeSlow(blockSize)
  private start = 0
  private end = 0
  private isScheduled = false
  private xid = 0
  private decoders: Array<Decode> = []
  private callbacks: Array<Done | undefined> = []
  private head = 0
  private readonly watches = new Map<string, () => void>()
  // A frame that spans reads is gathered in a buffer of its own.
  private big: Buffer | undefined
  private received = 0
  private readonly length = Buffer.alloc(4)
  private lengthReceived = 0
  private onConnected: (() => void) | undefined
  private readonly socket: Socket

  constructor(host: string, onConnected: () => void, onClose: () => void) {
    const colon = host.lastIndexOf(":")
    this.onConnected = onConnected
    this.socket = dial({
      host: host.slice(0, colon),
      port: Number(host.slice(colon + 1)),
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafeSlow(1 << 18),
        callback: (size, bytes) => {
          this.push(bytes as Buffer, size)
          return true
        }
      }
    })
    this.socket.on("connect", () => this.socket.write(connectRequest))
    this.socket.on("close", onClose)
    this.socket.on("error", () => {})
  }

  private readonly flush = (): void => {
    this.isScheduled = false
    this.drain()
  }

  private drain(): void {
    if (this.end > this.start) this.socket.write(this.out.subarray(this.start, this.end))
    this.start = this.end
  }

  /** Starts a frame and returns where its payload goes. */
  private begin(operation: number, size: number, decode: Decode, done: Done): number {
    const total = 12 + size
    if (this.end + total > this.out.length) {
      this.drain()
      this.out = Buffer.allocUnsafeSlow(Math.max(blockSize, total))
      this.start = this.end = 0
    }
    const at = this.end
    this.out.writeInt32BE(8 + size, at)
    this.out.writeInt32BE(++this.xid, at + 4)
    this.out.writeInt32BE(operation, at + 8)
    this.end = at + total
    this.decoders.push(decode)
    this.callbacks.push(done)
    if (!this.isScheduled) {
      this.isScheduled = true
      queueMicrotask(this.flush)
    }
    return at + 12
  }

  private path(at: number, path: string, size: number): number {
    this.out.writeInt32BE(size, at)
    utf8Write.call(this.out, path, at + 4, size)
    return at + 4 + size
  }

  private read(operation: number, path: string, watch: 0 | 1, decode: Decode, done: Done): void {
    const size = Buffer.byteLength(path)
    const at = this.path(this.begin(operation, 5 + size, decode, done), path, size)
    this.out[at] = watch
  }

  get(path: string, done: Done): void {
    this.read(4, path, 0, readData, done)
  }

  getAndWatch(path: string, onEvent: () => void, done: Done): void {
    this.read(4, path, 1, readData, done)
    this.watches.set(path, onEvent)
  }

  children(path: string, done: Done): void {
    this.read(8, path, 0, readChildren, done)
  }

  set(path: string, data: Uint8Array, done: Done): void {
    const size = Buffer.byteLength(path)
    const at = this.path(this.begin(5, 4 + size + 4 + data.length + 4, readStat, done), path, size)
    this.out.writeInt32BE(data.length, at)
    this.out.set(data, at + 4)
    this.out.writeInt32BE(-1, at + 4 + data.length)
  }

  create(path: string, data: Uint8Array, done: Done): void {
    const size = Buffer.byteLength(path)
    const at = this.path(this.begin(1, 4 + size + 4 + data.length + everyone.length, readPath, done), path, size)
    this.out.writeInt32BE(data.length, at)
    this.out.set(data, at + 4)
    this.out.set(everyone, at + 4 + data.length)
  }

  delete(path: string, done: Done): void {
    const size = Buffer.byteLength(path)
    const at = this.path(this.begin(2, 4 + size + 4, readVoid, done), path, size)
    this.out.writeInt32BE(-1, at)
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.socket.on("close", () => resolve())
      this.begin(-11, 0, readVoid, () => {})
    })
  }

  private push(bytes: Buffer, size: number): void {
    let at = 0
    if (this.lengthReceived > 0) {
      while (this.lengthReceived < 4 && at < size) this.length[this.lengthReceived++] = bytes[at++] ?? 0
      if (this.lengthReceived < 4) return
      this.lengthReceived = 0
      this.big = Buffer.allocUnsafeSlow(this.length.readInt32BE())
      this.received = 0
    }
    if (this.big !== undefined) {
      const { big } = this
      const taken = Math.min(big.length - this.received, size - at)
      bytes.copy(big, this.received, at, at + taken)
      this.received += taken
      at += taken
      if (this.received < big.length) return
      this.big = undefined
      this.frame(big, 0, big.length, true)
    }
    while (size - at >= 4) {
      const length = bytes.readInt32BE(at)
      if (size - at - 4 < length) {
        bytes.copy(this.big = Buffer.allocUnsafeSlow(length), 0, at + 4, size)
        this.received = size - at - 4
        return
      }
      this.frame(bytes, at + 4, at + 4 + length, false)
      at += 4 + length
    }
    while (at < size) this.length[this.lengthReceived++] = bytes[at++] ?? 0
  }

  private frame(bytes: Buffer, at: number, end: number, isOwned: boolean): void {
    if (this.onConnected !== undefined) {
      this.onConnected()
      this.onConnected = undefined
      return
    }
    if (bytes.readInt32BE(at) === -1) {
      const path = readPath(bytes, at + 24)
      const onEvent = this.watches.get(path)
      this.watches.delete(path)
      return onEvent?.()
    }
    const index = this.head++
    const decode = this.decoders[index]
    const done = this.callbacks[index]
    this.callbacks[index] = undefined
    if (this.head === this.callbacks.length) {
      this.callbacks.length = this.decoders.length = this.head = 0
    } else if (this.head > 16_384) {
      this.callbacks = this.callbacks.slice(this.head)
      this.decoders = this.decoders.slice(this.head)
      this.head = 0
    }
    const error = bytes.readInt32BE(at + 12)
    done?.(error, error === 0 ? decode?.(bytes, at + 16, end, isOwned) : undefined)
  }
}

const withCallbacks = (client: Floor, { begin, data, end, inflight, kind, ops, path }: Load): Promise<void> =>
  pump(ops, inflight, (index, next) => {
    const done: Done = (error) => {
      end(index)
      next(error)
    }
    begin(index)
    switch (kind) {
      case "get":
        return client.get(path, done)
      case "set":
        return client.set(path, data, done)
      case "children":
        return client.children(path, done)
      case "createdel":
        return client.create(path, data, (error, created) =>
          error === 0 ? client.delete(String(created), done) : done(error, undefined))
    }
  })

const ask = <A>(f: (done: Done) => void): Effect.Effect<A, number> =>
  Effect.callback((resume) => f((error, value) => resume(error === 0 ? Exit.succeed(value as A) : Exit.fail(error))))

const one = (client: Floor, { data, kind, path }: Load): Effect.Effect<unknown, number> => {
  switch (kind) {
    case "get":
      return ask((done) => client.get(path, done))
    case "set":
      return ask((done) => client.set(path, data, done))
    case "children":
      return ask((done) => client.children(path, done))
    case "createdel":
      return Effect.flatMap(
        ask<string>((done) => client.create(path, data, done)),
        (created) => ask((done) => client.delete(created, done))
      )
  }
}

const withEffect = (client: Floor, load: Load): Promise<void> => {
  let issued = 0
  const fiber = Effect.gen(function*() {
    while (issued < load.ops) {
      const index = issued++
      load.begin(index)
      yield* one(client, load)
      load.end(index)
    }
  })
  const count = Math.min(load.inflight, load.ops)
  return Effect.runPromise(
    Effect.forEach(Array.from({ length: count }), () => fiber, { concurrency: "unbounded", discard: true })
  )
}

const isEffect = process.argv.includes("effect")

void run<Floor>({
  name: isEffect ? "floor, Effect" : "floor, callbacks",
  connect: (host) =>
    new Promise((resolve, reject) => {
      const refused = () => reject(new Error("closed before there was a session"))
      const client = new Floor(host, () => resolve(client), refused)
    }),
  close: (client) => client.close(),
  get: (client, path) => new Promise((resolve) => client.get(path, (_error, value) => resolve(value))),
  drive: isEffect ? withEffect : withCallbacks,
  watch: (client, paths, onEvent) =>
    pump(paths.length, 256, (index, done) => client.getAndWatch(paths[index] ?? "/", onEvent, done))
})
