/**
 * What the simulation reads in the frames that pass by. It only looks: the
 * bytes go on as they are.
 */
import * as Jute from "../../src/jute/Jute.ts"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as Protocol from "../../src/jute/Protocol.ts"

const connectRequest = Jute.layoutOf(Protocol.ConnectRequest)
const connectResponse = Jute.layoutOf(Protocol.ConnectResponse)
const watcherEvent = Jute.layoutOf(Protocol.WatcherEvent)
const setWatches = Jute.layoutOf(Protocol.operations.setWatches.request)
const reader = new Jute.Reader()

/** Gathers bytes into whole frames, each with its length in front. */
export class FrameBuffer {
  private rest = new Uint8Array(0)

  push(bytes: Uint8Array): ReadonlyArray<Uint8Array> {
    const frames: Array<Uint8Array> = []
    let all = bytes
    if (this.rest.length > 0) {
      all = new Uint8Array(this.rest.length + bytes.length)
      all.set(this.rest)
      all.set(bytes, this.rest.length)
    }
    let at = 0
    while (all.length - at >= 4) {
      const size = new DataView(all.buffer, all.byteOffset + at).getInt32(0)
      if (all.length - at - 4 < size) break
      frames.push(all.slice(at, at + 4 + size))
      at += 4 + size
    }
    this.rest = all.slice(at)
    return frames
  }
}

export type ConnectRequest = typeof Protocol.ConnectRequest.Type
export type ConnectResponse = typeof Protocol.ConnectResponse.Type

export const readConnectRequest = (frame: Uint8Array): ConnectRequest => connectRequest.read(reader.reset(frame, 4))

export const readConnectResponse = (frame: Uint8Array): ConnectResponse => connectResponse.read(reader.reset(frame, 4))

export const connectFrame = (request: ConnectRequest): Uint8Array => {
  const writer = new Jute.Writer()
  writer.begin()
  connectRequest.write(writer, request)
  writer.end()
  return joined(writer.drain())
}

export const pingFrame = (): Uint8Array => {
  const frame = new Uint8Array(12)
  const view = new DataView(frame.buffer)
  view.setInt32(0, 8)
  view.setInt32(4, Protocol.Xid.Ping)
  view.setInt32(8, OpCode.Ping)
  return frame
}

const joined = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** A request behind the handshake. */
export interface Request {
  readonly xid: number
  readonly opCode: number
}

export const readRequest = (frame: Uint8Array): Request => {
  const view = new DataView(frame.buffer, frame.byteOffset)
  return { xid: view.getInt32(4), opCode: view.getInt32(8) }
}

const isAscii = (code: number): boolean => code >= 0x20 && code < 0x7f

/** Marks in the data of writes: `‹mark›` names one call. A frame of a transaction may have several. */
export const marksIn = (frame: Uint8Array): ReadonlyArray<string> => {
  const marks: Array<string> = []
  for (let at = 8; at < frame.length; at++) {
    if (frame[at] !== 0x3c) continue
    let mark = ""
    let end = at + 1
    for (; end < frame.length && frame[end] !== 0x3e && isAscii(frame[end] ?? 0); end++) {
      mark += String.fromCharCode(frame[end] ?? 0)
    }
    if (frame[end] === 0x3e && mark.startsWith("w")) marks.push(mark)
  }
  return marks
}

/** A request that changes the tree or the session, and is therefore ordered by the leader. */
export const isOrdered = (opCode: number): boolean => {
  switch (opCode) {
    case OpCode.Create:
    case OpCode.Create2:
    case OpCode.CreateContainer:
    case OpCode.CreateTtl:
    case OpCode.Delete:
    case OpCode.SetData:
    case OpCode.SetAcl:
    case OpCode.Multi:
    case OpCode.Reconfig:
    case OpCode.Sync:
    case OpCode.Auth:
    case OpCode.CloseSession:
      return true
    default:
      return false
  }
}

export const isSetWatches = (opCode: number): boolean => opCode === OpCode.SetWatches || opCode === OpCode.SetWatches2

export const relativeZxidIn = (frame: Uint8Array): bigint => setWatches.read(reader.reset(frame, 12)).relativeZxid

/** A reply, to whichever request. */
export interface Answer {
  readonly _tag: "Answer"
  readonly xid: number
  readonly zxid: bigint
  readonly error: number
  /** The first number of the body: of a transaction, -1 where it was refused. */
  readonly first: number
}

/** A watch fired. */
export interface Notification {
  readonly _tag: "Notification"
  readonly type: number
  readonly path: string
}

/** A frame of the server behind the handshake. */
export const readReply = (frame: Uint8Array): Answer | Notification => {
  const view = new DataView(frame.buffer, frame.byteOffset)
  const xid = view.getInt32(4)
  if (xid === Protocol.Xid.Notification) {
    const { path, type } = watcherEvent.read(reader.reset(frame, 20))
    return { _tag: "Notification", type, path }
  }
  const error = view.getInt32(16)
  return { _tag: "Answer", xid, zxid: view.getBigInt64(8), error, first: frame.length >= 24 ? view.getInt32(20) : 0 }
}
